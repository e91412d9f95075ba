-- Where a group stands, on each stream.
-- KEYS: streams, the group's retries, scheduled events, the group's cursors, trimmed   ARGV: group
-- Returns how many messages are delayed;
-- {length, waiting, pending, entries ever added, oldest pending id or ''} a stream;
-- {name, pending, idle in ms} a consumer and stream.
local group, rows, consumers = ARGV[1], {}, {}
local delayed, scheduled, cursors, trimmed_key = unpack(slice(KEYS, #KEYS - 3, #KEYS))
local trimmed = pairs_of(redis.call('HGETALL', trimmed_key))
for i = 1, #KEYS - 4 do
  local seen = look(KEYS[i])
  if seen then
    local row, oldest = seen.groups[group], ''
    if row and row['pending'] > 0 then oldest = redis.call('XPENDING', seen.key, group)[2] end
    rows[i] = {
      seen.info['length'], waiting(seen, group, cursors, trimmed), row and row['pending'] or 0,
      seen.info['entries-added'], oldest
    }
    for _, flat in ipairs(row and redis.call('XINFO', 'CONSUMERS', seen.key, group) or {}) do
      local consumer = pairs_of(flat)
      consumers[#consumers + 1] = {consumer['name'], consumer['pending'], consumer['idle']}
    end
  else
    rows[i] = {0, 0, 0, 0, ''}
  end
end
return {redis.call('ZCARD', delayed) + redis.call('ZCARD', scheduled), rows, consumers}
