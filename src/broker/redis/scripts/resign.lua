-- The leader gives up its term, free at once.
-- KEYS  lead
-- ARGV  worker, term
-- Returns 1 if it led in this term. Its number stays, so that the next one is above it.
local lead, wrong = read_lead(KEYS[1])
if wrong then return wrong end
if not leads(lead, ARGV[1], ARGV[2], now_ms()) then return 0 end
redis.call('HSET', KEYS[1], 'until', '0')
return 1
