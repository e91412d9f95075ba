-- Append entries, all or none: within a limit, and none whose event was written a short time ago.
-- At the limit a group may give up unread entries of lower classes for them: those become dead
-- letters.
-- KEYS: 1 target stream, 2 dead letters (the target where nothing is given up), then the topic's
--       keys as `backlogs` has them, then, with a window, the key that remembers each entry's event
-- ARGV: number of streams, number of groups, groups..., limit (-1: none), window in ms (0: none),
--       how many entries to keep, roughly (-1: all), what is said of what is given up (JSON, as
--       `displacing_argument` makes it; '': nothing is), entries, then a line each: number of
--       fields and values, fields and values...
-- Returns {the stream's length, ids..., a row each of what was given up: {group, stream index, event
-- id}}, or {'FULL', backlog}.
local streams_count, groups_count = tonumber(ARGV[1]), tonumber(ARGV[2])
local groups = slice(ARGV, 3, 2 + groups_count)
local at = 3 + groups_count
local limit, window = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
local keep, letters, entries = tonumber(ARGV[at + 2]), ARGV[at + 3], tonumber(ARGV[at + 4])
local memory = 4 + streams_count + 2 * groups_count
local given_up = letters ~= '' and cjson.decode(letters)

-- The position of each entry's line, and those that are new, in order.
local lines, ids, first, fresh = {}, {}, {}, {}
at = at + 5
for i = 1, entries do
  lines[i] = at
  at = at + 1 + tonumber(ARGV[at])
  local event = window > 0 and KEYS[memory + i] or i
  ids[i] = window > 0 and redis.call('GET', event)
  if not ids[i] and not first[event] then
    first[event] = i
    fresh[#fresh + 1] = i
  end
end

local function fields_of(i)
  return slice(ARGV, lines[i] + 1, lines[i] + tonumber(ARGV[lines[i]]))
end

local function cursors_of(g)
  return KEYS[4 + streams_count + 2 * g]
end

-- Unread entries of the streams below the newcomers': the lowest class first, in it the oldest.
local function weakest(seen, g, wanted)
  local found = {}
  for i = streams_count, given_up and given_up['stream'] + 1 or streams_count + 1, -1 do
    if #found == wanted then break end
    if seen[i] then
      local from = '(' .. position(seen[i], groups[g], cursors_of(g))
      local part = redis.call('XRANGE', seen[i].key, from, '+', 'COUNT', wanted - #found)
      for _, entry in ipairs(part) do
        found[#found + 1] = {stream = i, id = entry[1], flat = entry[2], by = fresh[#found + 1]}
      end
    end
  end
  return found
end

-- As JSON; bytes that are not UTF-8 are escaped, as Python's `backslashreplace` does.
local function quoted(text)
  local rest = string.gsub(text, '[\194-\223][\128-\191]', '?')
  rest = string.gsub(rest, '\224[\160-\191][\128-\191]', '?')
  rest = string.gsub(rest, '\237[\128-\159][\128-\191]', '?')
  rest = string.gsub(rest, '[\225-\236\238\239][\128-\191][\128-\191]', '?')
  rest = string.gsub(rest, '\240[\144-\191][\128-\191][\128-\191]', '?')
  rest = string.gsub(rest, '[\241-\243][\128-\191][\128-\191][\128-\191]', '?')
  rest = string.gsub(rest, '\244[\128-\143][\128-\191][\128-\191]', '?')
  if string.find(rest, '[\128-\255]') then
    text = string.gsub(text, '[\128-\255]', function(byte)
      return string.format('\\x%02x', string.byte(byte))
    end)
  end
  return cjson.encode(text)
end

-- The fields of the dead letter: see `DeadLetter`. Its JSON is written out, since an empty list
-- would come out of cjson as an object.
local function letter(group, doomed, fields)
  local by, history = pairs_of(fields_of(doomed.by)), fields['h'] or ''
  local detail = 'displaced by ' .. by['t'] .. ' ' .. by['id'] .. ' of class ' .. given_up['class']
  if not pcall(cjson.decode, history) then history = '[]' end
  local replays = string.match(fields['rp'] or '', '^%d+$') or '0'
  local body = '{"topic":' .. quoted(given_up['topic']) .. ',"group":' .. quoted(group)
    .. ',"reason":' .. quoted(given_up['reason']) .. ',"detail":' .. quoted(detail)
    .. ',"attempts":' .. history .. ',"event_type":' .. quoted(fields['t'] or '')
    .. ',"event_version":' .. quoted(fields['v'] or '') .. ',"event_id":'
    .. quoted(fields['id'] or '') .. ',"stream":' .. doomed.stream - 1 .. ',"replays":' .. replays
    .. ',"body":' .. quoted(fields['b'] or '') .. ',"dead_at":' .. quoted(given_up['dead_at']) .. '}'
  local written = {
    't', given_up['type'], 'v', given_up['version'], 'k', given_up['topic'],
    'id', table.remove(given_up['ids']), 'at', given_up['at'], 'b', body
  }
  for i = 1, #doomed.flat, 2 do
    written[#written + 1] = 'o:' .. doomed.flat[i]
    written[#written + 1] = doomed.flat[i + 1]
  end
  return written
end

-- Move the group past these entries of one stream, all that were unread up to the last of them.
-- Nothing is deleted: other groups and readers without a group still find them.
local function pass(seen, g, count, last)
  local row = seen.groups[groups[g]]
  if not row then
    local _, _, refused = create_group(seen.key, groups[g], cursors_of(g))
    if refused then error(refused.err) end
  end
  local command = {'XGROUP', 'SETID', seen.key, groups[g], last}
  if row and row['entries-read'] then
    command[6], command[7] = 'ENTRIESREAD', row['entries-read'] + count
  end
  redis.call(unpack(command))
end

local function give_up(seen, g, found)
  local rows, counts, last = {}, {}, {}
  for _, doomed in ipairs(found) do
    local fields = pairs_of(doomed.flat)
    local only = fields['g'] or ''
    if only == '' or only == groups[g] then -- else another group's retry: nothing is given up
      add(KEYS[2], letter(groups[g], doomed, fields))
      rows[#rows + 1] = {groups[g], doomed.stream, fields['id'] or ''}
    end
    counts[doomed.stream] = (counts[doomed.stream] or 0) + 1
    last[doomed.stream] = doomed.id
  end
  for i, id in pairs(last) do pass(seen[i], g, counts[i], id) end
  return rows
end

local doomed, seen = {}, nil
if limit >= 0 and #fresh > 0 then
  local counts
  counts, seen = backlogs(3, streams_count, groups)
  for g, held in ipairs(counts) do
    local wanted = math.min(#fresh, held + #fresh - limit)
    doomed[g] = wanted > 0 and weakest(seen, g, wanted) or {}
    if #doomed[g] < wanted then return {'FULL', held} end
  end
end

local displaced = {}
for g, found in ipairs(doomed) do
  for _, row in ipairs(give_up(seen, g, found)) do displaced[#displaced + 1] = row end
end
for i = 1, entries do
  local event = window > 0 and KEYS[memory + i] or i
  if first[event] == i then
    ids[i] = add(KEYS[1], fields_of(i))
    if window > 0 then redis.call('SET', event, ids[i], 'PX', window) end
  elseif not ids[i] then
    ids[i] = ids[first[event]]
  end
end
if keep >= 0 then redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', keep) end
local answer = {redis.call('XLEN', KEYS[1])}
for i = 1, entries do answer[i + 1] = ids[i] end
for _, row in ipairs(displaced) do answer[#answer + 1] = row end
return answer
