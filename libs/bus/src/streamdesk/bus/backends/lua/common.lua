-- Shared by the other scripts: prepended to each.

-- Entries and, roughly, bytes looked at, at most, to count what a group has not read where Redis's
-- own number cannot be believed: some 30 ms of a server's time. And how many entries per call.
local MOST_COUNTED, MOST_BYTES, PAGE = 10000, 10000000, 20

local function pairs_of(flat)
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

local function slice(list, from, to)
  local part = {}
  for i = from, to do part[#part + 1] = list[i] end
  return part
end

local function exists(key)
  return redis.call('EXISTS', key) == 1
end

local function now_ms()
  local clock = redis.call('TIME')
  return tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
end

-- Whether a whole number is less than another. As text: Lua's numbers are too short for some ids.
local function less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

-- Whether the entry id `a` comes before `b`.
local function before(a, b)
  if a == b then return false end
  local a_ms, a_seq = string.match(a, '(%d+)-(%d+)')
  local b_ms, b_seq = string.match(b, '(%d+)-(%d+)')
  if a_ms ~= b_ms then return less(a_ms, b_ms) end
  return less(a_seq, b_seq)
end

-- The greatest id below this one; 0-0 where only an external actor can have made it.
local function just_before(id)
  local ms, seq = string.match(id, '(%d+)-(%d+)')
  if #ms > 15 or #seq > 15 or id == '0-0' then return '0-0' end
  if seq ~= '0' then return ms .. '-' .. string.format('%.0f', tonumber(seq) - 1) end
  return string.format('%.0f', tonumber(ms) - 1) .. '-18446744073709551615'
end

-- What the server knows of a stream and, by name, of its groups; nil where there is no stream.
local function look(stream)
  local info, groups = redis.pcall('XINFO', 'STREAM', stream), {}
  if info.err then
    if exists(stream) then error(info.err) end
    return nil
  end
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local row = pairs_of(flat)
    groups[row['name']] = row
  end
  return {key = stream, info = pairs_of(info), groups = groups}
end

-- Up to where the group was given entries. A lost group's saved cursor stands in, unless the
-- stream is younger than that: then it was made anew.
local function position(seen, group, cursors)
  if seen.groups[group] then return seen.groups[group]['last-delivered-id'] end
  local saved = redis.call('HGET', cursors, seen.key)
  if saved and not before(seen.info['last-generated-id'], saved) then return saved end
  return '0-0'
end

-- How many entries come after `from`, where the stream's ends tell; nil inside of it.
local function outside(seen, from)
  if seen.info['length'] == 0 or not before(from, seen.info['last-generated-id']) then return 0 end
  if before(from, seen.info['first-entry'][1]) then return seen.info['length'] end
  return nil
end

local function bytes_of(entry)
  local bytes = 0
  for _, part in ipairs(entry[2]) do bytes = bytes + #part end
  return bytes
end

-- The same inside of it, and whether that is exact: counted from there to the nearer end, entry by
-- entry, up to the bounds above. Beyond them `guess`, within what is known by then.
local function counted(seen, from, guess)
  local length = seen.info['length']
  local after, behind, bytes, up, down = 0, 0, 0, '(' .. from, from
  while after + behind < MOST_COUNTED and bytes < MOST_BYTES do
    local part = redis.call('XRANGE', seen.key, up, '+', 'COUNT', PAGE)
    after = after + #part
    if #part < PAGE then return after, true end
    up = '(' .. part[PAGE][1]
    bytes = bytes + 2 * PAGE * bytes_of(part[1])
    part = redis.call('XREVRANGE', seen.key, down, '-', 'COUNT', PAGE)
    behind = behind + #part
    if #part < PAGE then return length - behind, true end
    down = '(' .. part[PAGE][1]
  end
  return math.max(after, math.min(guess or length, length - behind)), false
end

-- How many entries have left the stream since it was made, whatever removed them.
local function gone(seen)
  return seen.info['entries-added'] - seen.info['length']
end

-- Entries the group has not been given yet. Redis's own lag is nil or wrong after entries that
-- the group had not read were removed (XTRIM, XDEL) or numbered anew (XSETID). The bus notes in
-- `trimmed` how many it removed itself, all of them read: while that is all, lag is right.
local function waiting(seen, group, cursors, trimmed)
  local from = position(seen, group, cursors)
  local unread = outside(seen, from)
  if unread then return unread end
  local row = seen.groups[group]
  local lag = row and row['lag']
  local is_possible = lag and lag >= 0 and lag < seen.info['length']
  if is_possible and gone(seen) == (tonumber(trimmed[seen.key]) or 0) then return lag end
  return (counted(seen, from, lag))
end

-- How many unfinished messages each group has: waiting, pending, delayed; and the streams as seen.
-- The topic's keys begin at KEYS[at]: streams, scheduled events, trimmed, then for each group its
-- retries and its cursors.
local function backlogs(at, streams_count, groups)
  local helpers = at + streams_count
  local planned = redis.call('ZCARD', KEYS[helpers])
  local trimmed = pairs_of(redis.call('HGETALL', KEYS[helpers + 1]))
  local streams, counts = {}, {}
  for i = 1, streams_count do streams[i] = look(KEYS[at + i - 1]) or false end
  for g, group in ipairs(groups) do
    local held = planned + redis.call('ZCARD', KEYS[helpers + 2 * g])
    for _, seen in ipairs(streams) do
      local row = seen and seen.groups[group]
      if seen then held = held + waiting(seen, group, KEYS[helpers + 2 * g + 1], trimmed) end
      held = held + (row and row['pending'] or 0)
    end
    counts[g] = held
  end
  return counts, streams
end

-- Make a group that is not there: where it had finished before it was lost, never at the end.
-- Returns the cursor and whether it had been there, or nil, nil and an error.
local function create_group(stream, group, cursors)
  local seen = look(stream)
  local cursor = seen and position(seen, group, cursors) or '0-0'
  -- A script that has begun to write may continue without memory, and this write changes nothing:
  -- while there is no group nothing is read, and a full server stays full.
  redis.call('HDEL', cursors, '')
  local made = redis.pcall('XGROUP', 'CREATE', stream, group, cursor, 'MKSTREAM')
  if made.err then return nil, nil, made end
  local was_there = redis.call('HEXISTS', cursors, stream) == 1
  redis.call('HSET', cursors, stream, cursor)
  return cursor, was_there
end

-- Whether the entry is still pending for this consumer.
local function mine(stream, group, consumer, id)
  local held = redis.pcall('XPENDING', stream, group, id, id, 1)
  return held.err == nil and #held == 1 and held[1][2] == consumer
end

local function add(stream, fields)
  return redis.call('XADD', stream, '*', unpack(fields))
end

-- The member of a sorted set that is due first, and when; never where the set is empty.
local function first_due(set)
  local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  if #first == 0 then return nil, math.huge end
  return first[1], tonumber(first[2])
end

-- Whether a shard was adopted anew since this adoption. Topics without shards have none.
local function is_stale(key, adoption)
  return adoption ~= '' and redis.call('GET', key) ~= adoption
end

-- Hand out again what was not renewed for `idle` ms, to `consumer`: {{id, fields, deliveries}...},
-- oldest first, as many as `left`.
local function claim(stream, group, consumer, idle, left)
  local cursor, entries = '0-0', {}
  repeat
    if left <= #entries then break end
    local answer = redis.pcall('XAUTOCLAIM', stream, group, consumer, idle, cursor,
      'COUNT', left - #entries)
    if answer.err then break end
    cursor = answer[1]
    for _, entry in ipairs(answer[2]) do
      if entry and entry[2] then
        local row = redis.call('XPENDING', stream, group, entry[1], entry[1], 1)
        entries[#entries + 1] = {entry[1], entry[2], row[1] and row[1][4] or 1}
      end
    end
  until cursor == '0-0'
  return entries
end
