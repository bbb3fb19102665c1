-- Write parts of a document, if nobody has written it since it was read.
-- KEYS  document (part -> bytes, '#' -> version), names of all indexes, indexes to join .., indexes to leave ..
-- ARGV  version that was read ('' if there was no document), version from now on, time to live (milliseconds; 0 for ever;
--       '' as it is), id of the document, its place in the indexes, how many to join, the names of those to join and to
--       leave .., parts and their bytes ..
-- Returns {'written'}, or {'changed', the document as it is}: nothing was done.
local wrong = wrong_type(KEYS[1], 'hash') or wrong_type(KEYS[2], 'set')
for i = 3, #KEYS do wrong = wrong or wrong_type(KEYS[i], 'zset') end
if wrong then return wrong end
if (redis.call('HGET', KEYS[1], '#') or '') ~= ARGV[1] then return {'changed', redis.call('HGETALL', KEYS[1])} end

redis.call('HSET', KEYS[1], '#', ARGV[2])
-- Behind the six words and a name for each index.
local parts = 6 + (#KEYS - 2) + 1
for i = parts, #ARGV, 1000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
if ARGV[3] == '0' then
  redis.call('PERSIST', KEYS[1])
elseif ARGV[3] ~= '' then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end

local joins = tonumber(ARGV[6])
for i = 3, #KEYS do
  local name = ARGV[6 + i - 2]
  if i - 2 <= joins then
    redis.call('ZADD', KEYS[i], ARGV[5], ARGV[4])
    redis.call('SADD', KEYS[2], name)
  else
    redis.call('ZREM', KEYS[i], ARGV[4])
    if redis.call('EXISTS', KEYS[i]) == 0 then redis.call('SREM', KEYS[2], name) end
  end
end
return {'written'}
