-- Renew the lease on what this consumer holds.
-- KEYS: streams
-- ARGV: group, consumer, then in turn stream index, entry id and deliveries: 0 for an entry that
--       another consumer may have taken and finished by now
-- Returns those that are not ours any more: stream index and entry id in turn.
local group, consumer, lost = ARGV[1], ARGV[2], {}

-- What no consumer holds although none could take it: an external actor deleted our name, and all it
-- held. It is in flight here nevertheless. A lost group restarts before it: then it comes again.
local function take_back(stream, id, deliveries)
  local seen = look(stream)
  local row = seen and seen.groups[group]
  if not row or before(row['last-delivered-id'], id) then return false end
  if #redis.call('XPENDING', stream, group, id, id, 1) > 0 then return false end
  return #redis.call('XCLAIM', stream, group, consumer, 0, id,
    'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID') > 0
end

for at = 3, #ARGV, 3 do
  local stream, id, deliveries = KEYS[tonumber(ARGV[at])], ARGV[at + 1], tonumber(ARGV[at + 2])
  if mine(stream, group, consumer, id) then
    redis.call('XCLAIM', stream, group, consumer, 0, id, 'JUSTID')
  elseif deliveries == 0 or not take_back(stream, id, deliveries) then
    lost[#lost + 1] = ARGV[at]
    lost[#lost + 1] = id
  end
end
return lost
