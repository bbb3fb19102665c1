-- Cut what every group of a partition has settled. Never more.
-- KEYS  stream, set of groups, then the fence of each registered group
-- ARGV  the names of these groups, in the same order
-- Returns {'cut', entries, id before which all were cut}, {'held', why, group or ''}, or {'changed'}: other groups are
-- registered by now, and their fences must be passed too.
-- Nothing is cut on doubt: while a registered group is missing, or somebody foreign reads in it, its position says
-- nothing. Pending entries of foreign groups are kept for them.
local wrong = wrong_type(KEYS[1], 'stream') or wrong_type(KEYS[2], 'set')
if wrong then return wrong end
local fence_of = {}
for i, name in ipairs(ARGV) do
  fence_of[name] = KEYS[i + 2]
  wrong = wrong_type(KEYS[i + 2], 'hash')
  if wrong then return wrong end
end
local missing = {}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if not fence_of[name] then return {'changed'} end
  missing[name] = true
end
if redis.call('EXISTS', KEYS[1]) == 0 then return {'held', 'empty', ''} end

local lowest = nil
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = fields(flat)
  local position = group['last-delivered-id']
  if missing[group.name] then
    missing[group.name] = nil
    if group.consumers > 0 then return {'held', 'foreign', group.name} end
    local copy = redis.call('HGET', fence_of[group.name], 'cursor')
    if copy and copy ~= '' then
      if not is_id(copy) then
        return redis.error_reply('BADFENCE field `cursor` of ' .. fence_of[group.name] .. ' is no event id')
      end
      -- The group was moved ahead of what was settled.
      if before(copy, position) then position = copy end
    end
  end
  if group.pending > 0 then
    local pending = redis.call('XPENDING', KEYS[1], group.name)[2]
    if before(pending, position) then position = pending end
  end
  if not lowest or before(position, lowest) then lowest = position end
end
local name = next(missing)
if name then return {'held', 'missing', name} end
if not lowest then return {'held', 'nobody', ''} end
return {'cut', redis.call('XTRIM', KEYS[1], 'MINID', '=', lowest), lowest}
