#!lua flags=allow-oom
-- Say that a consumer is there, and list the others. On a full server too, as `own.lua`.
-- KEYS: 1 members: a sorted set of names by the time at which they count as gone
-- ARGV: consumer, lease (ms); a lease of 0 says that it leaves
-- Returns the names of all that are there.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if tonumber(ARGV[2]) > 0 then
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.call('ZRANGE', KEYS[1], 0, -1)
