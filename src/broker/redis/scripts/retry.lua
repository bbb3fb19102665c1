-- Put letters back into their partition, in the order given, each marked with what its letter says.
-- KEYS  dead letters, stream
-- ARGV  name of a letter's first field, name of the mark, then the ids of letters
-- Returns for each letter the id of the event put back, or '' if there is no such letter.
-- A letter that was put back is gone: the same call again puts nothing back twice. This sends, so it is not allowed to
-- go on when memory is full.
local first, mark = ARGV[1], ARGV[2]
local wrong = wrong_type(KEYS[1], 'stream')
if wrong then return wrong end
local longest = 0
for i = 3, #ARGV do
  -- Not kept for later: all of them together may be large.
  local letter = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
  if letter then
    if letter[2][1] ~= first then
      return redis.error_reply('BADLETTER entry ' .. ARGV[i] .. ' of ' .. KEYS[1] .. ' is no dead letter: it does not begin'
        .. ' with the field `' .. first .. '`')
    end
    longest = math.max(longest, #letter[2])
  end
end
wrong = longest > 0 and why_not_added(KEYS[2], longest)
if wrong then return wrong end

-- Nothing below can fail.
local back = {}
for i = 3, #ARGV do
  local letter = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
  if letter then
    local values = letter[2]
    values[#values + 1] = mark
    values[#values + 1] = values[2]
    back[#back + 1] = redis.call('XADD', KEYS[2], '*', unpack(values, 3))
    redis.call('XDEL', KEYS[1], ARGV[i])
  else
    back[#back + 1] = ''
  end
end
return back
