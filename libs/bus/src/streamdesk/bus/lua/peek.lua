-- The entries a group would be given next, highest class first, untouched.
-- KEYS: streams   ARGV: group, count
-- Returns {{stream index, entries}...}
local left, answer = tonumber(ARGV[2]), {}
for index, stream in ipairs(KEYS) do
  if left <= 0 then break end
  if exists(stream) then
    local row = group_row(stream, ARGV[1])
    local from = row and '(' .. row['last-delivered-id'] or '-'
    local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', left)
    if #entries > 0 then
      answer[#answer + 1] = {index, entries}
      left = left - #entries
    end
  end
end
return answer
