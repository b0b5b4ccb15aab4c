//! Commands that take long: whoever shares their worker is served meanwhile, and they themselves are executed as any other.
//!
//! With `long-command-us 0` whatever may take long is left to the threads, however little it is here; what holds a thread up is a
//! key that is held. So nothing here is measured, but for the scenario that is.

use std::thread;

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::{Launch, Peer, Platform, Reply, Server, wait};

use crate::isolation;

/// A server with one thread for what may take long, to which all of that is left.
fn start(platform: &Platform, workers: usize) -> Server {
    Launch::new(platform)
        .with("--workers", &workers.to_string())
        .with("--long-command-us", "0")
        .with("--long-command-threads", "1")
        .with("--enable-debug-command", "local")
        .start()
}

fn running_and_queued(server: &Server) -> (u64, u64) {
    let number = |field| server.info(field).parse().expect("a number");
    (number("modb_long_commands_running"), number("modb_long_commands_queued"))
}

fn long_commands(server: &Server) -> u64 {
    server.info("modb_long_commands").parse().expect("a number")
}

/// Sends a command that is left to a thread, and waits until so many are there or wait for it.
fn send_long(server: &Server, peer: &mut Peer, bytes: &[u8], queued: u64) {
    peer.send(bytes);
    wait::until("it waits for a thread", || (running_and_queued(server) == (1, queued)).then_some(()));
}

fn wire(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| encode(line.split_whitespace())).collect()
}

fn list(items: &[&str]) -> Reply {
    Reply::Array(items.iter().map(Reply::bulk).collect())
}

/// What a thread executes keeps nobody of its worker waiting, nor do those that wait for that thread; each connection is answered in
/// the order of its requests, all of them in the order in which they came, and what is gone before its turn is not executed.
pub(crate) fn others_of_its_worker_are_served_while_one_works_long(platform: &Platform) {
    for workers in [1, 2] {
        let server = start(platform, workers);
        assert_eq!(server.peer().ask("RPUSH held a b"), Reply::Int(2));
        let mut other = server.peer();
        other.send(&wire(&["SET gone 1", "SET killed 1", "SET plain v", "RPUSH order a"]));
        other.replies(4);
        let held = isolation::hold(&server, "held");
        let mut waiting: Vec<Peer> = (0..4).map(|_| server.peer()).collect();
        // It has the thread, and waits for the key.
        let lines = ["LRANGE held 0 -1", "GET plain", "LRANGE order 0 -1"];
        send_long(&server, &mut waiting[0], &wire(&lines), 0);
        send_long(&server, &mut waiting[1], &wire(&["LPOP order 1", "GET plain"]), 1);
        send_long(&server, &mut waiting[2], &wire(&["LREM order 0 a", "GET plain"]), 2);
        waiting[2].finish_sending();
        send_long(&server, &mut waiting[3], &wire(&["DEL killed"]), 3);
        let mut gone = server.peer();
        send_long(&server, &mut gone, &wire(&["DEL gone"]), 4);
        gone.reset();
        for _ in 0..100 {
            assert_eq!(other.ask("PING"), Reply::Simple(b"PONG".to_vec()));
            assert_eq!(other.ask("SET other 1"), Reply::ok());
            // Nobody holds the key that the next ones wait for a thread with.
            assert_eq!(other.ask("TYPE order"), Reply::Simple(b"list".to_vec()));
            assert_eq!(other.ask("LSET order 0 a"), Reply::ok());
        }
        let address = waiting[3].stream().local_addr().expect("an address").to_string();
        assert_eq!(other.call(["CLIENT", "KILL", "ADDR", &address]), Reply::Int(1));
        assert_eq!(waiting[3].read_to_close(), b"");
        held.release();
        let [first, second, third, _] = &mut waiting[..] else { unreachable!() };
        assert_eq!(first.replies(2), [list(&["a", "b"]), Reply::bulk("v")]);
        assert_eq!(second.replies(2), [list(&["a"]), Reply::bulk("v")]);
        assert_eq!(third.replies(2), [Reply::Int(0), Reply::bulk("v")], "it came later");
        assert_eq!(third.read_to_close(), b"");
        assert_eq!(first.reply(), list(&[]), "what is behind it in its connection waited for it");
        wait::until("all is done", || (running_and_queued(&server) == (0, 0)).then_some(()));
        assert_eq!(server.peer().ask("EXISTS gone killed"), Reply::Int(2));
    }
}

/// What only its keys make long was weighed with their stripes: it has none of them while it waits for a thread.
pub(crate) fn what_its_keys_make_long_holds_none_while_it_waits(platform: &Platform) {
    const LIST: usize = 2_000;
    // More than the words of the other commands weigh, and less than those that fill a list, or its elements.
    let server = Launch::new(platform)
        .with("--workers", "1")
        .with("--long-command-us", "50")
        .with("--long-command-threads", "1")
        .with("--enable-debug-command", "local")
        .start();
    let mut other = server.peer();
    let fill = |key| encode(["RPUSH", key].into_iter().chain(std::iter::repeat_n("a", LIST)));
    other.send(&fill("order"));
    assert_eq!(other.reply(), Reply::Int(LIST as i64));
    let held = isolation::hold(&server, "held");
    let mut waiting: Vec<Peer> = (0..2).map(|_| server.peer()).collect();
    // Its words make it long: it has the thread, and waits for the key.
    send_long(&server, &mut waiting[0], &fill("held"), 0);
    send_long(&server, &mut waiting[1], &wire(&["LREM order 0 none"]), 1);
    let before = long_commands(&server);
    assert_eq!(other.ask("LSET order 0 b"), Reply::ok());
    assert_eq!(long_commands(&server), before, "it is short");
    held.release();
    assert_eq!(waiting[0].reply(), Reply::Int(LIST as i64));
    assert_eq!(waiting[1].reply(), Reply::Int(0));
}

/// What a command changes of its client, and what it waits for, is the same from a thread.
pub(crate) fn what_is_executed_by_a_thread_is_executed_as_any_other(platform: &Platform) {
    let server = start(platform, 1);
    let (mut peer, mut other) = (server.peer(), server.peer());
    let queued = || Reply::Simple(b"QUEUED".to_vec());
    // A transaction leaves its client in the database that it selected, in another protocol, and listening.
    let lines =
        ["MULTI", "SET a 1", "SELECT 3", "RPUSH l x", "HELLO 3", "SUBSCRIBE news", "LRANGE l 0 -1", "EXEC"];
    peer.send(&wire(&lines));
    assert_eq!(peer.reply(), Reply::ok());
    assert_eq!(peer.replies(6), vec![queued(); 6]);
    let done = peer.reply();
    assert_eq!(done.items().len(), 6, "{done:?}");
    assert_eq!(done.items()[5], list(&["x"]));
    assert_eq!(other.ask("PUBLISH news hello"), Reply::Int(1));
    let message = ["message", "news", "hello"].map(Reply::bulk).to_vec();
    assert_eq!(peer.reply(), Reply::Push(message));
    assert_eq!(peer.ask("LLEN l"), Reply::Int(1));
    peer.send(&wire(&["MULTI", "UNSUBSCRIBE news", "LRANGE l 0 -1", "EXEC"]));
    peer.replies(4);
    assert_eq!(other.ask("PUBLISH news hello"), Reply::Int(0));
    // What it watches is watched.
    for (between, executed) in [("SET w 1", false), ("SET v 1", true)] {
        let mut peer = server.peer();
        assert_eq!(peer.ask("WATCH w"), Reply::ok());
        assert_eq!(other.ask(between), Reply::ok());
        peer.send(&wire(&["MULTI", "LPUSH q 1", "EXEC"]));
        peer.replies(2);
        assert_eq!(peer.reply().is_null(), !executed, "{between}");
    }
    assert_eq!(other.ask("LPOP q 9"), list(&["1"]));
    // What is not there yet is waited for, by nobody's thread.
    let mut waits = server.peer();
    waits.send(&wire(&["BLMPOP 0 2 q r LEFT COUNT 2", "GET a"]));
    wait::until("it waits", || (server.info("blocked_clients") == "1").then_some(()));
    assert_eq!(running_and_queued(&server), (0, 0));
    assert_eq!(other.ask("RPUSH r 1 2 3"), Reply::Int(3));
    assert_eq!(waits.reply(), Reply::Array(vec![Reply::bulk("r"), list(&["1", "2"])]));
    assert_eq!(waits.reply(), Reply::bulk("1"));
    // Errors are errors, and those who want no replies get none.
    assert_eq!(other.ask("LRANGE a 0 -1").error().as_deref().map(|text| &text[..9]), Some("WRONGTYPE"));
    other.send(&wire(&["CLIENT REPLY SKIP", "LRANGE r 0 -1", "LRANGE r 0 -1"]));
    assert_eq!(other.reply(), list(&["3"]));
}

/// Who waits for what others bring may have it before his worker hears that he waits.
pub(crate) fn who_is_served_before_his_worker_knows_that_he_waits_is_answered(platform: &Platform) {
    let server = start(platform, 1);
    assert_eq!(server.peer().ask("RPUSH held a"), Reply::Int(1));
    let held = isolation::hold(&server, "held");
    let mut waiting: Vec<Peer> = (0..3).map(|_| server.peer()).collect();
    for (queued, (peer, line)) in waiting
        .iter_mut()
        .zip(["LRANGE held 0 -1", "BLMPOP 0 1 queue LEFT COUNT 2", "RPUSH queue x"])
        .enumerate()
    {
        send_long(&server, peer, &wire(&[line]), queued as u64);
    }
    // The thread does all of it while the worker sleeps.
    held.release_and(&["DEBUG SLEEP 0.3"]);
    assert_eq!(waiting[0].reply(), list(&["a"]));
    assert_eq!(waiting[2].reply(), Reply::Int(1));
    assert_eq!(waiting[1].reply(), Reply::Array(vec![Reply::bulk("queue"), list(&["x"])]));
}

/// What a thread writes is told, whole and in its order, to those who listen on workers, and whoever waits on a worker is served by
/// it.
pub(crate) fn what_a_thread_writes_is_told_and_serves_those_who_wait(platform: &Platform) {
    const KEYS: usize = 2_000;
    const WRITERS: usize = 3;
    let server = start(platform, 2);
    let mut writers: Vec<Peer> = (0..WRITERS).map(|_| server.peer()).collect();
    assert_eq!(writers[0].ask("CONFIG SET notify-keyspace-events E$l"), Reply::ok());
    let mut ears = server.peer();
    ears.ask("PSUBSCRIBE __keyevent@0__:*");
    let key = |writer: usize, n: usize| format!("{writer}:{n}:{}", "k".repeat(200));
    for (number, writer) in writers.iter_mut().enumerate() {
        let pairs = (0..KEYS).flat_map(|n| [key(number, n), "v".to_owned()]);
        writer.send(&encode(std::iter::once("MSET".to_owned()).chain(pairs)));
    }
    let mut next = [0; WRITERS];
    for _ in 0..KEYS * WRITERS {
        let message = ears.reply();
        let told = message.items()[3].text();
        let writer: usize = told[..1].parse().expect("the number of a writer");
        assert_eq!(told, key(writer, next[writer]), "in its order");
        next[writer] += 1;
        assert!(next.iter().filter(|next| (1..KEYS).contains(*next)).count() <= 1, "whole: {next:?}");
    }
    assert!(writers.iter_mut().all(|writer| writer.reply() == Reply::ok()));
    let mut waits = server.peer();
    waits.send(&encode(["BLPOP", "q", "0"]));
    wait::until("it waits", || (server.info("blocked_clients") == "1").then_some(()));
    let before = long_commands(&server);
    assert_eq!(writers[0].ask("RPUSH q a b"), Reply::Int(2));
    assert_eq!(waits.reply(), list(&["q", "a"]));
    let told = [(); 2].map(|()| ears.reply().items()[2].text());
    assert_eq!(told, ["__keyevent@0__:rpush", "__keyevent@0__:lpop"]);
    assert!(long_commands(&server) > before, "a thread has served it");
}

/// A server, and who has filled it with places in so small pages that whoever searches all of them reads very many, which nothing
/// tells before.
fn with_many_places(platform: &Platform) -> (Server, Peer) {
    const PLACES: usize = 12_000;
    let server = Launch::new(platform).with("--enable-debug-command", "local").start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("DEBUG SMALL-PAGES yes"), Reply::ok());
    for from in (0..PLACES).step_by(1_000) {
        let places = (from..from + 1_000)
            .flat_map(|n| [format!("{}.5", n % 179), (n % 80).to_string(), format!("place:{n}")]);
        let words = ["GEOADD".to_owned(), "places".to_owned()].into_iter();
        let words: Vec<String> = words.chain(places).collect();
        peer.call(words);
    }
    (server, peer)
}

/// What cannot be weighed before is found out by the pages that it reads, and then left to a thread as a whole.
pub(crate) fn what_was_too_light_is_left_to_a_thread_when_that_shows(platform: &Platform) {
    let (server, mut peer) = with_many_places(platform);
    let all = peer.ask("ZCARD places").int();
    let before = long_commands(&server);
    let near = peer.ask("GEOSEARCH places FROMLONLAT 10 10 BYRADIUS 1 km");
    assert_eq!((near.items().len(), long_commands(&server)), (0, before), "little is looked at");
    let found = peer.ask("GEOSEARCH places FROMLONLAT 0 0 BYRADIUS 30000 km");
    assert_eq!((found.items().len() as i64, long_commands(&server)), (all, before + 1));
}

/// What copies very many bytes, or reads them from the disk, is left to a thread when that shows; what need not do so is not, and a value
/// that leaves piece by piece leaves whole, with what is behind it.
pub(crate) fn what_moves_very_many_bytes_is_left_to_a_thread_and_comes_whole(platform: &Platform) {
    const BYTES: usize = 20 << 20;
    let launch = || Launch::new(platform).with("--workers", "1");
    let server = launch().start();
    let mut peer = server.peer();
    let value = Random::new(1).bytes(BYTES);
    let (number, ok) = (Reply::Int(BYTES as i64), Reply::ok());
    let (one, bulk) = (Reply::Int(1), Reply::Bulk(value.clone()));
    let steps: [(&[&str], bool, &Reply); 14] = [
        (&["SET", "a", "VALUE"], true, &ok),
        (&["STRLEN", "a"], false, &number),
        (&["TYPE", "a"], false, &Reply::Simple(b"string".to_vec())),
        (&["OBJECT", "ENCODING", "a"], false, &Reply::bulk("raw")),
        (&["GET", "a"], false, &bulk),
        (&["EXPIRE", "a", "1000"], true, &one),
        (&["PERSIST", "a"], true, &one),
        (&["RENAME", "a", "b"], false, &ok),
        (&["COPY", "b", "c"], true, &one),
        (&["SET", "b", "small", "GET"], false, &bulk),
        (&["RENAME", "c", "d"], false, &ok),
        (&["GETDEL", "d"], false, &bulk),
        (&["MSET", "a", "VALUE", "b", "1"], true, &ok),
        (&["DEL", "a"], false, &one),
    ];
    for (words, is_long, expected) in steps {
        let words: Vec<&[u8]> =
            words.iter().map(|word| if *word == "VALUE" { &value[..] } else { word.as_bytes() }).collect();
        let before = long_commands(&server);
        // What is behind it in its connection comes behind it.
        peer.send(&[encode(&words), encode(["ECHO", "behind"])].concat());
        let [reply, behind] = &peer.replies(2)[..] else { unreachable!() };
        let name = String::from_utf8_lossy(words[0]);
        assert!(reply == expected, "{name}");
        assert_eq!(*behind, Reply::bulk("behind"), "{name}");
        assert_eq!(long_commands(&server) - before, u64::from(is_long), "{name}");
    }
    let server = launch().with("--cache-mb", "8").start();
    let mut peer = server.peer();
    assert_eq!(peer.call([b"SET", &b"a"[..], &value]), ok);
    for (words, expected) in
        [(&["GET", "a"][..], &bulk), (&["RENAME", "a", "b"], &ok), (&["GETDEL", "b"], &bulk)]
    {
        wait::until("it is on the disk alone", || {
            let bytes: usize = server.info("modb_store_memory_bytes").parse().expect("a number");
            (bytes < BYTES).then_some(())
        });
        let before = long_commands(&server);
        assert!(peer.call(words) == *expected, "{words:?}");
        assert!(long_commands(&server) > before, "{words:?}");
    }
    assert_eq!(peer.ask("DBSIZE"), Reply::Int(0));
}

/// What it said of the next command is said of the run by a thread, since that by its worker came to nothing; and of no other.
pub(crate) fn what_a_client_says_of_the_next_command_is_said_of_one_that_a_thread_runs_again(
    platform: &Platform,
) {
    let (server, mut peer) = with_many_places(platform);
    let everywhere = "GEOSEARCH places FROMLONLAT 0 0 BYRADIUS 30000 km";
    for (options, asked, expected) in [
        ("OPTIN", &["CLIENT CACHING YES", everywhere, "GET a"][..], &["places"][..]),
        ("OPTIN", &["CLIENT CACHING YES", "GET a", everywhere], &["a"]),
        ("OPTOUT", &["CLIENT CACHING NO", everywhere, "GET a"], &["a"]),
    ] {
        let mut reader = server.peer();
        reader.ask("HELLO 3");
        assert_eq!(reader.ask(&format!("CLIENT TRACKING ON {options}")), Reply::ok());
        let before = long_commands(&server);
        asked.iter().for_each(|words| drop(reader.ask(words)));
        assert_eq!(long_commands(&server), before + 1);
        peer.ask("GEOADD places 0 0 another");
        peer.ask("ZREM places another");
        peer.ask("SET a 1");
        for key in expected {
            let told = [Reply::bulk("invalidate"), list(&[*key])];
            assert_eq!(reader.reply(), Reply::Push(told.into()), "{options}: {asked:?}");
        }
        assert_eq!(
            reader.ask("PING"),
            Reply::Simple(b"PONG".to_vec()),
            "{options}: {asked:?}, and nothing more"
        );
    }
}

/// A shutdown waits for what is with the threads, and for its replies.
pub(crate) fn a_shutdown_answers_what_takes_long(platform: &Platform) {
    let mut server = start(platform, 2);
    assert_eq!(server.peer().ask("RPUSH held a b"), Reply::Int(2));
    let mut waiting: Vec<Peer> = (0..2).map(|_| server.peer()).collect();
    let held = isolation::hold(&server, "held");
    for (at, peer) in waiting.iter_mut().enumerate() {
        let before = long_commands(&server);
        peer.send(&wire(&["LRANGE held 0 -1", "LREM held 1 a"][at..=at]));
        wait::until("it is there", || (long_commands(&server) > before).then_some(()));
    }
    held.release_by_shutdown();
    assert_eq!(waiting[0].reply(), list(&["a", "b"]));
    assert_eq!(waiting[1].reply(), Reply::Int(1));
    assert!(server.wait_for_end().success());
    assert_eq!(server.launch().start().peer().ask("LLEN held"), Reply::Int(1));
}

const FIELDS: usize = 50_000;

/// Sets many fields of one hash by requests that are themselves large.
fn fill(peer: &mut Peer, key: &str) {
    let names = (0..FIELDS).flat_map(|n| [format!("field:{n}"), format!("value:{}", n * 7)]);
    let words = ["HSET".to_owned(), key.to_owned()].into_iter().chain(names);
    assert_eq!(peer.call(words.collect::<Vec<_>>()), Reply::Int(FIELDS as i64));
}

fn assert_whole(reply: &Reply) {
    let mut seen = vec![false; FIELDS];
    for pair in reply.items().chunks(2) {
        let n: usize = pair[0].text()[6..].parse().expect("a number");
        assert_eq!(pair[1].text(), format!("value:{}", n * 7));
        assert!(!std::mem::replace(&mut seen[n], true), "twice: {n}");
    }
    assert!(seen.iter().all(|seen| *seen));
}

/// Replies and requests that are larger than all that connections may hold together go one after another, and come whole.
pub(crate) fn large_replies_wait_for_each_other_and_come_whole(platform: &Platform) {
    const READERS: usize = 4;
    for workers in [1, 2] {
        let launch = Launch::new(platform).with("--workers", &workers.to_string());
        let server = launch.with("--maxmemory-clients", "1mb").start();
        let mut peer = server.peer();
        fill(&mut peer, "h");
        assert!(long_commands(&server) > 0);
        thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    let mut reader = server.peer();
                    reader.send(&wire(&["HGETALL h", "PING"]));
                    assert_whole(&reader.reply());
                    assert_eq!(reader.reply(), Reply::Simple(b"PONG".to_vec()));
                });
            }
        });
        // Who goes in the middle of a reply leaves nothing.
        let mut gone = server.peer();
        gone.send(&wire(&["HGETALL h"]));
        gone.skip(100_000);
        gone.reset();
        // Of a reply whose length is not known before, and of a transaction.
        assert_eq!(peer.call(["HVALS", "h"]).items().len(), FIELDS);
        peer.send(&wire(&["MULTI", "HKEYS h", "EXEC"]));
        peer.replies(2);
        assert_eq!(peer.reply().items()[0].items().len(), FIELDS);
        let keys: Vec<String> = (0..FIELDS / 10).map(|n| format!("key:{n}:{}", "x".repeat(100))).collect();
        let set =
            ["MSET".to_owned()].into_iter().chain(keys.iter().flat_map(|key| [key.clone(), "v".to_owned()]));
        assert_eq!(peer.call(set.collect::<Vec<_>>()), Reply::ok());
        assert_eq!(peer.ask("KEYS key:*").items().len(), keys.len());
        let removed = ["DEL".to_owned()].into_iter().chain(keys.iter().cloned()).collect::<Vec<_>>();
        assert_eq!(peer.call(removed), Reply::Int(keys.len() as i64));
    }
}
