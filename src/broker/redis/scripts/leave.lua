-- A member leaves: it is gone from the roster at once.
-- KEYS  members, beats, bell
-- ARGV  member
-- Returns 1 if it was there.
local wrong = wrong_type(KEYS[1], 'hash') or wrong_type(KEYS[2], 'zset') or wrong_type(KEYS[3], 'stream')
if wrong then return wrong end
local gone = redis.call('ZREM', KEYS[2], ARGV[1]) + redis.call('HDEL', KEYS[1], 'm:' .. ARGV[1])
ring(KEYS[3], redis.call('HGET', KEYS[1], 'gen') or '0', 'left')
return math.min(gone, 1)
