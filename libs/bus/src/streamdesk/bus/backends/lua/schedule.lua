-- Publish for later: the event waits in one place for all groups, once, however often it is sent.
-- KEYS: 1 fields of scheduled events, then the topic's keys as `backlogs` has them, then, with a
--       window, the key that remembers the event
-- ARGV: number of streams, number of groups, groups..., limit (-1: none), window in ms (0: none),
--       event id, delay in ms, stream index, fields and values...
-- Returns 1; 0 when the event waits already, or was written within the window; {'FULL', backlog}.
local streams_count, groups_count = tonumber(ARGV[1]), tonumber(ARGV[2])
local groups = slice(ARGV, 3, 2 + groups_count)
local at = 3 + groups_count
local limit, window, event = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 2]
local scheduled = KEYS[2 + streams_count]
if redis.call('ZSCORE', scheduled, event) then return 0 end
if window > 0 and exists(KEYS[#KEYS]) then return 0 end
if limit >= 0 then
  for _, held in ipairs((backlogs(2, streams_count, groups))) do
    if held + 1 > limit then return {'FULL', held} end
  end
end

local due = now_ms() + tonumber(ARGV[at + 3])
local packed = cmsgpack.pack({tonumber(ARGV[at + 4]), slice(ARGV, at + 5, #ARGV)})
redis.call('HSET', KEYS[1], event, packed)
redis.call('ZADD', scheduled, due, event)
if window > 0 then redis.call('SET', KEYS[#KEYS], '', 'PX', window + tonumber(ARGV[at + 3])) end
return 1
