-- redis-lua against the server on 127.0.0.1 at the port given, whose password is that given. A check that fails ends it with 1.

local redis = require 'redis'
local port, password = tonumber(arg[1]), arg[2]

local function refused(words, call, ...)
  local fine, message = pcall(call, ...)
  assert(not fine, 'no error: ' .. words)
  assert(tostring(message):find(words, 1, true), message)
end

local function connected()
  local client = redis.connect('127.0.0.1', port)
  assert(client:auth(password))
  assert(client:select(2))
  return client
end

local stranger = redis.connect('127.0.0.1', port)
refused('NOAUTH', stranger.get, stranger, 'a')
refused('WRONGPASS', stranger.auth, stranger, 'wrong')
local client = connected()
assert(client:ping())

local binary = {}
for n = 0, 255 do binary[#binary + 1] = string.char(n) end
binary = table.concat(binary)
assert(client:set(binary, binary) and client:get(binary) == binary)
assert(client:expire(binary, 1000) and client:ttl(binary) > 990)
local large = ('v'):rep(8 * 1024 * 1024)
assert(client:set('large', large) and client:get('large') == large)
assert(client:get('nothing') == nil)
client:hmset('hash', { a = '1', b = '2' })
assert(client:hgetall('hash').b == '2')
assert(client:rpush('list', 'a', 'b', 'c') == 3 and table.concat(client:lrange('list', 0, -1), ',') == 'a,b,c')
assert(client:zadd('sorted', 1.5, 'm', -1, 'n') == 2)
assert(client:zrange('sorted', 0, -1)[1] == 'n' and tonumber(client:zscore('sorted', 'm')) == 1.5)

local replies, count = client:pipeline(function(pipe)
  for n = 0, 999 do
    pipe:set('k:' .. n, n)
    pipe:incr('k:' .. n)
  end
end)
assert(count == 2000 and replies[2000] == 1000)
assert(#client:keys('k:*') == 1000)

client:set('text', 'x')
refused('value is not an integer or out of range', client.incr, client, 'text')
refused('WRONGTYPE', client.lpush, client, 'text', 'x')
assert(client:get('text') == 'x')

replies = client:transaction(function(transaction)
  transaction:set('both', 1)
  transaction:incr('both')
end)
assert(replies[2] == 2)
client:watch('watched')
connected():set('watched', 'x')
client:multi()
client:set('both', 3)
client:exec()
assert(client:get('both') == '2')
assert(client:rpush('queue', 'job') == 1 and client:blpop('queue', 1)[2] == 'job')

local heard
for message, stop in connected():pubsub({ subscribe = { 'news' } }) do
  if message.kind == 'subscribe' then
    assert(client:publish('news', 'a\0b') == 1)
  else
    heard = message
    stop()
  end
end
assert(heard.channel == 'news' and heard.payload == 'a\0b')

local hasty, other = connected(), connected()
hasty.network.socket:settimeout(0.2)
assert(client:client('pause', '600000', 'WRITE'))
refused('timeout', hasty.set, hasty, 'held', 'back')
assert(client:client('unpause'))
client:client('kill', 'TYPE', 'normal', 'SKIPME', 'yes')
refused('closed', other.get, other, 'text')
other = connected()
assert(other:get('text') == 'x')
assert(other:quit())
print(redis._VERSION .. ': all well')
