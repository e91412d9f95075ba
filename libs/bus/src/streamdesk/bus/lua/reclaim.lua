-- Take over what other consumers (or this one, in a call whose answer was lost) hold longer than
-- the lease allows.
-- KEYS: streams   ARGV: group, consumer, least idle (ms), count
-- Returns {{stream index, {{id, fields, deliveries}...}}...}
local group, consumer, idle, left = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local taken = {}
for index, stream in ipairs(KEYS) do
  local cursor, entries = '0-0', {}
  repeat
    if left <= 0 then break end
    local answer = redis.pcall('XAUTOCLAIM', stream, group, consumer, idle, cursor, 'COUNT', left)
    if answer.err then break end
    cursor = answer[1]
    for _, entry in ipairs(answer[2]) do
      if entry and entry[2] then
        local row = redis.call('XPENDING', stream, group, entry[1], entry[1], 1)
        entries[#entries + 1] = {entry[1], entry[2], row[1] and row[1][4] or 1}
        left = left - 1
      end
    end
  until cursor == '0-0'
  if #entries > 0 then taken[#taken + 1] = {index, entries} end
end
return taken
