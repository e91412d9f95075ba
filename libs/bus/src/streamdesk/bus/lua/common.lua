-- Shared by the other scripts: prepended to each.

local function pairs_of(flat)
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

local function exists(stream)
  return redis.call('EXISTS', stream) == 1
end

-- The group's row of XINFO GROUPS, or nil.
local function group_row(stream, group)
  if not exists(stream) then return nil end
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local row = pairs_of(flat)
    if row['name'] == group then return row end
  end
  return nil
end

-- Entries the group has not been given yet. Redis's own lag is nil after XDEL or XSETID and too
-- high after some trims, so it is believed only within bounds, and counted when it is nil.
local function waiting(stream, row, most)
  if not row then
    return exists(stream) and redis.call('XLEN', stream) or 0
  end
  local info = pairs_of(redis.call('XINFO', 'STREAM', stream))
  if row['last-delivered-id'] == info['last-generated-id'] then return 0 end
  local lag = row['lag']
  if lag then return math.min(lag, info['length']) end
  return #redis.call('XRANGE', stream, '(' .. row['last-delivered-id'], '+', 'COUNT', most)
end

-- All that the group has not finished: waiting, in hand, delayed.
local function backlog(streams, delayed, group, most)
  local total = redis.call('ZCARD', delayed)
  for _, stream in ipairs(streams) do
    local row = group_row(stream, group)
    total = total + waiting(stream, row, most) + (row and row['pending'] or 0)
  end
  return total
end

local function create_group(stream, group)
  redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
end

-- Whether the entry is still in this consumer's hands.
local function mine(stream, group, consumer, id)
  local held = redis.pcall('XPENDING', stream, group, id, id, 1)
  return held.err == nil and #held == 1 and held[1][2] == consumer
end

local function slice(list, from, to)
  local part = {}
  for i = from, to do part[#part + 1] = list[i] end
  return part
end

local function add(stream, fields)
  return redis.call('XADD', stream, '*', unpack(fields))
end
