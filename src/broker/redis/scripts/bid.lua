-- A worker bids to lead, or to go on leading.
-- KEYS  lead (owner, term, until, ttl; gen, version)
-- ARGV  worker, time to live in ms
-- Returns {'leader', term, now, generation, version} or {'follower', owner, term, ms it lasts, now}.
-- A lapsed term is prolonged for nobody, not even for its owner: each begins a new one.
local lead, wrong = read_lead(KEYS[1])
if wrong then return wrong end
local now, ttl = now_ms(), tonumber(ARGV[2])
local left = lease_left(lead, now)
if left > 0 and lead.owner ~= ARGV[1] then
  if now + left < tonumber(lead['until']) then
    -- The server's clock went back. Unless this is kept, each bid would find the whole time to live left.
    redis.call('HSET', KEYS[1], 'until', digits(now + left))
  end
  return {'follower', lead.owner, lead.term, digits(left), digits(now)}
end
local term = lead.term or '0'
if left == 0 then term = digits(tonumber(term) + 1) end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'term', term, 'until', digits(now + ttl), 'ttl', digits(ttl))
return {'leader', term, digits(now), lead.gen or '0', lead.version or ''}
