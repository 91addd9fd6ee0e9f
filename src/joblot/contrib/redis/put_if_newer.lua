-- purpose: keep a copy of a job's progress, for a time
-- guard: a copy of a later snapshot stays; a reader that was slow does not replace it
local kept = redis.call('HGET', KEYS[1], 'at')
if kept and tonumber(kept) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'at', ARGV[1], 'body', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
