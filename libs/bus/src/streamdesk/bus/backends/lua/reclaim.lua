-- Take over what other consumers (or this one, in a call whose answer was lost) hold longer than
-- the lease allows.
-- KEYS: streams, adoption   ARGV: group, consumer, least idle (ms), count, the caller's adoption of
--       the shard ('' where a topic has no shards)
-- Returns {{stream index, {{id, fields, deliveries}...}}...}
local group, consumer, idle, left = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local taken = {}
if is_stale(KEYS[#KEYS], ARGV[5]) then return taken end
for index = 1, #KEYS - 1 do
  local entries = claim(KEYS[index], group, consumer, idle, left)
  if #entries > 0 then taken[#taken + 1] = {index, entries} end
  left = left - #entries
end
return taken
