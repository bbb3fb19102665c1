-- Which runs are over, so that a begin that arrives late does not begin one again. This file stands behind words.lua.
-- over: `RUN ACTIVATION` of an activation that has ended, `RUN sha1` of an entry that must not begin any more -> when, in
-- ms. It is kept for longer than a request can be under way. The newest are kept however old they are, so that a clock
-- that goes forward forgets nothing of what just ended; more than the log itself may hold never are.
local KEPT_MS, FEWEST, MOST, AT_ONCE = 600000, 1000, 50000, 8

-- What an entry that must not begin is kept as.
local function by_entry(run, entry)
  return run .. ' ' .. redis.sha1hex(entry)
end

-- What an activation that has ended is kept as. Entries that name none are their own.
local function by_activation(run, activation, entry)
  if activation == '' then return by_entry(run, entry) end
  return run .. ' ' .. activation
end

-- Keeps one, and drops some of those that need not be kept any more: more than one, so that they become fewer.
local function keep_over(key, name)
  local now = now_ms()
  redis.call('ZADD', key, digits(now), name)
  local count = redis.call('ZCARD', key)
  if count <= FEWEST then return end
  local oldest = redis.call('ZRANGE', key, 0, AT_ONCE - 1, 'WITHSCORES')
  for i = 1, #oldest, 2 do
    local is_old = now - tonumber(oldest[i + 1]) >= KEPT_MS
    if count <= FEWEST or not (is_old or count > MOST) then return end
    redis.call('ZREM', key, oldest[i])
    count = count - 1
  end
end
