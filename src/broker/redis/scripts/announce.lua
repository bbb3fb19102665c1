-- A worker says that it is alive.
-- KEYS  live (NAME -> dead after)
-- ARGV  worker, time to live in ms
-- Returns the server's time. Workers that have been dead for a day are dropped: nothing rests on them.
local wrong = wrong_type(KEYS[1], 'zset')
if wrong then return wrong end
local now = now_ms()
redis.call('ZADD', KEYS[1], digits(now + tonumber(ARGV[2])), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', digits(now - 86400000))
return digits(now)
