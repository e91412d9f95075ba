-- Delete the keys that still have this value.
-- KEYS: any   ARGV: value
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
return #KEYS
