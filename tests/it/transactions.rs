//! Transactions as clients have them: whole for everybody who looks and through any kill, broken by whoever changes a watched
//! key, and gone with their connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use modb_tests::peer::encode;
use modb_tests::platform::Product;
use modb_tests::random::Random;
use modb_tests::{Launch, Peer, Platform, Reply, Server, wait};

use crate::crash::{Writer, load_until_killed};

fn start(platform: &Platform, workers: usize) -> Server {
    let launch = Launch::new(platform);
    let launch = if platform.product == Product::Modb {
        launch.with("--workers", &workers.to_string())
    } else {
        launch
    };
    launch.start()
}

fn wire(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| encode(line.split_whitespace())).collect()
}

/// What `EXEC` answers to `MULTI`, these lines, `EXEC`.
fn transaction(peer: &mut Peer, lines: &[&str]) -> Reply {
    peer.send(&[wire(&["MULTI"]), wire(lines), wire(&["EXEC"])].concat());
    assert_eq!(peer.reply(), Reply::ok());
    for line in lines {
        assert_eq!(peer.reply(), Reply::Simple(b"QUEUED".to_vec()), "{line}");
    }
    peer.reply()
}

/// Writers move between two counters, of which the sum stays; whoever looks sees that sum, and one who reads first the
/// one and then the other never goes back in time.
pub(crate) fn a_transaction_is_whole_for_everybody_who_looks(platform: &Platform) {
    const TRANSACTIONS: usize = 1_500;
    let server = start(platform, 2);
    let done = AtomicBool::new(false);
    let (mut looks, mut torn) = (0, 0);
    thread::scope(|scope| {
        let looking: Vec<_> = (0..2)
            .map(|reader| {
                let (server, done) = (&server, &done);
                scope.spawn(move || {
                    let mut peer = server.peer();
                    let (mut looks, mut torn) = (0_u64, 0_u64);
                    let number = |reply: &Reply| {
                        if reply.is_null() { 0 } else { reply.text().parse::<i64>().expect("a number") }
                    };
                    loop {
                        let over = done.load(Ordering::Relaxed);
                        if reader == 0 {
                            let found =
                                transaction(&mut peer, &["GET up", "GET down", "MGET up down", "GET up"]);
                            let [up, down, both, again] = found.items() else { panic!("{found:?}") };
                            let [up, down, again] = [up, down, again].map(number);
                            let both: Vec<i64> = both.items().iter().map(number).collect();
                            torn += u64::from(up + down != 0 || both != [up, down] || again != up);
                        } else {
                            // Both grow by one at a time.
                            peer.send(&wire(&["GET up", "GET count"]));
                            let [up, count] = [0, 1].map(|_| number(&peer.reply()));
                            torn += u64::from(count < up);
                        }
                        looks += 1;
                        if over {
                            return (looks, torn);
                        }
                    }
                })
            })
            .collect();
        let over = wait::Over(&done);
        let writing: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut peer = server.peer();
                    for _ in 0..TRANSACTIONS {
                        let reply = transaction(&mut peer, &["INCR up", "DECR down", "INCR count"]);
                        let counts: Vec<i64> = reply.items().iter().map(Reply::int).collect();
                        assert!(counts[0] == -counts[1] && counts[0] == counts[2], "{counts:?}");
                    }
                })
            })
            .collect();
        writing.into_iter().for_each(|writer| writer.join().expect("the writer did not panic"));
        drop(over);
        for reader in looking {
            let (more, bad) = reader.join().expect("the reader did not panic");
            (looks, torn) = (looks + more, torn + bad);
        }
    });
    assert_eq!(torn, 0, "of {looks} looks");
    assert_eq!(server.peer().ask("GET count").text(), (2 * TRANSACTIONS).to_string());
}

/// The way in which clients count without INCR: who was passed by another begins again.
pub(crate) fn counting_behind_a_watch_loses_nothing(platform: &Platform) {
    const CLIENTS: usize = 4;
    const EACH: usize = 100;
    let server = start(platform, 2);
    let broken: usize = thread::scope(|scope| {
        let counting: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let (mut peer, mut done, mut broken) = (server.peer(), 0, 0);
                    while done < EACH {
                        assert_eq!(peer.ask("WATCH n"), Reply::ok());
                        let found = peer.ask("GET n");
                        let n: usize =
                            if found.is_null() { 0 } else { found.text().parse().expect("a number") };
                        match transaction(&mut peer, &[&format!("SET n {}", n + 1)]) {
                            reply if reply.is_null() => broken += 1,
                            reply => {
                                assert_eq!(reply.items(), [Reply::ok()]);
                                done += 1;
                            }
                        }
                    }
                    broken
                })
            })
            .collect();
        counting.into_iter().map(|client| client.join().expect("it did not panic")).sum()
    });
    println!("{} transactions, {broken} were broken by others", CLIENTS * EACH);
    assert_eq!(server.peer().ask("GET n").text(), (CLIENTS * EACH).to_string());
}

/// What others do to a watched key, and whether that breaks the transaction.
pub(crate) fn whoever_changes_a_watched_key_breaks_the_transaction(platform: &Platform) {
    let server = start(platform, 2);
    let (mut watcher, mut other) = (server.peer(), server.peer());
    let cases: &[(&[&str], &[&str], bool)] = &[
        (&["SET k 1"], &["GET k"], false),
        (&["SET k 1"], &["SET k 1"], true),
        (&["SET k 1"], &["DEL k"], true),
        (&[], &["DEL k"], false),
        (&["SET k 1"], &["SET l 1"], false),
        (&["SET k 1"], &["SELECT 1", "SET k 2", "SELECT 0"], false),
        (&["SET l 1"], &["RENAME l k"], true),
        (&["SET k 1"], &["RENAME k l"], true),
        (&["SET k 1"], &["EXPIRE k 100"], true),
        (&["SET k 1"], &["EXPIRE l 100"], false),
        (&["SET k 1"], &["FLUSHALL"], true),
        (&[], &["FLUSHALL"], false),
        (&["SET k 1"], &["SWAPDB 0 1"], true),
        (&[], &["SELECT 1", "SET k 1", "SELECT 0", "SWAPDB 1 0"], true),
        (&[], &["SWAPDB 0 1"], false),
        (&["SET k 1"], &["MOVE k 1"], true),
        (&["SET l 1"], &["COPY l k"], true),
        (&["RPUSH k a b"], &["LPOP k"], true),
        (&["RPUSH k a"], &["LMOVE k l LEFT RIGHT"], true),
        (&["SADD k a"], &["SADD k a"], false),
        (&["SADD l a"], &["SINTERSTORE k l"], true),
        (&["HSET k f v"], &["HSET k f w"], true),
        (&["ZADD k 1 a"], &["ZADD k 1 a"], false),
        (&["SET k x"], &["INCR k"], false),
        // What is written is what was there: a change all the same, unless the command says that it changes nothing.
        (&["SET k 1"], &["INCRBY k 0"], true),
        (&["RPUSH k a"], &["LMOVE k k LEFT RIGHT"], true),
        (&["RPUSH k a b"], &["RPOPLPUSH k k", "RPOPLPUSH k k"], true),
        (&["RPUSH k a"], &["LSET k 0 a"], true),
        (&["RPUSH k a"], &["LTRIM k 0 -1"], true),
        (&["RPUSH k a"], &["LREM k 0 b"], false),
        (&["RPUSH k a"], &["SORT k ALPHA STORE k"], true),
        (&["HSET k f v"], &["HSET k f v"], true),
        (&["HSET k f 1"], &["HINCRBY k f 0"], true),
        (&["HSET k f v"], &["HSETNX k f v"], false),
        (&["SADD k a"], &["SUNIONSTORE k k l"], true),
        (&["SADD k a"], &["SMOVE k k a"], false),
        (&["ZADD k 1 a"], &["ZUNIONSTORE k 1 k"], true),
        (&["SET k a"], &["SETRANGE k 0 a"], true),
        (&["SET k a"], &["SETBIT k 1 1"], false),
        (&["SET k a"], &["SETBIT k 1 0"], true),
        (&[], &["SETBIT k 1 0"], true),
        (&["SET k a"], &["BITFIELD k SET u8 0 97"], false),
        (&["SET k a"], &["BITFIELD k SET u8 0 98"], true),
        (&["SET k 1"], &["MULTI", "SET k 2", "DISCARD"], false),
        (&["SET k 1"], &["MULTI", "SET k 2", "EXEC"], true),
        (&["SET k x"], &["MULTI", "INCR k", "LPUSH k 1", "EXEC"], false),
    ];
    for (before, meanwhile, breaks) in cases {
        other.send(&wire(&["FLUSHALL"]));
        assert_eq!(other.reply(), Reply::ok());
        other.send(&wire(before));
        other.replies(before.len());
        assert_eq!(watcher.ask("WATCH k"), Reply::ok());
        other.send(&wire(meanwhile));
        other.replies(meanwhile.len());
        let reply = transaction(&mut watcher, &["PING"]);
        assert_eq!(reply.is_null(), *breaks, "{before:?} {meanwhile:?}: {reply:?}");
    }
}

/// Who waits is served once the whole is there, and what serves him changes keys for who watches them.
pub(crate) fn who_waits_is_served_by_a_transaction_as_a_whole(platform: &Platform) {
    let server = start(platform, 2);
    let (mut waiter, mut other, mut watcher) = (server.peer(), server.peer(), server.peer());
    let wait_for = |count: &str| {
        wait::until("it waits", || (server.info("blocked_clients") == count).then_some(()));
    };
    waiter.send(&wire(&["BLPOP q 0"]));
    wait_for("1");
    let reply = transaction(&mut other, &["RPUSH q 1", "RPUSH q 2", "LPOP q", "BLPOP none 0", "LLEN q"]);
    let [pushed, again, popped, timed_out, left] = reply.items() else { panic!("{reply:?}") };
    assert_eq!([pushed, again, left].map(Reply::int), [1, 2, 1]);
    assert!(popped == &Reply::bulk("1") && timed_out.is_null());
    assert_eq!(waiter.reply().items()[1], Reply::bulk("2"));
    assert_eq!(other.ask("EXISTS q"), Reply::Int(0));

    waiter.send(&wire(&["BLMOVE q moved LEFT LEFT 0"]));
    wait_for("1");
    assert_eq!(watcher.ask("WATCH moved"), Reply::ok());
    assert_eq!(other.ask("RPUSH q 3"), Reply::Int(1));
    assert_eq!(waiter.reply(), Reply::bulk("3"));
    assert!(transaction(&mut watcher, &["PING"]).is_null());
    // What was pushed and taken away again serves nobody.
    waiter.send(&wire(&["BLPOP q 0"]));
    wait_for("1");
    transaction(&mut other, &["RPUSH q 4", "DEL q"]);
    assert_eq!(server.info("blocked_clients"), "1");
    assert_eq!(other.ask("RPUSH q 5"), Reply::Int(1));
    assert_eq!(waiter.reply().items()[1], Reply::bulk("5"));
}

/// What is queued is gone with its connection, and counts while it is there.
pub(crate) fn what_is_queued_is_bounded_and_goes_with_its_connection(platform: &Platform) {
    let mut server = Launch::new(platform).with("--client-query-buffer-limit", "1mb").start();
    let mut gone = server.peer();
    gone.send(&wire(&["WATCH a", "MULTI", "SET a 1"]));
    gone.replies(3);
    drop(gone);
    wait::until("it has gone", || (server.info("connected_clients") == "1").then_some(()));
    assert!(server.peer().ask("GET a").is_null());
    // More than one client may keep.
    let mut greedy = server.peer();
    assert_eq!(greedy.ask("MULTI"), Reply::ok());
    let value = "x".repeat(100_000);
    let request = encode(["SET", "a", &value]);
    let queued = (0..100).take_while(|_| {
        greedy.try_send(&request).is_ok()
            && greedy.try_reply().is_ok_and(|reply| reply == Reply::Simple(b"QUEUED".to_vec()))
    });
    let queued = queued.count();
    assert!((5..20).contains(&queued), "{queued}");
    assert!(server.peer().ask("GET a").is_null());
    // A shutdown executes nothing.
    let mut late = server.peer();
    late.send(&wire(&["MULTI", "SET a 1"]));
    late.replies(2);
    server.peer().send(&wire(&["SHUTDOWN"]));
    late.read_to_close();
    assert!(server.wait_for_end().success());
    let server = server.launch().clone().start();
    assert!(server.peer().ask("GET a").is_null());
}

pub(crate) fn ten_thousand_commands_are_executed_as_one(platform: &Platform) {
    const COMMANDS: usize = 10_000;
    let server = start(platform, 2);
    let mut peer = server.peer();
    let lines: Vec<String> = (0..COMMANDS)
        .map(|n| match n % 4 {
            0 => format!("SET key:{n} {n}"),
            1 => format!("RPUSH list {n}"),
            2 => format!("ZADD scores {n} member:{n}"),
            _ => "LPUSH scores x".to_owned(),
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let reply = transaction(&mut peer, &lines);
    assert_eq!(reply.items().len(), COMMANDS);
    let failed = reply.items().iter().filter(|reply| matches!(reply, Reply::Error(_))).count();
    assert_eq!(failed, COMMANDS / 4);
    peer.send(&wire(&["DBSIZE", "LLEN list", "ZCARD scores", "GET key:9996"]));
    let found = peer.replies(4);
    assert_eq!(found[..3], [2502, 2500, 2500].map(Reply::Int));
    assert_eq!(found[3], Reply::bulk("9996"));
}

/// Each client counts in three keys of different types by one transaction at a time.
struct Counting {
    name: usize,
    sent: u64,
    acknowledged: u64,
}

impl Writer for Counting {
    fn write_until_cut_off(&mut self, mut peer: Peer, random: &mut Random) {
        loop {
            let burst = random.below(4) + 1;
            for _ in 0..burst {
                self.sent += 1;
                let (name, n) = (self.name, self.sent);
                let lines = [
                    "MULTI".to_owned(),
                    format!("SET string:{name} {n}"),
                    format!("RPUSH list:{name} {n}"),
                    format!("LPUSH string:{name} fails"),
                    format!("HINCRBY hash:{name} field 1"),
                    format!("HSET hash:{name} f{} {n}", n % 100),
                    "EXEC".to_owned(),
                ];
                if peer.try_send(&wire(&lines.each_ref().map(String::as_str))).is_err() {
                    return;
                }
            }
            for _ in 0..burst {
                for _ in 0..6 {
                    if peer.try_reply().is_err() {
                        return;
                    }
                }
                match peer.try_reply() {
                    Ok(Reply::Array(replies)) => assert_eq!(replies.len(), 5),
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => return,
                }
                self.acknowledged += 1;
            }
        }
    }
}

pub(crate) fn transactions_are_whole_through_kills(platform: &Platform) {
    const ROUNDS: u64 = 9;
    let mut transactions = 0;
    for (at, mode) in ["always", "everysec", "os"].into_iter().enumerate() {
        let mut server = Launch::new(platform).with_durability(mode).start();
        let mut clients: Vec<Counting> =
            (0..4).map(|name| Counting { name, sent: 0, acknowledged: 0 }).collect();
        for round in (0..ROUNDS).skip(at).step_by(3) {
            load_until_killed(&mut server, &mut clients, round);
            server = server.launch().clone().start();
            let mut peer = server.peer();
            for client in &mut clients {
                let name = client.name;
                let number = |reply: Reply| match reply {
                    Reply::Bulk(text) => String::from_utf8_lossy(&text).parse().expect("a number"),
                    Reply::Int(n) => n.unsigned_abs(),
                    _ => 0_u64,
                };
                let [string, list, hash] = [
                    format!("GET string:{name}"),
                    format!("LLEN list:{name}"),
                    format!("HGET hash:{name} field"),
                ]
                .map(|line| number(peer.ask(&line)));
                assert!(
                    string == list && list == hash,
                    "{mode}: {string} {list} {hash} are of one transaction each"
                );
                assert!(
                    (client.acknowledged..=client.sent).contains(&list),
                    "{mode}: {list} of {} to {}",
                    client.acknowledged,
                    client.sent
                );
                transactions += list - client.acknowledged.min(list);
                (client.sent, client.acknowledged) = (list, list);
            }
        }
        transactions += clients.iter().map(|client| client.sent).sum::<u64>();
    }
    println!("{transactions} transactions");
    assert!(transactions > 20, "too little load to show anything");
}
