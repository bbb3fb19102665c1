-- A run ends: it is open no more, and its last event is in the log. Once, whoever asks.
-- KEYS  open runs of the partition (run id -> entry), stream of the partition, what is over there (see over.lua)
-- ARGV  run id, entry, activation or '', fields of the event and their values
-- Returns 1 if it was open by exactly this entry; else 0, and no event was added: it has ended before, was found crashed,
-- is open by another activation, or has not begun. Either way it does not begin by this entry any more.
local wrong = wrong_type(KEYS[1], 'hash') or wrong_type(KEYS[2], 'stream') or wrong_type(KEYS[3], 'zset')
if wrong then return wrong end
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  keep_over(KEYS[3], by_entry(ARGV[1], ARGV[2]))
  return 0
end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 4))
redis.call('HDEL', KEYS[1], ARGV[1])
keep_over(KEYS[3], by_activation(ARGV[1], ARGV[3], ARGV[2]))
return 1
