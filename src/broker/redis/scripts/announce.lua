-- A worker says that it is alive.
-- KEYS  live (see live.lua)
-- ARGV  worker, time to live in ms, standing (see live.lua)
-- Returns the server's time. Workers that have been dead for a day are dropped: nothing rests on them.
local wrong = wrong_type(KEYS[1], 'hash')
if wrong then return wrong end
local now = now_ms()
bring_up_to_date(KEYS[1], now, 86400000)
note_alive(KEYS[1], ARGV[1], now, ARGV[2], ARGV[3])
return digits(now)
