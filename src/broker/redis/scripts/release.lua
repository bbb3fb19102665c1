-- Give a place up: free at once, optionally with a mark that stops it.
-- KEYS  fence
-- ARGV  nonce, epoch, and for a mark: state, id of its event, error
-- Returns 1 if it was ours, also if an earlier send of this has released it; 0 if it is somebody else's.
-- A pause is an operator's word and outlives ours.
local fence, wrong = read_fence(KEYS[1])
if wrong then return wrong end
if fence.owner ~= ARGV[1] or fence.epoch ~= ARGV[2] then
  if fence.prev == ARGV[1] then return 1 end
  return 0
end
redis.call('HSET', KEYS[1], 'token', '', 'owner', '', 'prev', ARGV[1], 'until', '0', 'clean', '1')
if ARGV[3] and fence.state ~= 'paused' then
  redis.call('HSET', KEYS[1], 'state', ARGV[3], 'qid', ARGV[4], 'qerr', ARGV[5], 'qat', digits(now_ms()))
end
return 1
