-- Who is alive. This file stands behind words.lua.
-- live: NAME -> `dead after, time to live`, in ms, and ` guest` of who runs one job and is no member of the fleet

-- Drops those that have been dead for so long, and answers how many members are left. Nobody is alive for longer than
-- its time to live: where the server's clock went back, this is written down, or each look would find the whole of it
-- left.
local function bring_up_to_date(key, now, dead_for)
  local all, gone, members = redis.call('HGETALL', key), {}, 0
  for i = 1, #all, 2 do
    local dead_after, lives, standing = string.match(all[i + 1], '^(%d+) (%d+)( ?%l*)$')
    if not dead_after or tonumber(dead_after) + dead_for <= now then
      gone[#gone + 1] = all[i]
    else
      if standing == '' then members = members + 1 end
      if tonumber(dead_after) - now > tonumber(lives) then
        redis.call('HSET', key, all[i], digits(now + tonumber(lives)) .. ' ' .. lives .. standing)
      end
    end
  end
  in_chunks('HDEL', key, gone)
  return members
end

local function note_alive(key, worker, now, ttl, standing)
  redis.call('HSET', key, worker, digits(now + tonumber(ttl)) .. ' ' .. ttl .. standing)
end
