-- Find entries by event id among those added since a time, to learn what became of a publish whose
-- answer was lost.
-- KEYS: 1 stream, 2 scheduled events   ARGV: since (ms), event ids...
-- Returns for each id the entry id, 'scheduled', or an empty string.
local wanted, left, found = {}, 0, {}
for i = 2, #ARGV do
  if not wanted[ARGV[i]] then left = left + 1 end
  wanted[ARGV[i]] = true
end
if exists(KEYS[1]) then
  local to = '+'
  while left > 0 do
    -- The newest first: that is where a lost answer's entries are.
    local part = redis.call('XREVRANGE', KEYS[1], to, ARGV[1], 'COUNT', PAGE)
    for _, entry in ipairs(part) do
      local id = pairs_of(entry[2])['id']
      if id and wanted[id] and not found[id] then
        found[id] = entry[1]
        left = left - 1
      end
    end
    if #part < PAGE then break end
    to = '(' .. part[#part][1]
  end
end
local answer = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  answer[i - 1] = found[id] or (redis.call('ZSCORE', KEYS[2], id) and 'scheduled') or ''
end
return answer
