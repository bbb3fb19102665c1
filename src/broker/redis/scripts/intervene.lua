-- An operator changes a place: its owner, if there is one, is fenced out.
-- KEYS  fence, stream, done set, set of groups
-- ARGV  group, change (reset, resume, skip, pause), for a reset: where to (id or `$`)
-- Returns the position afterwards.
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

local target, entries_read = nil, -1
if change == 'reset' then
  target = ARGV[3]
  if target == '$' then target = stream and stream['last-generated-id'] or '0-0' end
elseif change == 'skip' then
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

-- Nothing below can fail.
if target then
  set_position(KEYS[2], group, in_group ~= nil, target, entries_read)
  redis.call('SADD', KEYS[4], group)
  redis.call('HSET', KEYS[1], 'cursor', target, 'er', digits(entries_read))
  position = target
end
if change == 'reset' then redis.call('DEL', KEYS[3]) end
if change == 'skip' then forget_passed(KEYS[3], position) end
redis.call('HSET', KEYS[1], 'token', '', 'owner', '', 'epoch', next_epoch(fence), 'until', '0', 'clean', '1')
if change == 'pause' then
  redis.call('HSET', KEYS[1], 'state', 'paused', 'qid', position, 'qerr', '', 'qat', digits(now_ms()))
else
  redis.call('HSET', KEYS[1], 'state', 'ok', 'qid', '', 'qerr', '', 'qat', '0', 'head', '', 'fails', '0', 'crashes', '0')
end
return position
