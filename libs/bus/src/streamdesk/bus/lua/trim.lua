-- Drop entries that every group has finished, but keep the newest `keep` of each stream.
-- KEYS: streams   ARGV: keep, groups...
-- Returns how many entries were dropped.
local function parts(id)
  local ms, seq = string.match(id, '(%d+)-(%d+)')
  return tonumber(ms), tonumber(seq)
end
local function lower(a, b)
  local a_ms, a_seq = parts(a)
  local b_ms, b_seq = parts(b)
  if a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq) then return a end
  return b
end
local keep, dropped = tonumber(ARGV[1]), 0
for _, stream in ipairs(KEYS) do
  local excess = (exists(stream) and redis.call('XLEN', stream) or 0) - keep
  if excess > 0 then
    local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', math.min(excess, 1000) + 1)
    local bound = oldest[#oldest][1]
    for g = 2, #ARGV do
      local row = group_row(stream, ARGV[g])
      if not row then
        bound = '0-0'
      else
        local summary = redis.call('XPENDING', stream, ARGV[g])
        bound = lower(bound, summary[1] > 0 and summary[2] or row['last-delivered-id'])
      end
    end
    dropped = dropped + redis.call('XTRIM', stream, 'MINID', bound)
  end
end
return dropped
