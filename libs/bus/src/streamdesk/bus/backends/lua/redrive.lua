-- Put a dead letter's original entry back into its stream, and remove the letter.
-- KEYS: 1 dead letters, 2 target stream   ARGV: entry id, fields and values of the original...
-- Returns the new entry's id, or an empty string when the letter was gone.
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return '' end
return add(KEYS[2], slice(ARGV, 2, #ARGV))
