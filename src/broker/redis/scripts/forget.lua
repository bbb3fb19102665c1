-- Unregister a processor from one partition: retention no longer waits for it.
-- KEYS  fence, stream, done set, set of groups
-- ARGV  group, `look` to only say whether it may be, or `remove`
-- Returns {'owned', worker}, or {'free', 1 if it was registered}.
-- Asked again when removing: a worker may have come between.
local fence, wrong = read_fence(KEYS[1])
wrong = wrong or wrong_type(KEYS[2], 'stream') or wrong_type(KEYS[3], 'set') or wrong_type(KEYS[4], 'set')
if wrong then return wrong end
if lease_left(fence, now_ms()) > 0 then return {'owned', fence.worker or fence.owner} end
local registered = redis.call('SISMEMBER', KEYS[4], ARGV[1])
if ARGV[2] == 'remove' then
  if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('XGROUP', 'DESTROY', KEYS[2], ARGV[1]) end
  redis.call('DEL', KEYS[1], KEYS[3])
  redis.call('SREM', KEYS[4], ARGV[1])
end
return {'free', registered}
