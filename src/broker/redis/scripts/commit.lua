-- Settle: move the position of one place. Exactly once for each (nonce, epoch, n).
-- KEYS  fence, stream, unless the commit is plain the done set, and if it has letters the stream of dead letters
-- ARGV  token expected, token afterwards (both `epoch n nonce`), group, position, entries read or -1, seen
--       and, unless the commit is plain: front ('' keeps it, '-' clears it, or an id), its fails,
--       how many done ids, how many passed ids, the done ids, the passed ids
--       and if it has letters: how many there may be, how many these are, and for each how many names and values, these
-- Returns 1 if applied, 0 if it was applied before, {'fenced', owner}, {'gap', n known}, {'missing'}, or {'full', letters
--         there are}: no room for the letters, and nothing was done.
-- Most commits are plain, and what one costs decides what an event costs: the plain way stands first and makes three
-- calls. The fence keeps nonce, epoch and n in one field, so that one comparison proves all three. For the same reason the
-- words that only letters need stand before this file only where there are some.
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
local done_last, passed_last, first_letter = nil, nil, nil
if ARGV[7] then
  local type_of_done = redis.call('TYPE', KEYS[3]).ok
  if type_of_done ~= 'set' and type_of_done ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[3] .. ' is a ' .. type_of_done .. ', not a set')
  end
  done_last = 10 + tonumber(ARGV[9])
  passed_last = done_last + tonumber(ARGV[10])
  if KEYS[4] then
    if KEYS[4] == KEYS[2] then return redis.error_reply('DEADLETTERS ' .. KEYS[2] .. ' are given up already') end
    local limit, count = tonumber(ARGV[passed_last + 1]), tonumber(ARGV[passed_last + 2])
    first_letter = passed_last + 3
    local at, longest = first_letter, 0
    while at <= #ARGV do
      local values = tonumber(ARGV[at])
      longest = math.max(longest, values)
      at = at + 1 + values
    end
    local wrong = why_not_added(KEYS[4], longest)
    if wrong then return wrong end
    local have = redis.call('XLEN', KEYS[4])
    if have + count > limit then return {'full', have} end
  end
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
for i = 11, done_last, 1000 do
  redis.call('SADD', KEYS[3], unpack(ARGV, i, math.min(i + 999, done_last)))
end
for i = done_last + 1, passed_last, 1000 do
  redis.call('SREM', KEYS[3], unpack(ARGV, i, math.min(i + 999, passed_last)))
end
while first_letter and first_letter <= #ARGV do
  local last = first_letter + tonumber(ARGV[first_letter])
  redis.call('XADD', KEYS[4], '*', unpack(ARGV, first_letter + 1, last))
  first_letter = last + 1
end
return 1
