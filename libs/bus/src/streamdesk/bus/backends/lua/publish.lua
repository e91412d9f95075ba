-- Append entries, all or none: within a limit, and none whose event was written a short time ago.
-- KEYS: 1 target stream, then the topic's keys as `backlog` has them, then, with a window, the
--       key that remembers each entry's event
-- ARGV: number of streams, number of groups, groups..., limit (-1: none), window in ms (0: none),
--       how many entries to keep, roughly (-1: all), entries, then a line each: number of fields
--       and values, fields and values...
-- Returns the stream's length and the ids, or {'FULL', backlog}.
local streams_count, groups_count = tonumber(ARGV[1]), tonumber(ARGV[2])
local groups = slice(ARGV, 3, 2 + groups_count)
local at = 3 + groups_count
local limit, window = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
local keep, entries = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
local memory = 3 + streams_count + 2 * groups_count

local ids, first, fresh = {}, {}, 0
for i = 1, entries do
  local event = window > 0 and KEYS[memory + i] or i
  ids[i] = window > 0 and redis.call('GET', event)
  if not ids[i] and not first[event] then
    first[event] = i
    fresh = fresh + 1
  end
end
if limit >= 0 and fresh > 0 then
  local held = backlog(2, streams_count, groups)
  if held + fresh > limit then return {'FULL', held} end
end

at = at + 4
for i = 1, entries do
  local size = tonumber(ARGV[at])
  local event = window > 0 and KEYS[memory + i] or i
  if first[event] == i then
    ids[i] = add(KEYS[1], slice(ARGV, at + 1, at + size))
    if window > 0 then redis.call('SET', event, ids[i], 'PX', window) end
  elseif not ids[i] then
    ids[i] = ids[first[event]]
  end
  at = at + 1 + size
end
if keep >= 0 then redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', keep) end
local answer = {redis.call('XLEN', KEYS[1])}
for i = 1, entries do answer[i + 1] = ids[i] end
return answer
