-- An operator changes a place: its owner, if there is one, is fenced out.
-- KEYS  fence, stream, done set, set of groups, to dead-letter: the stream of dead letters
-- ARGV  group, change (reset, resume, skip, pause, dead-letter), for a reset: where to (id or `$`),
--       to dead-letter: id of the event, letters that there may be, name and value of the letter's first field, name of the
--       mark of an event that was put back, which is no part of what was sent
-- Returns the position afterwards.
-- To dead-letter is to skip with the event stored in the same step. What the letter says names the event, so another one
-- in front is refused.
local group, change = ARGV[1], ARGV[2]
local fence, wrong = read_fence(KEYS[1])
if wrong then return wrong end
local stream, in_group
stream, in_group, wrong = look_at(KEYS[2], group)
wrong = wrong or wrong_type(KEYS[3], 'set') or wrong_type(KEYS[4], 'set')
if wrong then return wrong end

local copy = fence.cursor
if copy == '' then copy = nil end
local position = copy or (in_group and in_group['last-delivered-id']) or '0-0'

-- Nobody ever owned it, so there is nothing to lift and nobody to fence out.
if not fence.epoch and (change == 'resume' or change == 'skip') then return position end
if not fence.epoch and change == 'dead-letter' then
  return redis.error_reply('NOEVENT no worker has ever owned ' .. KEYS[2] .. ' for ' .. group)
end

local target, entries_read = nil, -1
if change == 'reset' then
  target = ARGV[3]
  if target == '$' then target = stream and stream['last-generated-id'] or '0-0' end
elseif change == 'skip' or change == 'dead-letter' then
  local marked = fence.qid
  if marked and marked ~= '' and before(position, marked) then
    target = marked
  elseif stream then
    local found = redis.call('XRANGE', KEYS[2], '(' .. position, '+', 'COUNT', 1)[1]
    target = found and found[1]
  end
  local read = tonumber(fence.er or '') or -1
  if target and stream and read >= 0 then
    -- Counted where that is cheap; elsewhere the next owner finds out at the end of the stream.
    local passed = redis.call('XRANGE', KEYS[2], '(' .. position, target, 'COUNT', 1000)
    if #passed < 1000 then entries_read = read + #passed end
  end
end

local letter = nil
if change == 'dead-letter' then
  if not target then return redis.error_reply('NOEVENT no event follows ' .. position .. ' in ' .. KEYS[2]) end
  if target ~= ARGV[3] then
    return redis.error_reply('CHANGED event ' .. target .. ' of ' .. KEYS[2] .. ' is in front, not ' .. ARGV[3])
  end
  local found = stream and redis.call('XRANGE', KEYS[2], target, target)[1]
  if not found then return redis.error_reply('NOEVENT event ' .. target .. ' is no longer in ' .. KEYS[2]) end
  letter = found[2]
  if letter[#letter - 1] == ARGV[7] then letter[#letter], letter[#letter - 1] = nil, nil end
  wrong = why_not_added(KEYS[5], #letter + 2)
  if wrong then return wrong end
  local have = redis.call('XLEN', KEYS[5])
  if have + 1 > tonumber(ARGV[4]) then
    return redis.error_reply('LETTERSFULL there are ' .. have .. ' letters in ' .. KEYS[5])
  end
end

-- Nothing below can fail.
if letter then redis.call('XADD', KEYS[5], '*', ARGV[5], ARGV[6], unpack(letter)) end
if target then
  set_position(KEYS[2], group, in_group ~= nil, target, entries_read)
  redis.call('SADD', KEYS[4], group)
  redis.call('HSET', KEYS[1], 'cursor', target, 'er', digits(entries_read))
  position = target
end
if change == 'reset' then redis.call('DEL', KEYS[3]) end
if change == 'skip' or change == 'dead-letter' then forget_passed(KEYS[3], position) end
redis.call('HSET', KEYS[1], 'token', '', 'owner', '', 'epoch', next_epoch(fence), 'until', '0', 'clean', '1')
if change == 'pause' then
  redis.call('HSET', KEYS[1], 'state', 'paused', 'qid', position, 'qerr', '', 'qat', digits(now_ms()))
else
  redis.call('HSET', KEYS[1], 'state', 'ok', 'qid', '', 'qerr', '', 'qat', '0', 'head', '', 'fails', '0', 'crashes', '0')
end
return position
