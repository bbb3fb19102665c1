-- Add a stream's name to the list of the app's streams.
-- KEYS  list
-- ARGV  name
-- Returns 1 if it is new there.
local wrong = wrong_type(KEYS[1], 'set')
if wrong then return wrong end
return redis.call('SADD', KEYS[1], ARGV[1])
