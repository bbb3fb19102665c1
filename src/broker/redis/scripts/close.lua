-- Close a claim: its run is over.
-- KEYS  jobs
-- ARGV  term, job, instant
-- Returns 1 if it was open under this term. Who led in it need not lead any more: what nobody took over is still its.
local wrong = wrong_type(KEYS[1], 'hash')
if wrong then return wrong end
local open_field = 'open:' .. ARGV[2] .. ':' .. ARGV[3]
local open = redis.call('HGET', KEYS[1], open_field)
if not open or string.match(open, '^%d+') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], open_field)
