-- Remove a document and its places in the indexes, if nobody has written it since it was read.
-- KEYS  document, names of all indexes, indexes to leave ..
-- ARGV  version that was read ('' if there was no document: it expired), id of the document, the names of the indexes ..
-- Returns 1, or 0: somebody has written it, and nothing was done.
local wrong = wrong_type(KEYS[1], 'hash') or wrong_type(KEYS[2], 'set')
for i = 3, #KEYS do wrong = wrong or wrong_type(KEYS[i], 'zset') end
if wrong then return wrong end
if (redis.call('HGET', KEYS[1], '#') or '') ~= ARGV[1] then return 0 end

redis.call('UNLINK', KEYS[1])
for i = 3, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[2])
  if redis.call('EXISTS', KEYS[i]) == 0 then redis.call('SREM', KEYS[2], ARGV[i]) end
end
return 1
