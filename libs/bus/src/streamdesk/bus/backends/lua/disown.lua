-- Let a shard go, if it is ours.
-- KEYS: 1 owner   ARGV: consumer
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
