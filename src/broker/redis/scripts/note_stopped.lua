-- Tell the group that a place is stopped, or is so no more. Advice for the next plan: the fence alone decides.
-- KEYS  members, bell
-- ARGV  partition, and unless it is stopped no more: kind, id, server time or 0 for now, error
-- Returns 1.
local wrong = wrong_type(KEYS[1], 'hash') or wrong_type(KEYS[2], 'stream')
if wrong then return wrong end
if ARGV[2] then
  local since = ARGV[4]
  if since == '0' then since = digits(now_ms()) end
  redis.call('HSET', KEYS[1], 's:' .. ARGV[1], table.concat({ARGV[2], ARGV[3], since, ARGV[5]}, ' '))
else
  redis.call('HDEL', KEYS[1], 's:' .. ARGV[1])
end
ring(KEYS[2], redis.call('HGET', KEYS[1], 'gen') or '0', 'stopped')
return 1
