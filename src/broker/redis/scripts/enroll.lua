-- A worker joins the fleet. It begins a generation if nobody is alive, or if the fleet runs another version.
-- KEYS  live (NAME -> dead after), lead (gen, version)
-- ARGV  worker, time to live in ms, version
-- Returns {generation, version}.
-- The worker is alive from then on, so sending it again begins nothing.
local lead, wrong = read_lead(KEYS[2])
wrong = wrong or wrong_type(KEYS[1], 'zset')
if wrong then return wrong end
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', digits(now))
local generation = lead.gen or '0'
if generation == '0' or lead.version ~= ARGV[3] or redis.call('EXISTS', KEYS[1]) == 0 then
  generation = digits(tonumber(generation) + 1)
  redis.call('HSET', KEYS[2], 'gen', generation, 'version', ARGV[3])
end
redis.call('ZADD', KEYS[1], digits(now + tonumber(ARGV[2])), ARGV[1])
return {generation, ARGV[3]}
