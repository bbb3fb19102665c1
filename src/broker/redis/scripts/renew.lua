-- Prolong a lease, if it is still ours, and find what nobody told the owner.
-- KEYS  fence, stream
-- ARGV  nonce, epoch, time to live in ms, group, highest id read, and of dead letters `letters`: what is missing there is
--       no gap, since they are deleted when they are retried or dropped
-- Returns {'ours', last id, lag or -1, entries read or -1, notes}, {'fenced', owner} or {'missing'}.
-- A lease that ran out is ours as long as nobody else took the place: no other owner has been in between.
local fence, wrong = read_fence(KEYS[1])
if wrong then return wrong end
if fence.owner ~= ARGV[1] or fence.epoch ~= ARGV[2] then return {'fenced', fence.owner or ''} end
local stream, group
stream, group, wrong = look_at(KEYS[2], ARGV[4])
if wrong then return wrong end
if not group then return {'missing'} end

local notes = {}
local last, position, copy = stream['last-generated-id'], group['last-delivered-id'], fence.cursor or '0-0'
if before(position, copy) then notes[#notes + 1] = {'moved_back', copy, position} end
if before(copy, position) then notes[#notes + 1] = {'forward_move_ignored', position} end
if group.consumers > 0 then notes[#notes + 1] = {'foreign_consumers'} end
if before(last, ARGV[5]) then notes[#notes + 1] = {'read_position_ahead'} end

-- At the end of the stream as many must have been read as were added; the others were trimmed or deleted unread.
local entries_read, added = tonumber(fence.er or '') or -1, stream['entries-added']
local are_letters = ARGV[6] == 'letters'
local at_end = copy == last
if #notes == 0 and not at_end and are_letters then
  -- The last ones may have been deleted: nobody will ever read up to the last id.
  at_end = #redis.call('XRANGE', KEYS[2], '(' .. copy, '+', 'COUNT', 1) == 0
end
if #notes == 0 and at_end and entries_read ~= added then
  if entries_read >= 0 and added > entries_read and not are_letters then notes[#notes + 1] = {'gap', added - entries_read} end
  entries_read = added
  redis.call('XGROUP', 'SETID', KEYS[2], ARGV[4], copy, 'ENTRIESREAD', digits(added))
  redis.call('HSET', KEYS[1], 'er', digits(added))
end
redis.call('HSET', KEYS[1], 'until', digits(now_ms() + tonumber(ARGV[3])), 'ttl', ARGV[3])
return {'ours', last, group.lag or -1, digits(entries_read), notes}
