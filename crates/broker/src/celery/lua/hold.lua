-- Which claims are still held; those are refreshed in kombu's index, so that no Python worker restores them, and given until
-- another moment where one is named.
-- KEYS 1 unacked  2 unacked_index  3 leases
-- ARGV 1 end of the leases (ms) or ''  2.. tags
-- Returns 1 or 0 for each tag
local time = redis.call('TIME')
local seconds = time[1] .. '.' .. string.format('%06d', tonumber(time[2]))
local held = {}
for i = 2, #ARGV do
  held[i - 1] = redis.call('HEXISTS', KEYS[1], ARGV[i])
  if held[i - 1] == 1 then
    redis.call('ZADD', KEYS[2], 'XX', seconds, ARGV[i])
    if ARGV[1] ~= '' then redis.call('ZADD', KEYS[3], ARGV[1], ARGV[i]) end
  end
end
return held
