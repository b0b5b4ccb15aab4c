<?php
// Predis against the server on 127.0.0.1 at the port given, whose password is that given. A check that fails ends it with 1.

error_reporting(E_ALL & ~E_DEPRECATED);
require 'Predis/Autoloader.php';
Predis\Autoloader::register();
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
    } catch (Predis\PredisException $error) {
        check(str_contains($error->getMessage(), $words));
        return;
    }
    throw new LogicException("no error: $words");
}

function connected(array $more = []): Predis\Client
{
    global $port, $password;
    return new Predis\Client($more + ['port' => $port, 'password' => $password, 'database' => 2]);
}

refused(fn () => (new Predis\Client(['port' => $port]))->get('a'), 'NOAUTH');
refused(fn () => connected(['password' => 'wrong'])->get('a'), 'WRONGPASS');
$redis = connected();
check((string) $redis->ping() === 'PONG');

$binary = implode('', array_map('chr', range(0, 255)));
check((string) $redis->set($binary, $binary, 'EX', 1000) === 'OK' && $redis->get($binary) === $binary);
check($redis->ttl($binary) > 990);
$large = str_repeat('v', 8 << 20);
$redis->set('large', $large);
check($redis->get('large') === $large && $redis->get('nothing') === null);
$redis->hmset('hash', ['a' => '1', 'b' => '2']);
check($redis->hgetall('hash') === ['a' => '1', 'b' => '2']);
check($redis->rpush('list', ['a', 'b', 'c']) === 3 && $redis->lrange('list', 0, -1) === ['a', 'b', 'c']);
check($redis->zadd('sorted', ['m' => 1.5, 'n' => -1]) === 2);
check($redis->zrange('sorted', 0, -1, ['withscores' => true]) === ['n' => '-1', 'm' => '1.5']);

$replies = $redis->pipeline(function ($pipe) {
    for ($n = 0; $n < 1000; $n++) {
        $pipe->set("k:$n", $n);
        $pipe->incr("k:$n");
    }
});
check(count($replies) === 2000 && $replies[1999] === 1000);
check(count(array_unique(iterator_to_array(new Predis\Collection\Iterator\Keyspace($redis, 'k:*')))) === 1000);

$redis->set('text', 'x');
refused(fn () => $redis->incr('text'), 'value is not an integer or out of range');
refused(fn () => $redis->lpush('text', ['x']), 'WRONGTYPE');
check($redis->get('text') === 'x');

$replies = $redis->transaction(function ($transaction) {
    $transaction->set('both', 1);
    $transaction->incr('both');
});
check($replies[1] === 2);
$redis->watch('watched');
connected()->set('watched', 'x');
$redis->multi();
$redis->set('both', 3);
check($redis->exec() === null && $redis->get('both') === '2');
check($redis->rpush('queue', ['job']) === 1 && $redis->blpop(['queue'], 1) === ['queue', 'job']);
check($redis->blpop(['queue'], 1) === null);

$listener = connected(['read_write_timeout' => 0])->pubSubLoop();
$listener->subscribe('news');
$listener->psubscribe('n*');
$heard = [];
foreach ($listener as $message) {
    if ($message->kind === 'psubscribe') {
        check($redis->publish('news', "a\0b") === 2);
    } elseif (in_array($message->kind, ['message', 'pmessage'])) {
        $heard[] = [$message->kind, $message->channel, $message->payload];
        if (count($heard) === 2) {
            $listener->stop();
        }
    }
}
check($heard === [['message', 'news', "a\0b"], ['pmessage', 'news', "a\0b"]]);

$hasty = connected(['read_write_timeout' => 0.2]);
check($hasty->get('text') === 'x');
check((string) $redis->executeRaw(['CLIENT', 'PAUSE', '600000', 'WRITE']) === 'OK');
refused(fn () => $hasty->set('held', 'back'), 'Error while reading line');
check((string) $redis->executeRaw(['CLIENT', 'UNPAUSE']) === 'OK');
// It does not try again by itself: the call fails, and the next has a new connection.
check($hasty->get('text') === 'x');
check($redis->executeRaw(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']) >= 1);
refused(fn () => $hasty->get('text'), 'Error while');
check($hasty->get('text') === 'x');
echo 'Predis ', Predis\Client::VERSION, ": all well\n";
