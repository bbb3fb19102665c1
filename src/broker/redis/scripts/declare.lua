-- Store the facts of a stream unless it has some, and say those that hold.
-- KEYS  facts
-- ARGV  names and values in turn
-- Returns names and values in turn.
local wrong = wrong_type(KEYS[1], 'hash')
if wrong then return wrong end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'created', digits(now_ms()), unpack(ARGV))
end
return redis.call('HGETALL', KEYS[1])
