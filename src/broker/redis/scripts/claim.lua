-- Claim one instant of a job, under the claimer's term.
-- KEYS  lead, jobs (last:JOB -> instants up to here are taken; fired:JOB -> last instant that was to be run;
--       by:JOB -> `term kind` of the claim that moved `last`;
--       open:JOB:INSTANT -> term that may close it, with ` again` behind if it took it over)
-- ARGV  worker, term, job, instant, kind (base, once, open)
-- Returns 'ours', 'again' (an earlier term left it open), 'taken' or 'deposed'.
-- Only one worker leads in a term, so the claim of a term that has it already is a resend, answered as at first.
local worker, term, job, instant, kind = unpack(ARGV)
local lead, wrong = read_lead(KEYS[1])
wrong = wrong or wrong_type(KEYS[2], 'hash')
if wrong then return wrong end
if not leads(lead, worker, term, now_ms()) then return 'deposed' end

local open_field, by_us = 'open:' .. job .. ':' .. instant, term .. ' ' .. kind
local last = redis.call('HGET', KEYS[2], 'last:' .. job)
local open = redis.call('HGET', KEYS[2], open_field)
local holder, again = string.match(open or '', '^(%d+)(.*)$')
local function broken(name)
  return redis.error_reply('BADJOBS field `' .. name .. '` of ' .. KEYS[2] .. ' is broken: repair it, or delete it to'
    .. ' have the job begin afresh')
end
if last and not is_number(last, 20) then return broken('last:' .. job) end
if open and not (holder and is_number(holder, 15) and (again == '' or again == ' again')) then
  return broken(open_field)
end

if not last or (kind ~= 'base' and below(last, instant)) then
  redis.call('HSET', KEYS[2], 'last:' .. job, instant, 'by:' .. job, by_us)
  if kind ~= 'base' then redis.call('HSET', KEYS[2], 'fired:' .. job, instant) end
  if kind == 'open' then redis.call('HSET', KEYS[2], open_field, term) end
  return 'ours'
end
if kind ~= 'open' then
  return last == instant and redis.call('HGET', KEYS[2], 'by:' .. job) == by_us and 'ours' or 'taken'
end
if not open then return 'taken' end
if holder == term then return again == '' and 'ours' or 'again' end
redis.call('HSET', KEYS[2], open_field, term .. ' again')
return 'again'
