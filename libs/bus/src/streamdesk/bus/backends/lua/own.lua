#!lua flags=allow-oom
-- Become or stay the one owner of a shard. On a full server too: a shard without an owner is never
-- read, and then nothing makes room.
-- KEYS: 1 owner, 2 fence   ARGV: consumer, lease (ms)
-- Returns the fence, a number that grows with each change of owner, or 0 when another owns it.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if owner then return tonumber(redis.call('GET', KEYS[2]) or redis.call('INCR', KEYS[2])) end
return redis.call('INCR', KEYS[2])
