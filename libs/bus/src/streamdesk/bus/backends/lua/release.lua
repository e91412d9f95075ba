-- Give back what this consumer holds and does not work on, so that another takes it at once.
-- KEYS: streams   ARGV: group, consumer, 'only' | 'except', then stream index and entry id in turn:
--       release only those, or all but those
-- The delivery does not count: no handler has seen the message.
-- Returns how many were given back.
local group, consumer, mode = ARGV[1], ARGV[2], ARGV[3]
local named = {}
for at = 4, #ARGV, 2 do named[ARGV[at] .. '/' .. ARGV[at + 1]] = true end
local released = 0
for index, stream in ipairs(KEYS) do
  local from = '-'
  while true do
    local rows = redis.pcall('XPENDING', stream, group, from, '+', 500, consumer)
    if rows.err then break end
    for _, row in ipairs(rows) do
      local is_named = named[index .. '/' .. row[1]] or false
      if is_named == (mode == 'only') then
        local deliveries = math.max(0, row[4] - 1)
        redis.call('XCLAIM', stream, group, consumer, 0, row[1],
          'IDLE', 86400000, 'RETRYCOUNT', deliveries, 'JUSTID')
        released = released + 1
      end
    end
    if #rows < 500 then break end
    from = '(' .. rows[#rows][1]
  end
end
return released
