-- Remove lines of a topic.
-- KEYS  names of all topics, lines of the topic, their ids
-- ARGV  name of the topic, then for each line: its number, its id
-- Returns how many were there. A topic without lines is none any more.
local wrong = wrong_type(KEYS[1], 'set') or wrong_type(KEYS[2], 'stream') or wrong_type(KEYS[3], 'hash')
if wrong then return wrong end
local removed = 0
for i = 2, #ARGV, 2 do
  removed = removed + redis.call('XDEL', KEYS[2], ARGV[i] .. '-0')
  redis.call('HDEL', KEYS[3], ARGV[i + 1])
end
if redis.call('XLEN', KEYS[2]) == 0 then
  redis.call('UNLINK', KEYS[2], KEYS[3])
  redis.call('SREM', KEYS[1], ARGV[1])
end
return removed
