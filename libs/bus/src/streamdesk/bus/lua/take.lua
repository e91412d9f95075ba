-- Move delayed messages whose time has come into their streams, then take new entries, highest
-- class first, within one budget.
-- KEYS: streams, highest class first, then the group's delayed set
-- ARGV: group, consumer, count
-- Returns {{stream index, entries}...}, ms until the next delayed message (-1: none),
-- and, when nothing was taken, each stream's last id.
local group, consumer, left = ARGV[1], ARGV[2], tonumber(ARGV[3])
local delayed = KEYS[#KEYS]
local streams = slice(KEYS, 1, #KEYS - 1)
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

for _, packed in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, 100)) do
  local message = cmsgpack.unpack(packed)
  add(streams[message[1]], message[2])
  redis.call('ZREM', delayed, packed)
end

local taken = {}
for index, stream in ipairs(streams) do
  if left <= 0 then break end
  local command = {'XREADGROUP', 'GROUP', group, consumer, 'COUNT', left, 'STREAMS', stream, '>'}
  local answer = redis.pcall(unpack(command))
  if answer and answer.err and string.find(answer.err, 'NOGROUP', 1, true) then
    create_group(stream, group)
    answer = redis.call(unpack(command))
  elseif answer and answer.err then
    return answer
  end
  if answer and #answer > 0 then
    taken[#taken + 1] = {index, answer[1][2]}
    left = left - #answer[1][2]
  end
end

local due = -1
local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
if #first > 0 then due = math.max(0, math.ceil(tonumber(first[2]) - now)) end

local last = {}
if #taken == 0 then
  for _, stream in ipairs(streams) do
    last[#last + 1] = pairs_of(redis.call('XINFO', 'STREAM', stream))['last-generated-id']
  end
end
return {taken, due, last}
