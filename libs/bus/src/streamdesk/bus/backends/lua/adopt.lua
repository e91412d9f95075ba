#!lua flags=allow-oom
-- Begin to take from a shard, or begin anew: all that was handed out and not finished, to whomever,
-- is ours from now on, and only a caller that names this adoption is given more. A read that the server executes
-- later than that, for a caller that has long given up, takes nothing. On a full server too.
-- KEYS: 1 stream, 2 owner, 3 fence, 4 adoption   ARGV: group, consumer, fence, adoption, count
-- Returns entries with their deliveries, oldest first, as many as `count`; nil when the shard is
-- another's.
local group, consumer = ARGV[1], ARGV[2]
if redis.call('GET', KEYS[2]) ~= consumer or redis.call('GET', KEYS[3]) ~= ARGV[3] then
  return false
end
redis.call('SET', KEYS[4], ARGV[4])
return claim(KEYS[1], group, consumer, 0, tonumber(ARGV[5]))
