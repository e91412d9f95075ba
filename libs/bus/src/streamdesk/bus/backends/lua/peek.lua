-- The entries a group would be given next, highest class first, untouched.
-- KEYS: streams, the group's cursors   ARGV: group, count
-- Returns {{stream index, entries}...}
local left, answer = tonumber(ARGV[2]), {}
for index = 1, #KEYS - 1 do
  if left <= 0 then break end
  local seen = look(KEYS[index])
  if seen then
    local from = '(' .. position(seen, ARGV[1], KEYS[#KEYS])
    local entries = redis.call('XRANGE', seen.key, from, '+', 'COUNT', left)
    if #entries > 0 then
      answer[#answer + 1] = {index, entries}
      left = left - #entries
    end
  end
end
return answer
