# Perl's Redis against the server on 127.0.0.1 at the port given, whose password is that given. A check that fails ends it with 1.
use strict;
use warnings;
use Redis;

my ($port, $password) = @ARGV;
my @server = (server => "127.0.0.1:$port", password => $password);

sub check { $_[0] or die "not so: line " . (caller)[2] . "\n" }

sub refused {
    my ($call, $words) = @_;
    eval { $call->(); 1 } and die "no error: $words\n";
    $@ =~ /\Q$words\E/ or die "$@ instead of $words\n";
}

refused(sub { Redis->new(server => "127.0.0.1:$port")->get('a') }, 'NOAUTH');
refused(sub { Redis->new(server => "127.0.0.1:$port", password => 'wrong') }, 'WRONGPASS');
my $redis = Redis->new(@server, name => 'perl', on_connect => sub { $_[0]->select(2) });
check($redis->ping eq 'PONG' && $redis->client_getname eq 'perl');
check($redis->info->{redis_version} =~ /^7\./);

my $binary = join '', map { chr } 0 .. 255;
check($redis->set($binary, $binary, EX => 1000) && $redis->get($binary) eq $binary && $redis->ttl($binary) > 990);
my $large = 'v' x (8 << 20);
$redis->set(large => $large);
check($redis->get('large') eq $large && !defined $redis->get('nothing'));
$redis->hmset('hash', a => 1, b => 2);
my %hash = $redis->hgetall('hash');
check($hash{a} == 1 && $hash{b} == 2);
check($redis->rpush('list', 'a', 'b', 'c') == 3 && join(',', $redis->lrange('list', 0, -1)) eq 'a,b,c');
check($redis->zadd('sorted', 1.5 => 'm', -1 => 'n') == 2);
check(join(',', $redis->zrange('sorted', 0, -1, 'WITHSCORES')) eq 'n,-1,m,1.5');

# A pipeline is callbacks; an error reaches its own.
my ($sum, $error) = (0);
$redis->set('text', 'x', sub { });
for my $n (0 .. 999) {
    $redis->set("k:$n", $n, sub { });
    $redis->incr("k:$n", sub { $sum += $_[0] });
}
$redis->incr('text', sub { $error = $_[1] });
$redis->wait_all_responses;
check($sum == 500500 && $error =~ /value is not an integer or out of range/);
check($redis->keys('k:*') == 1000);
refused(sub { $redis->incr('text') }, 'value is not an integer or out of range');
refused(sub { $redis->nosuchcommand }, 'unknown command');
check($redis->get('text') eq 'x');

$redis->multi;
$redis->set(both => 1);
$redis->incr('both');
check(join(',', $redis->exec) eq 'OK,2');
$redis->watch('watched');
Redis->new(@server, on_connect => sub { $_[0]->select(2) })->set(watched => 'x');
$redis->multi;
$redis->set(both => 3);
$redis->exec;
check($redis->get('both') == 2);
$redis->rpush('queue', 'job');
check(join(',', $redis->blpop('queue', 1)) eq 'queue,job');
check(!defined $redis->blpop('queue', 0.01));

my $listener = Redis->new(@server);
my @heard;
$listener->subscribe('news', sub { push @heard, join ',', @_[0 .. 2] });
$listener->psubscribe('n*', sub { push @heard, join ',', @_[0 .. 2] });
check($redis->publish('news', "a\0b") == 2);
$listener->wait_for_messages(1) while @heard < 2;
check(join('|', @heard) eq "a\0b,news,news|a\0b,news,n*");
undef $listener;

my $hasty = Redis->new(@server, read_timeout => 0.2, on_connect => sub { $_[0]->select(2) });
check($redis->client('PAUSE', 600000, 'WRITE') eq 'OK');
refused(sub { $hasty->set(held => 'back') }, 'Error while reading');
check($redis->client('UNPAUSE') eq 'OK');

my $keen = Redis->new(@server, reconnect => 10, every => 10_000, on_connect => sub { $_[0]->select(2) });
check($keen->set(kept => 'x') eq 'OK');
check($redis->client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes') >= 1);
check($keen->get('kept') eq 'x');
$keen->quit;
print "Perl's Redis $Redis::VERSION: all well\n";
