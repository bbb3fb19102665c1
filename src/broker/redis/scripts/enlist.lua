-- Add a name to a set of names: a stream to the app's list, or a processor to those that retention waits for.
-- KEYS  set
-- ARGV  name
-- Returns 1 if it is new there.
local wrong = wrong_type(KEYS[1], 'set')
if wrong then return wrong end
return redis.call('SADD', KEYS[1], ARGV[1])
