-- A worker joins the fleet. It begins a generation if no member is alive, or if the fleet runs another version.
-- KEYS  live (see live.lua), lead (gen, version)
-- ARGV  worker, time to live in ms, version
-- Returns {generation, version}.
-- The worker is alive from then on, so sending it again begins nothing.
local lead, wrong = read_lead(KEYS[2])
wrong = wrong or wrong_type(KEYS[1], 'hash')
if wrong then return wrong end
local now = now_ms()
local alive = bring_up_to_date(KEYS[1], now, 0)
local generation = lead.gen or '0'
if generation == '0' or lead.version ~= ARGV[3] or alive == 0 then
  generation = digits(tonumber(generation) + 1)
  redis.call('HSET', KEYS[2], 'gen', generation, 'version', ARGV[3])
end
note_alive(KEYS[1], ARGV[1], now, ARGV[2], '')
return {generation, ARGV[3]}
