-- A run ends: it is open no more, and its last event is in the log. Once, whoever asks.
-- KEYS  open runs of the partition (run id -> entry), stream of the partition
-- ARGV  run id, entry, fields of the event and their values
-- Returns 1 if it was open by exactly this entry; else 0, and nothing was done: it has ended before, was found crashed,
-- or is open by another activation.
local wrong = wrong_type(KEYS[1], 'hash') or wrong_type(KEYS[2], 'stream')
if wrong then return wrong end
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 3))
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
