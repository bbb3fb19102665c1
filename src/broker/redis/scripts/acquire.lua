-- Take the fence of one place, if it is free, and say where to go on.
-- KEYS  fence, stream, done set, set of groups
-- ARGV  nonce, worker, time to live in ms, group, start (id or `$`), server ms at which our member joined,
--       most ids that a done set may be made of, and of dead letters `letters`: what is missing there is no gap, since
--       they are deleted when they are retried or dropped
-- Returns {'owned', epoch, position, last id, n, entries read or -1, unclean, seen, front's id or '', its fails, its
--         crashes, done ids, notes}, {'held', worker, ms}, {'stopped', kind, id, error, since} or {'spent'}.
-- The same nonce again gets the same answer, with the commits made since, and repairs nothing: it may be a late duplicate
-- of what was answered long ago, and its owner would not hear of a position that moves under it. What others have done
-- since, the next renewal finds out. A nonce that was released is spent: owning by it would be owning by nobody.
-- Afterwards the group has no consumers and no pending entries, and stands where the answer says: its own position is
-- the truth, our copy in the fence repairs it where somebody else has had a hand in it. Each repair is a note.
local fence_key, stream_key, done_key, groups_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local nonce, worker, ttl, group, start = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local joined, most_done, are_letters = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] == 'letters'

local fence, wrong = read_fence(fence_key)
if wrong then return wrong end
if fence.prev == nonce then return {'spent'} end
local again = fence.owner == nonce and (fence.cursor or '') ~= ''
local now = now_ms()
local left = lease_left(fence, now)
if not again and left > 0 then
  if tonumber(fence['until']) - now > left then
    redis.call('HSET', fence_key, 'until', digits(now + left))
  end
  return {'held', fence.worker or fence.owner, left}
end

local stream, in_group
stream, in_group, wrong = look_at(stream_key, group)
wrong = wrong or wrong_type(done_key, 'set') or wrong_type(groups_key, 'set')
if wrong then return wrong end

local last = stream and stream['last-generated-id'] or '0-0'
local seen, front = fence.seen or '', fence.head or ''
if seen == '' then seen = '0-0' end
local fails, crashes = tonumber(fence.fails or '') or 0, tonumber(fence.crashes or '') or 0
if again then
  redis.call('HSET', fence_key, 'until', digits(now + ttl), 'ttl', digits(ttl))
  if front ~= '' and not before(fence.cursor, front) then front, fails, crashes = '', 0, 0 end
  return {'owned', fence.epoch, fence.cursor, last, string.match(fence.token, '^%d+ (%d+) '),
    digits(tonumber(fence.er or '') or -1), tonumber(fence.unclean or '') or 0, seen, front, fails, crashes,
    forget_passed(done_key, fence.cursor), {}}
end

local notes = {}
local function note(...) notes[#notes + 1] = {...} end

local copy = fence.cursor
if copy == '' then copy = nil end
local copy_read = tonumber(fence.er or '') or -1
local done_is_void = false -- the done set belongs to a position that no longer holds
local done_found = nil     -- the done set that foreign consumers' acknowledgements make

-- Foreign consumers of XREADGROUP: what is pending will run, what was acknowledged above it will not run again.
local function from_pending()
  local lowest = redis.call('XPENDING', stream_key, group)[2]
  local top = in_group['last-delivered-id']
  local previous = redis.call('XREVRANGE', stream_key, '(' .. lowest, '-', 'COUNT', 1)[1]
  local position = previous and previous[1] or '0-0'
  local pending, from = {}, '-'
  repeat
    local page = redis.call('XPENDING', stream_key, group, from, '+', 1000)
    for _, entry in ipairs(page) do
      pending[entry[1]] = true
      from = '(' .. entry[1]
    end
  until #page < 1000
  local acknowledged, seen, there = {}, 0, 0
  from = '(' .. position
  repeat
    local page = redis.call('XRANGE', stream_key, from, top, 'COUNT', 200)
    for _, entry in ipairs(page) do
      seen = seen + 1
      if pending[entry[1]] then there = there + 1 else acknowledged[#acknowledged + 1] = entry[1] end
      from = '(' .. entry[1]
    end
  until #page < 200 or seen > most_done
  local read = tonumber(in_group['entries-read'] or '') or -1
  if seen > most_done then
    note('migrated_with_repeats')
    return position, -1, {}
  end
  if there < in_group.pending and not are_letters then note('gap', in_group.pending - there) end
  note('migrated', in_group.pending, #acknowledged)
  return position, math.max(read - seen, -1), acknowledged
end

local position, entries_read
if not in_group then
  if copy then
    position, entries_read = copy, copy_read
    note('group_recreated')
  else
    position, entries_read = start, -1
    -- A time after the last event is no lost tail: nobody was ever there.
    if start == '$' or before(last, start) then position = last end
    note('begun')
  end
elseif in_group.consumers > 0 then
  position, entries_read = in_group['last-delivered-id'], tonumber(in_group['entries-read'] or '') or -1
  if in_group.pending > 0 then
    position, entries_read, done_found = from_pending()
  end
  if copy and before(copy, position) then
    position, entries_read, done_found = copy, copy_read, nil
    note('foreign_consumers')
  end
else
  position, entries_read = in_group['last-delivered-id'], tonumber(in_group['entries-read'] or '') or -1
  if copy and before(position, copy) then
    note('moved_back', copy, position)
    done_is_void = true
  elseif copy and before(copy, position) then
    -- A foreign reader that came and went looks the same as an operator who wants to skip: that one must say so.
    note('forward_move_ignored', position)
    position, entries_read = copy, copy_read
  end
end
if before(last, position) then
  note('tail_lost', position, last)
  position, entries_read, done_is_void = last, -1, true
end
if stream then
  local added = stream['entries-added']
  if entries_read < 0 or entries_read > added then
    entries_read = entries_read_at(position, stream)
    -- Cut off before we had a position is no gap; afterwards nobody knows how many of them were read.
    if copy and position ~= last then entries_read = -1 end
  elseif position ~= last and (stream.length == 0 or before(position, stream['recorded-first-entry-id'])) then
    local lost = added - entries_read - stream.length
    if lost > 0 and not are_letters then note('gap', lost) end
  end
elseif entries_read < 0 then
  entries_read = entries_read_at(position, nil)
end

-- A mark counts only while the position lies before its event.
local state = fence.state or 'ok'
local marked_at = fence.qid
if marked_at == '' then marked_at = nil end
local was_halted = state == 'halted'
local ahead = marked_at == nil or before(position, marked_at)
local since = tonumber(fence.qat or '') or 0
if state == 'paused' or (state == 'quarantined' and ahead) or (was_halted and ahead and joined <= since) then
  return {'stopped', state, marked_at or '0-0', fence.qerr or '', digits(since)}
end

local unclean, epoch = 0, next_epoch(fence)
if front ~= '' and not before(position, front) then front = '' end
if fence.owner and fence.owner ~= '' and fence.clean ~= '1' then
  unclean = 1
  crashes = crashes + 1
end
if front == '' or was_halted then fails, crashes = 0, 0 end

-- Nothing below can fail.
if in_group and in_group.consumers > 0 then
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream_key, group)) do
    redis.call('XGROUP', 'DELCONSUMER', stream_key, group, fields(flat).name)
  end
end
set_position(stream_key, group, in_group ~= nil, position, entries_read)
redis.call('SADD', groups_key, group)
if done_is_void or (done_found and #done_found > 0) then redis.call('DEL', done_key) end
if done_found then in_chunks('SADD', done_key, done_found) end
local done = forget_passed(done_key, position)
-- Small hashes are searched from the front: what every commit needs stands there.
redis.call('HSET', fence_key, 'token', epoch .. ' 0 ' .. nonce, 'cursor', position, 'er', digits(entries_read),
  'seen', seen, 'owner', nonce, 'epoch', epoch, 'until', digits(now + ttl), 'ttl', digits(ttl),
  'worker', worker, 'clean', '0', 'unclean', unclean, 'head', front, 'fails', fails, 'crashes', crashes,
  'state', 'ok', 'qid', '', 'qerr', '', 'qat', '0')
return {'owned', epoch, position, last, '0', digits(entries_read), unclean, seen, front, fails, crashes, done, notes}
