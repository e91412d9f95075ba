-- Move what has become due into its stream, then take new entries, highest class first, within
-- one budget.
-- KEYS: streams, highest class first; the group's retries, the events scheduled for all groups,
--       their fields, the group's cursors, the shard's last adoption
-- ARGV: group, consumer, count (0 takes nothing: the entries of a topic with one stream are read
--       without a script, which spares the server the way of each through Lua), the caller's
--       adoption of the shard ('' where a topic has no shards)
-- Returns {{stream index, entries}...}; ms until something else is due (-1: nothing);
-- when there was nothing to take, the last id of each stream;
-- {stream index, cursor} of each stream on which the group was lost and made again. Nil, and does
-- nothing, when the shard was adopted anew.
local group, consumer, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local streams = slice(KEYS, 1, #KEYS - 5)
local delayed, scheduled, bodies, cursors, adoption = unpack(slice(KEYS, #KEYS - 4, #KEYS))
if is_stale(adoption, ARGV[4]) then return false end
local now = now_ms()

-- Move the one that was due first, if it is time; without memory for it, leave it.
-- Returns whether to continue, and an error answer.
local function promote()
  local retry, retry_due = first_due(delayed)
  local planned, planned_due = first_due(scheduled)
  if math.min(retry_due, planned_due) > now then return false end
  local is_planned = planned_due < retry_due
  local packed = retry
  if is_planned then packed = redis.call('HGET', bodies, planned) end
  if packed then
    local message = cmsgpack.unpack(packed)
    local target = streams[message[1]] or streams[#streams]
    local added = redis.pcall('XADD', target, '*', unpack(message[2]))
    if type(added) == 'table' and added.err then return false, added end
  end
  if is_planned then
    redis.call('ZREM', scheduled, planned)
    redis.call('HDEL', bodies, planned)
  else
    redis.call('ZREM', delayed, retry)
  end
  return true
end

local is_full = false
for _ = 1, 100 do
  local goes_on, refused = promote()
  if refused and string.sub(refused.err, 1, 3) ~= 'OOM' then return refused end
  is_full = refused ~= nil
  if not goes_on then break end
end

local taken, recreated, left = {}, {}, count
for index, stream in ipairs(streams) do
  if left <= 0 then break end
  local command = {'XREADGROUP', 'GROUP', group, consumer, 'COUNT', left, 'STREAMS', stream, '>'}
  local answer = redis.pcall(unpack(command))
  if answer and answer.err and string.find(answer.err, 'NOGROUP', 1, true) then
    local cursor, _, refused = create_group(stream, group, cursors)
    if refused then return refused end
    recreated[#recreated + 1] = {index, cursor}
    answer = redis.call(unpack(command))
  elseif answer and answer.err then
    return answer
  end
  if answer and #answer > 0 then
    taken[#taken + 1] = {index, answer[1][2]}
    left = left - #answer[1][2]
  end
end

local _, retry_due = first_due(delayed)
local _, planned_due = first_due(scheduled)
local due = math.min(retry_due, planned_due)
due = due == math.huge and -1 or math.max(0, math.ceil(due - now))
if is_full then due = math.max(due, 1000) end

local last = {}
if #taken == 0 then
  -- Redis 7.0 does not count a read that finds nothing as a sign of life; this one it does. It
  -- asks for what the consumer holds from the last possible id on: nothing.
  local last_id = '18446744073709551615-0'
  local answer = redis.pcall('XREADGROUP', 'GROUP', group, consumer, 'STREAMS', streams[1], last_id)
  if answer and answer.err then
    if not string.find(answer.err, 'NOGROUP', 1, true) then return answer end
    local cursor, _, refused = create_group(streams[1], group, cursors)
    if refused then return refused end
    recreated[#recreated + 1] = {1, cursor}
  end
  for _, stream in ipairs(count > 0 and streams or {}) do
    last[#last + 1] = pairs_of(redis.call('XINFO', 'STREAM', stream))['last-generated-id']
  end
end
return {taken, due, last, recreated}
