-- See that the group is on every stream.
-- KEYS: streams, the group's cursors   ARGV: group
-- Returns {stream index, cursor} for each stream on which the group had been before and was lost.
local lost, cursors = {}, KEYS[#KEYS]
for index = 1, #KEYS - 1 do
  local seen = look(KEYS[index])
  if not (seen and seen.groups[ARGV[1]]) then
    local cursor, was_there, refused = create_group(KEYS[index], ARGV[1], cursors)
    if refused then return refused end
    if was_there then lost[#lost + 1] = {index, cursor} end
  end
end
return lost
