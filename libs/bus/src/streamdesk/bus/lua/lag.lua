-- Where a group stands, summed over the topic's classes.
-- KEYS: streams, the group's delayed set   ARGV: group
-- Returns {length, waiting, pending, delayed, consumers, oldest pending id or '', entries added}.
local group, delayed = ARGV[1], KEYS[#KEYS]
local length, unread, pending, added, oldest, names, consumers = 0, 0, 0, 0, '', {}, 0
local function before(a, b)
  local a_ms, a_seq = string.match(a, '(%d+)-(%d+)')
  local b_ms, b_seq = string.match(b, '(%d+)-(%d+)')
  if a_ms ~= b_ms then return tonumber(a_ms) < tonumber(b_ms) end
  return tonumber(a_seq) < tonumber(b_seq)
end
for i = 1, #KEYS - 1 do
  local stream = KEYS[i]
  if exists(stream) then
    local info = pairs_of(redis.call('XINFO', 'STREAM', stream))
    length = length + info['length']
    added = added + (info['entries-added'] or info['length'])
    local row = group_row(stream, group)
    unread = unread + waiting(stream, row, 100000)
    if row then
      pending = pending + row['pending']
      local summary = redis.call('XPENDING', stream, group)
      if summary[1] > 0 and (oldest == '' or before(summary[2], oldest)) then oldest = summary[2] end
      for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
        local name = pairs_of(flat)['name']
        if not names[name] then
          names[name] = true
          consumers = consumers + 1
        end
      end
    end
  end
end
return {length, unread, pending, redis.call('ZCARD', delayed), consumers, oldest, added}
