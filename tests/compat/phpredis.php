<?php
// phpredis against the server on 127.0.0.1 at the port given, whose password is that given. A check that fails ends it with 1.

[, $port, $password] = $argv;

function check(bool $holds): void
{
    if (!$holds) {
        throw new LogicException('not so');
    }
}

function refused(callable $call, string $words): void
{
    try {
        $call();
    } catch (RedisException $error) {
        check(str_contains($error->getMessage(), $words));
        return;
    }
    throw new LogicException("no error: $words");
}

function connected(float $read_timeout = 0): Redis
{
    global $port, $password;
    $redis = new Redis();
    check($redis->connect('127.0.0.1', (int) $port, 5, null, 0, $read_timeout, ['auth' => $password]));
    check($redis->select(2));
    return $redis;
}

// The handshake.
$stranger = new Redis();
$stranger->connect('127.0.0.1', (int) $port);
refused(fn () => $stranger->get('a'), 'NOAUTH');
refused(fn () => $stranger->auth('wrong'), 'WRONGPASS');
$redis = connected();
check($redis->ping() === true && $redis->echo('hello') === 'hello');

// Values of all kinds, as PHP's own serializer writes them, too.
$binary = implode('', array_map('chr', range(0, 255)));
check($redis->set($binary, $binary, ['ex' => 1000]) && $redis->get($binary) === $binary);
check($redis->ttl($binary) > 990);
$large = str_repeat('v', 8 << 20);
check($redis->set('large', $large) && $redis->get('large') === $large);
check($redis->get('nothing') === false && $redis->set('large', 'x', ['nx']) === false);
check($redis->hMSet('hash', ['a' => '1', 'b' => '2']) && $redis->hGetAll('hash') === ['a' => '1', 'b' => '2']);
check($redis->rPush('list', 'a', 'b', 'c') === 3 && $redis->lRange('list', 0, -1) === ['a', 'b', 'c']);
check($redis->zAdd('sorted', 1.5, 'm', -1, 'n') === 2);
check($redis->zRange('sorted', 0, -1, true) === ['n' => -1.0, 'm' => 1.5]);
$redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_PHP);
check($redis->set('object', ['deep' => [1, 2.5, null]]) && $redis->get('object') === ['deep' => [1, 2.5, null]]);
$redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_NONE);

// A pipeline with an error in it.
$pipe = $redis->pipeline();
for ($n = 0; $n < 1000; $n++) {
    $pipe->set("k:$n", $n)->incr("k:$n");
}
$replies = $pipe->set('text', 'x')->incr('text')->get('text')->exec();
check($replies[1999] === 1000 && array_slice($replies, 2000) === [true, false, 'x']);
check(str_contains($redis->getLastError(), 'value is not an integer or out of range'));
$redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
$found = [];
$cursor = null;
while (($keys = $redis->scan($cursor, 'k:*', 100)) !== false) {
    $found = array_merge($found, $keys);
}
check(count(array_unique($found)) === 1000);

// Transactions, one of them spoilt; and waits.
check($redis->multi()->set('both', 1)->incr('both')->exec() === [true, 2]);
$redis->watch('watched');
check(connected()->set('watched', 'x'));
check($redis->multi()->set('both', 3)->exec() === false && $redis->get('both') === '2');
check($redis->rPush('queue', 'job') === 1 && $redis->blPop(['queue'], 1) === ['queue', 'job']);
check($redis->blPop(['queue'], 1) === []);

// Listening blocks, so somebody else speaks, once he is heard.
$speaker = <<<'PHP'
    [, $port, $password] = $argv;
    $redis = new Redis();
    $redis->connect('127.0.0.1', (int) $port);
    $redis->auth($password);
    while ($redis->pubsub('numsub', ['news'])['news'] < 1) {
        usleep(1000);
    }
    exit($redis->publish('news', "a\0b") === 1 ? 0 : 1);
    PHP;
$speaking = proc_open([PHP_BINARY, '-r', $speaker, '--', $port, $password], [], $pipes);
$heard = null;
$listener = connected();
try {
    $listener->subscribe(['news'], function (Redis $redis, string $channel, string $message) use (&$heard) {
        $heard = [$channel, $message];
        // It would listen for ever.
        $redis->close();
    });
} catch (RedisException) {
    // That is how it ends.
}
check($heard === ['news', "a\0b"] && proc_close($speaking) === 0);

// It has been told that its command is held back, gives up, and goes on with a new connection.
$hasty = connected(0.2);
check($redis->rawCommand('CLIENT', 'PAUSE', '600000', 'WRITE') === true);
refused(fn () => $hasty->set('held', 'back'), 'read error on connection');
check($redis->rawCommand('CLIENT', 'UNPAUSE') === true);
$patient = connected();
check($patient->set('kept', 'x'));
check($redis->rawCommand('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes') >= 1);
// It connects again by itself if it sees the end before it asks; else that call fails, and applications begin anew.
try {
    $value = $patient->get('kept');
} catch (RedisException) {
    $value = connected()->get('kept');
}
check($value === 'x');

// Sessions, which PHP keeps by itself.
ini_set('session.save_handler', 'redis');
ini_set('session.save_path', "tcp://127.0.0.1:$port?auth=$password&database=2");
session_id('abc');
session_start();
$_SESSION['user'] = 42;
session_write_close();
check($redis->get('PHPREDIS_SESSION:abc') === 'user|i:42;');
$_SESSION = [];
session_start();
check($_SESSION === ['user' => 42]);
session_destroy();
check($redis->exists('PHPREDIS_SESSION:abc') === 0);
echo 'phpredis ', phpversion('redis'), ": all well\n";
