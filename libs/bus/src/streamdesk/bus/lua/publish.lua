-- Append entries within a limit, all or nothing.
-- KEYS: 1 target stream, then all streams of the topic, then one delayed set a group
-- ARGV: number of streams, limit, number of groups, groups..., entries, then a line each:
--       number of fields and values, fields and values...
-- Returns the ids, or {'FULL', backlog}.
local streams_count, limit, groups_count = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local streams = slice(KEYS, 2, 1 + streams_count)
local at = 4 + groups_count
local entries = tonumber(ARGV[at])
for g = 1, groups_count do
  local held = backlog(streams, KEYS[1 + streams_count + g], ARGV[3 + g], limit + 1)
  if held + entries > limit then return {'FULL', held} end
end
local ids = {}
at = at + 1
for _ = 1, entries do
  local size = tonumber(ARGV[at])
  ids[#ids + 1] = add(KEYS[1], slice(ARGV, at + 1, at + size))
  at = at + 1 + size
end
return ids
