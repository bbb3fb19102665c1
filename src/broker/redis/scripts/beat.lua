-- A member says that it is alive, and learns who else is.
-- KEYS  members (gen, plan; m:NAME -> `since ttl`; s:PARTITION -> `kind id since error`), beats (NAME -> dead after)
-- ARGV  member, time to live in ms, generation it knows or -1
-- Returns {now, our since, generation, plan or nil if known, {name, dead after, since, ..}, {partition, stop, ..}}.
-- The dead stay on the roster until a plan without them is installed.
local wrong = wrong_type(KEYS[1], 'hash') or wrong_type(KEYS[2], 'zset')
if wrong then return wrong end
local now, ttl = now_ms(), tonumber(ARGV[2])
local mine = redis.call('HGET', KEYS[1], 'm:' .. ARGV[1])
local since = mine and string.match(mine, '^(%d+) ') or digits(now)
redis.call('HSET', KEYS[1], 'm:' .. ARGV[1], since .. ' ' .. digits(ttl))
redis.call('ZADD', KEYS[2], digits(now + ttl), ARGV[1])

local all = fields(redis.call('HGETALL', KEYS[1]))
local members, stopped = {}, {}
local beats = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
for i = 1, #beats, 2 do
  local name, dead_after = beats[i], tonumber(beats[i + 1])
  local joined, lives = string.match(all['m:' .. name] or '', '^(%d+) (%d+)$')
  if lives and dead_after - now > tonumber(lives) then
    -- The server's clock went back: nobody is known to be alive for longer than its time to live.
    dead_after = now + tonumber(lives)
    redis.call('ZADD', KEYS[2], digits(dead_after), name)
  end
  members[#members + 1] = name
  members[#members + 1] = digits(math.max(dead_after, 0))
  members[#members + 1] = joined or '0'
end
for name, value in pairs(all) do
  local partition = string.match(name, '^s:(%d+)$')
  if partition then
    stopped[#stopped + 1] = partition
    stopped[#stopped + 1] = value
  end
end
local generation = all.gen or '0'
local plan = all.plan or ''
if generation == ARGV[3] then plan = false end
return {digits(now), since, generation, plan, members, stopped}
