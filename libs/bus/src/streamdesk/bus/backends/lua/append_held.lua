-- Append entries and write a value in one step, but only for whom holds a lease, and only over the
-- value that it knows.
-- KEYS: 1 lease, 2 value, 3 stream
-- ARGV: holder, whether a value is expected (0 or 1), that value, new value, how many entries to
--       keep, roughly, number of entries, then a line each: number of fields and values, those
-- Returns the ids; nil when nothing was written.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local known = ARGV[2] == '1' and ARGV[3] or false
if redis.call('GET', KEYS[2]) ~= known then return false end
local ids, at = {}, 7
for i = 1, tonumber(ARGV[6]) do
  local size = tonumber(ARGV[at])
  ids[i] = add(KEYS[3], slice(ARGV, at + 1, at + size))
  at = at + 1 + size
end
redis.call('XTRIM', KEYS[3], 'MAXLEN', '~', ARGV[5])
redis.call('SET', KEYS[2], ARGV[4])
return ids
