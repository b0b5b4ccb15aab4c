# redis-rb against the server on 127.0.0.1 at the port given, whose password is that given. A check that fails ends it with 1.
require "redis"

PORT, PASSWORD = Integer(ARGV[0]), ARGV[1]

def check(holds) = holds || raise("not so: #{caller(1..1).first}")

def refused(kind, words)
  yield
rescue kind => error
  check(error.message.include?(words))
else
  raise "no error: #{words}"
end

def connected(**more) = Redis.new(port: PORT, password: PASSWORD, db: 2, **more)

refused(Redis::CommandError, "NOAUTH") { Redis.new(port: PORT).get("a") }
refused(Redis::CommandError, "WRONGPASS") { connected(password: "wrong").get("a") }
redis = connected(id: "ruby")
check(redis.ping == "PONG" && redis.info["redis_version"].start_with?("7."))

binary = (0..255).to_a.pack("C*")
check(redis.set(binary, binary, ex: 1000) == "OK" && redis.get(binary).b == binary && redis.ttl(binary) > 990)
large = "v" * (8 << 20)
redis.set("large", large)
check(redis.get("large") == large && redis.get("nothing").nil? && redis.set("large", "x", nx: true) == false)
redis.mapped_hmset("hash", { "a" => "1", "b" => "2" })
check(redis.hgetall("hash") == { "a" => "1", "b" => "2" })
check(redis.rpush("list", %w[a b c]) == 3 && redis.lrange("list", 0, -1) == %w[a b c])
check(redis.zadd("sorted", [[1.5, "m"], [-1, "n"]]) == 2)
check(redis.zrange("sorted", 0, -1, with_scores: true) == [["n", -1.0], ["m", 1.5]])

replies = redis.pipelined do |pipe|
  1000.times { |n| pipe.set("k:#{n}", n); pipe.incr("k:#{n}") }
end
check(replies.length == 2000 && replies.last == 1000)
check(redis.scan_each(match: "k:*", count: 100).to_a.uniq.length == 1000)
redis.set("text", "x")
refused(Redis::CommandError, "value is not an integer or out of range") { redis.pipelined { |pipe| pipe.incr("text"); pipe.set("text", "y") } }
check(redis.get("text") == "y")
refused(Redis::CommandError, "WRONGTYPE") { redis.lpush("text", "x") }

check(redis.multi { |tx| tx.set("both", 1); tx.incr("both") } == ["OK", 2])
spoilt = redis.watch("watched") do
  connected.set("watched", "x")
  redis.multi { |tx| tx.set("both", 3) }
end
check(spoilt.nil? && redis.get("both") == "2")
waiting = Thread.new { connected.blpop("queue", timeout: 60) }
redis.rpush("queue", "job")
check(waiting.value == %w[queue job] && redis.blpop("queue", timeout: 0.01).nil?)

heard = []
connected.then do |listener|
  listener.subscribe("news") do |on|
    on.subscribe { |_, _| check(redis.publish("news", "a\0b") == 1) }
    on.message { |channel, message| heard << channel << message; listener.unsubscribe }
  end
  check(listener.get("text") == "y")
end
check(heard == ["news", "a\0b"])

hasty = connected(read_timeout: 0.2, reconnect_attempts: 0)
redis.call("CLIENT", "PAUSE", "600000", "WRITE")
refused(Redis::TimeoutError, "") { hasty.set("held", "back") }
redis.call("CLIENT", "UNPAUSE")
# It connects again by itself, once.
check(connected.then { |keen| keen.get("text"); redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"); keen.get("text") } == "y")
puts "redis-rb #{Redis::VERSION}: all well"
