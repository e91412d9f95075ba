-- Find entries by event id among those added since a time, to learn what became of a publish whose
-- answer was lost.
-- KEYS: 1 stream   ARGV: since (ms), event ids...
-- Returns for each id the entry id, or an empty string.
local found = {}
if exists(KEYS[1]) then
  local from = ARGV[1]
  while true do
    local part = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 500)
    for _, entry in ipairs(part) do
      local id = pairs_of(entry[2])['id']
      if id then found[id] = entry[1] end
    end
    if #part < 500 then break end
    from = '(' .. part[#part][1]
  end
end
local answer = {}
for i = 2, #ARGV do answer[#answer + 1] = found[ARGV[i]] or '' end
return answer
