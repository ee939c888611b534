-- Claims messages: whatever is taken from a list lies in kombu's `unacked` before the script ends.
-- KEYS 1 unacked  2 unacked_index  3 leases  4 delayed  5 token  6 spaces  7 unreadable
--      8.. lists, by priority: that of the wanted space and the shared one, in turn
-- ARGV 1 now (ms)  2 end of the leases (ms)  3 most messages  4 wanted space  5 default space  6 longest message
--      7 what follows a message in `unacked`  8 prefix of lists by space  9 prefix of keys of waiting subjects
--      10 prefix of counts of lost claims  11 most spaces  12 most unreadable messages  13.. suffix of each pair of lists
-- Returns { leases that ran out, { length and end of each unreadable message }, { tag, token, lost, raw } of each claim }
local now, most, wanted, default = ARGV[1], tonumber(ARGV[3]), ARGV[4], ARGV[5]

-- What was to wait until now.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, 256)) do
  redis.call('ZREM', KEYS[4], member)
  local cut = string.find(member, '\0', 1, true)
  if cut then redis.call('LPUSH', string.sub(member, 1, cut - 1), string.sub(member, cut + 1)) end
end

local time = redis.call('TIME')
local seconds = time[1] .. '.' .. string.format('%06d', tonumber(time[2]))
-- Tokens grow, also past a Redis that forgot everything.
local token = math.max(tonumber(redis.call('GET', KEYS[5]) or '0') or 0, time[1] * 1000000 + time[2])

local function text(value) return type(value) == 'string' and value or nil end
local function part(message, name) return type(message[name]) == 'table' and message[name] or {} end

-- Whether messages that name this space have lists of their own.
local function is_known(space)
  if #space > 140 or not string.match(space, '^[%w%.%-_+]+/%d+/?[%w%.%-_+]*$') then return false end
  if redis.call('SISMEMBER', KEYS[6], space) == 1 then return true end
  if redis.call('SCARD', KEYS[6]) >= tonumber(ARGV[11]) then return false end
  return redis.call('SADD', KEYS[6], space) == 1
end

local claimed, unreadable, looked = {}, {}, 0
local index, leases, unacked, waiting = {}, {}, {}, {}
for i = 8, #KEYS do
  while #claimed < most and looked < 4096 do
    local raw = redis.call('RPOP', KEYS[i])
    if not raw then break end
    looked = looked + 1
    local read, message = false, nil
    if #raw <= tonumber(ARGV[6]) then read, message = pcall(cjson.decode, raw) end
    if not read or type(message) ~= 'table' or not text(message.body) then
      redis.call('LPUSH', KEYS[7], string.sub(raw, 1, tonumber(ARGV[6])))
      redis.call('LTRIM', KEYS[7], 0, ARGV[12] - 1)
      unreadable[#unreadable + 1] = { #raw, string.sub(raw, -8192) }
    else
      local headers, properties = part(message, 'headers'), part(message, 'properties')
      local space = text(headers.soniquebay_space) or default
      if space ~= wanted and is_known(space) then
        redis.call('LPUSH', ARGV[8] .. space .. ARGV[13 + math.floor((i - 8) / 2)], raw)
      else
        local id = text(headers.id) or text(properties.correlation_id) or ''
        local subject = text(headers.soniquebay_subject)
        if subject then waiting[#waiting + 1] = ARGV[9] .. string.sub(subject, 1, 300) end
        local redelivered = headers.redelivered == true or part(properties, 'delivery_info').redelivered == true
        local lost = redelivered and redis.call('GET', ARGV[10] .. string.sub(id, 1, 255)) or '0'
        token = token + 1
        local name = string.format('%.0f', token)
        local tag = 'soniquebay.' .. name .. '.' .. string.sub(id, 1, 255)
        local at = 2 * #claimed
        index[at + 1], index[at + 2] = seconds, tag
        leases[at + 1], leases[at + 2] = ARGV[2], tag
        unacked[at + 1], unacked[at + 2] = tag, '[' .. raw .. ARGV[7]
        claimed[#claimed + 1] = { tag, name, lost or '0', raw }
      end
    end
  end
end
if #claimed > 0 then
  redis.call('HSET', KEYS[1], unpack(unacked))
  redis.call('ZADD', KEYS[2], unpack(index))
  redis.call('ZADD', KEYS[3], unpack(leases))
  redis.call('SET', KEYS[5], string.format('%.0f', token))
end
if #waiting > 0 then redis.call('DEL', unpack(waiting)) end
return { redis.call('ZCOUNT', KEYS[3], '-inf', now), unreadable, claimed }
