-- Settle: move the position of one place. Exactly once for each (nonce, epoch, n).
-- KEYS  fence, stream, done set
-- ARGV  token expected, token afterwards (both `epoch n nonce`), group, position, entries read or -1, seen
--       and, unless the commit is plain: front ('' keeps it, '-' clears it, or an id), its fails,
--       how many done ids, the done ids, the passed ids
-- Returns 1 if applied, 0 if it was applied before, {'fenced', owner}, {'gap', n known} or {'missing'}.
-- Most commits are plain, and what one costs decides what an event costs: the plain way stands first and makes three
-- calls. The fence keeps nonce, epoch and n in one field, so that one comparison proves all three.
local found = redis.call('HGET', KEYS[1], 'token')
if found ~= ARGV[1] then
  if found == ARGV[2] then return 0 end
  local epoch, n, nonce = string.match(found or '', '^(%d+) (%d+) (.*)$')
  local our_epoch, _, ours = string.match(ARGV[2], '^(%d+) (%d+) (.*)$')
  if not nonce then
    if found and found ~= '' then return redis.error_reply('BADFENCE field `token` of ' .. KEYS[1] .. ' is broken') end
    return {'fenced', ''}
  end
  if nonce ~= ours or epoch ~= our_epoch then return {'fenced', nonce} end
  -- Redis was rolled back by a fail-over. Going on would skip what the lost commits did, silently.
  return {'gap', n}
end
local done_last = nil
if ARGV[7] then
  local type_of_done = redis.call('TYPE', KEYS[3]).ok
  if type_of_done ~= 'set' and type_of_done ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[3] .. ' is a ' .. type_of_done .. ', not a set')
  end
  done_last = 9 + tonumber(ARGV[9])
end
local moved = redis.pcall('XGROUP', 'SETID', KEYS[2], ARGV[3], ARGV[4], 'ENTRIESREAD', ARGV[5])
if moved.err then
  if string.find(moved.err, 'NOGROUP', 1, true) or string.find(moved.err, 'requires the key to exist', 1, true) then
    return {'missing'}
  end
  if string.find(moved.err, 'WRONGTYPE', 1, true) then return redis.error_reply('WRONGTYPE ' .. KEYS[2] .. ' is no stream') end
  return moved
end
redis.call('HSET', KEYS[1], 'token', ARGV[2], 'cursor', ARGV[4], 'er', ARGV[5], 'seen', ARGV[6])
if not done_last then return 1 end

-- Nothing below can fail.
if ARGV[7] == '-' then
  redis.call('HSET', KEYS[1], 'head', '', 'fails', '0', 'crashes', '0')
elseif ARGV[7] ~= '' then
  local same = redis.call('HGET', KEYS[1], 'head') == ARGV[7]
  redis.call('HSET', KEYS[1], 'head', ARGV[7], 'fails', ARGV[8])
  if not same then redis.call('HSET', KEYS[1], 'crashes', '0') end
end
for i = 10, done_last, 1000 do
  redis.call('SADD', KEYS[3], unpack(ARGV, i, math.min(i + 999, done_last)))
end
for i = done_last + 1, #ARGV, 1000 do
  redis.call('SREM', KEYS[3], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
return 1
