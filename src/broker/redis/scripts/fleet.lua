-- Words that the scripts of the fleet share. This file stands behind words.lua.

-- Whether a text is a number as we write them, of so many digits at most.
local function is_number(text, longest)
  return #text <= longest and (text == '0' or string.match(text, '^[1-9]%d*$') ~= nil)
end

-- Whether number a is below b. Compared as text: instants have up to 20 digits, more than a number holds.
local function below(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

-- The lead as a table, or an error that names the field a foreign hand has broken.
local function read_lead(key)
  local wrong = wrong_type(key, 'hash')
  if wrong then return nil, wrong end
  local lead = fields(redis.call('HGETALL', key))
  local function broken(name)
    return redis.error_reply('BADLEAD field `' .. name .. '` of ' .. key .. ' is broken or missing: repair it, or delete'
      .. ' this key together with the one of the jobs while no worker runs')
  end
  for _, name in ipairs({'term', 'until', 'ttl', 'gen'}) do
    if lead[name] and not is_number(lead[name], 15) then return nil, broken(name) end
  end
  if lead.owner then
    if not lead.term then return nil, broken('term') end
    if not lead['until'] then return nil, broken('until') end
  end
  return lead, nil
end

-- Whether a worker leads now, in this term.
local function leads(lead, worker, term, now)
  return lead.owner == worker and lead.term == term and lease_left(lead, now) > 0
end
