-- Moves messages, each in one step: it is taken from the place where it must be, and then what follows is done; where it is
-- not in that place, nothing is.
-- KEYS 1 unacked  2 unacked_index  3 leases  4 delayed  5 dead  6 dead:order  7 dead:tracks  8 unreadable  9 spaces
-- ARGV 1 now (ms)  2 most dead letters  3 most unreadable messages  4 how long results are kept (s)  5 how long a subject
--      keeps others from being queued (s)  6.. moves: place, a, b, c, number of steps, and for each step: its name, a, b, c
-- Returns 1 or 0 for each move
local now, at = ARGV[1], 6

local function bury(id)
  local letter = redis.call('HGET', KEYS[5], id)
  redis.call('HDEL', KEYS[5], id)
  redis.call('ZREM', KEYS[6], id)
  return letter
end

local function clear_track(track)
  local id = redis.call('HGET', KEYS[7], track)
  if id then
    bury(id)
    redis.call('HDEL', KEYS[7], track)
  end
end

local from = {}
-- a tag. The tag belongs to one claim alone: whoever restores the message takes it away.
function from.lease(a)
  redis.call('ZREM', KEYS[3], a)
  redis.call('ZREM', KEYS[2], a)
  return redis.call('HDEL', KEYS[1], a) == 1
end
-- a tag, if its lease ran out.
function from.expired(a)
  local ends = redis.call('ZSCORE', KEYS[3], a)
  return ends and tonumber(ends) <= tonumber(now) and from.lease(a)
end
-- a tag, whose message somebody else restored
function from.lapsed(a) return redis.call('HEXISTS', KEYS[1], a) == 0 and redis.call('ZREM', KEYS[3], a) == 1 end
-- a key, b raw
function from.list(a, b) return redis.call('LREM', a, -1, b) == 1 end
-- a member
function from.delayed(a) return redis.call('ZREM', KEYS[4], a) == 1 end
-- a id, b track
function from.dead(a, b)
  if redis.call('HGET', KEYS[7], b) == a then redis.call('HDEL', KEYS[7], b) end
  return bury(a) and true
end
-- a key of the subject, b level, c fingerprint: nothing like it waits already, with as much or more urgency
function from.nowhere(a, b, c)
  local level, print = string.match(redis.call('GET', a) or '', '^(%d+):(.*)$')
  if level and tonumber(level) <= tonumber(b) and print == c then return false end
  redis.call('SET', a, b .. ':' .. c, 'EX', ARGV[5])
  return true
end
function from.anywhere() return true end

local step = {}
-- a raw
function step.aside(a)
  redis.call('LPUSH', KEYS[8], a)
  redis.call('LTRIM', KEYS[8], 0, ARGV[3] - 1)
end
-- Messages name the lists of what follows them: a key that is no list costs that message alone.
local function put(command, list, raw)
  if type(redis.pcall(command, list, raw)) == 'table' then step.aside(raw) end
end
-- a list, b raw: last in the queue
function step.push(a, b) put('LPUSH', a, b) end
-- a list, b raw: next in the queue
function step.back(a, b) put('RPUSH', a, b) end
-- a due (ms), b list, c raw
function step.later(a, b, c) redis.call('ZADD', KEYS[4], a, b .. '\0' .. c) end
-- a key, b meta. What was done stays done, whoever fails at it afterwards.
function step.result(a, b)
  local known = redis.pcall('GET', a)
  if type(known) == 'string' and string.find(known, '"status": ?"SUCCESS"') then return end
  redis.call('SET', a, b, 'EX', ARGV[4])
  redis.call('PUBLISH', a, b)
end
-- a id, b letter, c track
function step.die(a, b, c)
  clear_track(c)
  redis.call('HSET', KEYS[5], a, b)
  redis.call('ZADD', KEYS[6], now, a)
  redis.call('HSET', KEYS[7], c, a)
  local over = redis.call('ZCARD', KEYS[6]) - tonumber(ARGV[2])
  if over > 0 then
    for _, id in ipairs(redis.call('ZRANGE', KEYS[6], 0, over - 1)) do
      local read, letter = pcall(cjson.decode, bury(id) or '')
      local track = read and type(letter) == 'table' and letter.subject
      if type(track) == 'string' and redis.call('HGET', KEYS[7], track) == id then redis.call('HDEL', KEYS[7], track) end
    end
  end
end
-- a track: an earlier failure is forgotten
function step.revive(a) clear_track(a) end
-- a key
function step.forget(a) redis.call('DEL', a) end
-- a key: one more claim ended without a word
function step.lose(a)
  redis.call('INCR', a)
  redis.call('EXPIRE', a, 7 * 86400)
end
-- a space
function step.space(a) redis.call('SADD', KEYS[9], a) end

local moved = {}
while at <= #ARGV do
  local is_there = from[ARGV[at]](ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  local steps = tonumber(ARGV[at + 4])
  at = at + 5
  if is_there then
    for i = at, at + 4 * (steps - 1), 4 do step[ARGV[i]](ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
  end
  at = at + 4 * steps
  moved[#moved + 1] = is_there and 1 or 0
end
return moved
