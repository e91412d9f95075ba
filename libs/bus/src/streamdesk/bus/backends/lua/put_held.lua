-- Write a value, but only for whom holds a lease, and only over the value that it knows.
-- KEYS: 1 lease, 2 value   ARGV: holder, whether a value is expected (0 or 1), that value, new value
-- Returns 1 when it was written.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local known = ARGV[2] == '1' and ARGV[3] or false
if redis.call('GET', KEYS[2]) ~= known then return 0 end
redis.call('SET', KEYS[2], ARGV[4])
return 1
