-- Renew the lease on what this consumer holds.
-- KEYS: streams   ARGV: group, consumer, then stream index and entry id in turn
-- Returns those that are not ours any more: stream index and entry id in turn.
local lost = {}
for at = 3, #ARGV, 2 do
  local stream, id = KEYS[tonumber(ARGV[at])], ARGV[at + 1]
  if mine(stream, ARGV[1], ARGV[2], id) then
    redis.call('XCLAIM', stream, ARGV[1], ARGV[2], 0, id, 'JUSTID')
  else
    lost[#lost + 1] = ARGV[at]
    lost[#lost + 1] = id
  end
end
return lost
