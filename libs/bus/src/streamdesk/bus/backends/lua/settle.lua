-- Finish one entry that failed as a whole or in part: write what follows from it, then ack it.
-- Does nothing when another consumer has the entry by now: that one decides. On a server without
-- memory the first write is refused and nothing is done.
-- KEYS: streams, the group's retries, the dead letters
-- ARGV: group, consumer, stream index, entry id, number of steps, then a step each:
--       'add' | 'delay' | 'dead', stream index, delay in ms, number of fields and values, those
-- Returns 1, or 0 when the entry was not ours any more.
local group, consumer, stream, id = ARGV[1], ARGV[2], KEYS[tonumber(ARGV[3])], ARGV[4]
if not mine(stream, group, consumer, id) then return 0 end
local delayed, dead = KEYS[#KEYS - 1], KEYS[#KEYS]
local now, at = now_ms(), 6
for _ = 1, tonumber(ARGV[5]) do
  local step, index = ARGV[at], tonumber(ARGV[at + 1])
  local wait, size = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local fields = slice(ARGV, at + 4, at + 3 + size)
  if step == 'add' then
    add(KEYS[index], fields)
  elseif step == 'delay' then
    redis.call('ZADD', delayed, now + wait, cmsgpack.pack({index, fields}))
  else
    add(dead, fields)
  end
  at = at + 4 + size
end
redis.call('XACK', stream, group, id)
return 1
