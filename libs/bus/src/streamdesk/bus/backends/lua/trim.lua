-- Housekeeping: drop entries that every group has finished, but keep the newest `keep` of each
-- stream; save how far the groups are; set Redis's lag right where it cannot know; delete names of
-- consumers that are gone.
-- KEYS: streams, trimmed, then each group's cursors
-- ARGV: keep, idle time (ms) after which a name that holds nothing is deleted, number of groups
--       that must have every entry, those, then groups whose cursors alone are saved
-- Returns how many entries were dropped.
local keep, gone_ms, needed = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local groups = slice(ARGV, 4, #ARGV)
local streams_count = #KEYS - 1 - #groups
local trimmed_key = KEYS[streams_count + 1]
local trimmed = pairs_of(redis.call('HGETALL', trimmed_key))

-- Up to where the group has finished everything.
local function finished(stream, row)
  if row['pending'] == 0 then return row['last-delivered-id'] end
  return just_before(redis.call('XPENDING', stream, row['name'])[2])
end

local function drop(seen)
  local excess = seen.info['length'] - keep
  if excess <= 0 then return 0 end
  for g = 1, needed do
    if not seen.groups[groups[g]] then return 0 end
  end
  local oldest = redis.call('XRANGE', seen.key, '-', '+', 'COUNT', math.min(excess, 1000) + 1)
  local bound = oldest[#oldest][1]
  -- Every group counts, those too that no topic names: what is unread is not ours to drop.
  for _, row in pairs(seen.groups) do
    local cursor = finished(seen.key, row)
    if before(cursor, bound) then bound = cursor end
  end
  local dropped = redis.call('XTRIM', seen.key, 'MINID', bound)
  if dropped > 0 then trimmed[seen.key] = redis.call('HINCRBY', trimmed_key, seen.key, dropped) end
  return dropped
end

-- Where an external actor removed entries, Redis may count them as unread indefinitely.
local function set_lag_right(seen)
  local is_known = gone(seen) == (tonumber(trimmed[seen.key]) or 0)
  local is_exact = true
  for name, row in pairs(seen.groups) do
    local from = row['last-delivered-id']
    -- Before a deleted entry Redis gives no number, whatever ENTRIESREAD says.
    local is_blind = not row['lag'] and not before(from, seen.info['max-deleted-entry-id'])
    if not is_known or is_blind then
      local unread, exact = outside(seen, from), true
      if not unread then unread, exact = counted(seen, from) end
      local read = seen.info['entries-added'] - unread
      if exact then redis.call('XGROUP', 'SETID', seen.key, name, from, 'ENTRIESREAD', read) end
      is_exact = is_exact and exact
    end
  end
  -- A server without memory refuses; then the next call tries again.
  if not is_known and is_exact then redis.pcall('HSET', trimmed_key, seen.key, gone(seen)) end
end

local function save_cursors(seen)
  for g, group in ipairs(groups) do
    local row, cursors = seen.groups[group], KEYS[streams_count + 1 + g]
    local cursor = row and finished(seen.key, row)
    if cursor and redis.call('HGET', cursors, seen.key) ~= cursor then
      redis.pcall('HSET', cursors, seen.key, cursor)
    end
  end
end

-- Killed processes leave their names, and so do those that gave something back when they ended. One
-- that is alive after all gets its name again with its next read.
local function forget_gone(seen)
  for _, group in ipairs(groups) do
    local is_there = seen.groups[group]
    for _, flat in ipairs(is_there and redis.call('XINFO', 'CONSUMERS', seen.key, group) or {}) do
      local row = pairs_of(flat)
      if row['pending'] == 0 and row['idle'] >= gone_ms then
        redis.call('XGROUP', 'DELCONSUMER', seen.key, group, row['name'])
      end
    end
  end
end

local dropped = 0
for i = 1, streams_count do
  local seen = look(KEYS[i])
  if seen then
    local here = drop(seen)
    if here > 0 then seen = look(KEYS[i]) end
    dropped = dropped + here
    set_lag_right(seen)
    save_cursors(seen)
    forget_gone(seen)
  end
end
return dropped
