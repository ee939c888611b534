-- Whether there may be something to claim.
-- KEYS 1 leases  2 delayed  3.. lists
-- ARGV 1 now (ms)
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then return 1 end
end
for i = 1, 2 do
  if redis.call('ZCOUNT', KEYS[i], '-inf', ARGV[1]) > 0 then return 1 end
end
return 0
