-- Stop a job's schedule for the whole fleet, or let it go on.
-- KEYS  jobs (stop:JOB -> JSON of error and since)
-- ARGV  job, and to stop it: the error as JSON, server time or 0 for now
-- Returns 1 if that changed anything. What stopped it first stays.
local wrong = wrong_type(KEYS[1], 'hash')
if wrong then return wrong end
local field = 'stop:' .. ARGV[1]
if not ARGV[2] then return redis.call('HDEL', KEYS[1], field) end
if redis.call('HGET', KEYS[1], field) then return 0 end
local since = ARGV[3]
if since == '0' then since = digits(now_ms()) end
return redis.call('HSET', KEYS[1], field, '{"error":' .. ARGV[2] .. ',"since":' .. since .. '}')
