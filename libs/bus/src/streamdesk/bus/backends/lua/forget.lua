-- Delete a consumer that holds nothing; XGROUP DELCONSUMER alone would lose what it holds.
-- KEYS: streams   ARGV: group, consumer
for _, stream in ipairs(KEYS) do
  local rows = redis.pcall('XPENDING', stream, ARGV[1], '-', '+', 1, ARGV[2])
  if rows.err == nil and #rows == 0 then
    redis.call('XGROUP', 'DELCONSUMER', stream, ARGV[1], ARGV[2])
  end
end
return 1
