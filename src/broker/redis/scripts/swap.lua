-- Install a plan, if the one it was made from still holds, and ring the bell.
-- KEYS  members, beats, bell
-- ARGV  generation it was made from, plan, reason, then members to remove: those that are still dead
-- Returns {'installed', generation} or {'outrun', generation, plan}.
local wrong = wrong_type(KEYS[1], 'hash') or wrong_type(KEYS[2], 'zset') or wrong_type(KEYS[3], 'stream')
if wrong then return wrong end
local generation = redis.call('HGET', KEYS[1], 'gen') or '0'
if #generation > 15 or not string.match(generation, '^%d+$') then
  return redis.error_reply('BADPLAN field `gen` of ' .. KEYS[1] .. ' is no number')
end
if generation ~= ARGV[1] then return {'outrun', generation, redis.call('HGET', KEYS[1], 'plan') or ''} end
generation = digits(tonumber(generation) + 1)
redis.call('HSET', KEYS[1], 'gen', generation, 'plan', ARGV[2])
local now = now_ms()
for i = 4, #ARGV do
  local dead_after = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[i]) or '0')
  if dead_after <= now then
    redis.call('ZREM', KEYS[2], ARGV[i])
    redis.call('HDEL', KEYS[1], 'm:' .. ARGV[i])
  end
end
ring(KEYS[3], generation, ARGV[3])
return {'installed', generation}
