-- Words that several scripts share. This file stands before each of them.

-- Whether event id a lies before b. Compared as text: the parts have up to 20 digits, more than a number holds.
local function before(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)%-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)%-(%d+)$')
  if #a_ms ~= #b_ms then return #a_ms < #b_ms end
  if a_ms ~= b_ms then return a_ms < b_ms end
  if #a_seq ~= #b_seq then return #a_seq < #b_seq end
  return a_seq < b_seq
end

local function is_id(text)
  return string.match(text, '^%d+%-%d+$') ~= nil
end

-- A flat list of names and values as a table.
local function fields(flat)
  local named = {}
  for i = 1, #flat, 2 do named[flat[i]] = flat[i + 1] end
  return named
end

local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

-- A number as text. Lua's own way would write large ones as 1.79e+15.
local function digits(number)
  return string.format('%.0f', number)
end

-- An error if the key is of another type than wanted, nil if all is well. A script is not rolled back, so this is
-- asked of everything that could fail before the first write.
local function wrong_type(key, wanted)
  local found = redis.call('TYPE', key).ok
  if found == wanted or found == 'none' then return nil end
  return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. found .. ', not a ' .. wanted)
end

-- Calls a command with many ids; Lua can spread about 8000 values at most.
local function in_chunks(command, key, ids)
  for i = 1, #ids, 1000 do
    redis.call(command, key, unpack(ids, i, math.min(i + 999, #ids)))
  end
end

-- The fence as a table, or an error that names the field a foreign hand has broken.
local function read_fence(key)
  local wrong = wrong_type(key, 'hash')
  if wrong then return nil, wrong end
  local fence = fields(redis.call('HGETALL', key))
  local function check(name, pattern, longest)
    local value = fence[name]
    if value and value ~= '' and (#value > longest or not string.match(value, pattern)) then
      wrong = redis.error_reply('BADFENCE field `' .. name .. '` of ' .. key .. ' is broken: repair it, or delete the key'
        .. ' while no worker runs')
    end
  end
  check('epoch', '^%d+$', 15 + 1)
  check('until', '^%d+$', 15)
  check('ttl', '^%d+$', 15)
  check('er', '^%-?%d+$', 15)
  check('fails', '^%d+$', 10)
  check('crashes', '^%d+$', 10)
  check('qat', '^%d+$', 15)
  for _, name in ipairs({'cursor', 'seen', 'head', 'qid'}) do check(name, '^%d+%-%d+$', 41) end
  if fence.owner and fence.owner ~= '' then
    if not (fence.epoch and fence.token and fence['until']) then
      wrong = redis.error_reply('BADFENCE ' .. key .. ' has an owner, but not all of epoch, token and until: repair it,'
        .. ' or delete the key while no worker runs')
    else
      check('token', '^%d+ %d+ ', 1000)
    end
  end
  if wrong then return nil, wrong end
  return fence, nil
end

-- Milliseconds for which somebody else's lease still runs; 0 if the fence is free. No lease runs longer than its time
-- to live: a server clock that went back must not make it last.
local function lease_left(fence, now)
  if not fence.owner or fence.owner == '' then return 0 end
  local left = tonumber(fence['until']) - now
  return math.max(0, math.min(left, tonumber(fence.ttl or '') or left))
end

-- An epoch above the last one and, so that it rises also over a lost fence, not below the server's clock.
local function next_epoch(fence)
  local last = fence.epoch
  if not last or last == '' then last = '0' end
  return digits(math.max(tonumber(last) + 1, now_us()))
end

-- The facts of a stream and of one group in it; nil where there is none. An error if the key is no stream.
local function look_at(key, group)
  local wrong = wrong_type(key, 'stream')
  if wrong then return nil, nil, wrong end
  if redis.call('EXISTS', key) == 0 then return nil, nil, nil end
  local found = nil
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local facts = fields(flat)
    if facts.name == group then found = facts end
  end
  return fields(redis.call('XINFO', 'STREAM', key)), found, nil
end

-- How many entries were ever read up to a position, if the stream's own counts tell; -1 if not.
local function entries_read_at(position, stream)
  if not stream then return position == '0-0' and 0 or -1 end
  if position == stream['last-generated-id'] then return stream['entries-added'] end
  if stream.length > 0 and before(position, stream['recorded-first-entry-id']) then
    return stream['entries-added'] - stream.length
  end
  return -1
end

-- Moves the group, or makes it. -1 entries read says "unknown".
local function set_position(key, group, exists, position, entries_read)
  if exists then
    redis.call('XGROUP', 'SETID', key, group, position, 'ENTRIESREAD', digits(entries_read))
  else
    redis.call('XGROUP', 'CREATE', key, group, position, 'MKSTREAM', 'ENTRIESREAD', digits(entries_read))
  end
end

-- Removes what is not above the position from a done set, and answers what is left.
local function forget_passed(key, position)
  local ahead, passed = {}, {}
  for _, id in ipairs(redis.call('SMEMBERS', key)) do
    if is_id(id) and before(position, id) then ahead[#ahead + 1] = id else passed[#passed + 1] = id end
  end
  in_chunks('SREM', key, passed)
  return ahead
end

-- Tells the members of a group that something of theirs has changed.
local function ring(bell, generation, reason)
  redis.call('XADD', bell, 'MAXLEN', '~', 256, '*', 'gen', generation, 'reason', reason)
end
