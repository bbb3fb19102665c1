-- Add lines to topics, each once, in one order over all topics.
-- KEYS  names of all topics, how many lines were ever added, then for each topic: its lines, and their ids (-> number)
-- ARGV  most lines of a topic, time to live (milliseconds; 0 for ever), how many topics, their names .., then for each
--       line: number of its topic from 1, its id, its text
-- Returns how many were added; the others were there. The oldest lines of a topic give way to newer ones.
local wrong = wrong_type(KEYS[1], 'set') or wrong_type(KEYS[2], 'string')
for i = 3, #KEYS, 2 do wrong = wrong or wrong_type(KEYS[i], 'stream') or wrong_type(KEYS[i + 1], 'hash') end
if wrong then return wrong end
local most, topics, added, grown = tonumber(ARGV[1]), tonumber(ARGV[3]), 0, {}
for i = 3 + topics + 1, #ARGV, 3 do
  local topic, id = tonumber(ARGV[i]), ARGV[i + 1]
  local lines, ids = KEYS[1 + 2 * topic], KEYS[2 + 2 * topic]
  if not redis.call('HGET', ids, id) then
    local number = digits(redis.call('INCR', KEYS[2]))
    redis.call('XADD', lines, number .. '-0', 'id', id, 'line', ARGV[i + 2])
    redis.call('HSET', ids, id, number)
    added, grown[topic] = added + 1, true
  end
end

for topic = 1, topics do
  local lines, ids = KEYS[1 + 2 * topic], KEYS[2 + 2 * topic]
  if grown[topic] then
    redis.call('SADD', KEYS[1], ARGV[3 + topic])
    local excess = redis.call('XLEN', lines) - most
    if excess > 0 then
      local gone = {}
      for _, entry in ipairs(redis.call('XRANGE', lines, '-', '+', 'COUNT', excess)) do gone[#gone + 1] = entry[2][2] end
      redis.call('XTRIM', lines, 'MAXLEN', '=', most)
      in_chunks('HDEL', ids, gone)
    end
    if ARGV[2] ~= '0' then
      redis.call('PEXPIRE', lines, ARGV[2])
      redis.call('PEXPIRE', ids, ARGV[2])
    end
  end
end
return added
