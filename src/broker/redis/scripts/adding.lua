-- What is asked before entries are moved from one stream to another. This file stands before the scripts that do it.

-- Why entries cannot be added to a stream, the longest of which has so many names and values; nil if they can.
-- Lua can spread about 8000 values at most, and an entry must be added by one call.
local function why_not_added(key, longest)
  local found = redis.call('TYPE', key).ok
  if found ~= 'stream' and found ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. found .. ', not a stream')
  end
  if longest > 7000 then
    return redis.error_reply('TOOMANYFIELDS it has ' .. longest / 2 .. ' fields, and at most 3500 can be moved to ' .. key)
  end
  if found == 'none' then return nil end
  local facts = redis.call('XINFO', 'STREAM', key)
  for i = 1, #facts, 2 do
    if facts[i] == 'last-generated-id' and string.find(facts[i + 1], '18446744073709551615-', 1, true) == 1 then
      return redis.error_reply('NOIDS the last id of ' .. key .. ' is ' .. facts[i + 1])
    end
  end
  return nil
end
