-- A run begins: it stands among the open ones, and its event in the log.
-- KEYS  open runs of the partition (run id -> entry), stream of the partition, what is over there (see over.lua)
-- ARGV  run id, entry, activation or '', entries the partition may hold, fields of the event and their values
-- Returns {'begun', id}, {'before'} for the same wish sent again, {'taken', entry}, {'over'} for an activation that has
-- ended or an entry that was given up, or {'full', length}.
local wrong = wrong_type(KEYS[1], 'hash') or wrong_type(KEYS[2], 'stream') or wrong_type(KEYS[3], 'zset')
if wrong then return wrong end
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held == ARGV[2] then return {'before'} end
if held then return {'taken', held} end
if redis.call('ZSCORE', KEYS[3], by_activation(ARGV[1], ARGV[3], ARGV[2])) then return {'over'} end
if redis.call('ZSCORE', KEYS[3], by_entry(ARGV[1], ARGV[2])) then return {'over'} end
local length = redis.call('XLEN', KEYS[2])
if length >= tonumber(ARGV[4]) then return {'full', length} end
local id = redis.call('XADD', KEYS[2], '*', unpack(ARGV, 5))
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return {'begun', id}
