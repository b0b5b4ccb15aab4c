//! `CLIENT TRACKING`: clients that keep what they read are told when it changes, by whatever way, and in time.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use modb_tests::peer::encode;
use modb_tests::platform::Product;
use modb_tests::random::Random;
use modb_tests::{Launch, Peer, Platform, Reply, Server, wait};

fn start(platform: &Platform, workers: usize) -> Server {
    let launch = Launch::new(platform);
    match platform.product {
        Product::Modb => launch.with("--workers", &workers.to_string()).start(),
        _ => launch.start(),
    }
}

/// A client of RESP3 that tracks.
fn tracker(server: &Server, options: &str) -> Peer {
    let mut peer = server.peer();
    assert!(matches!(peer.ask("HELLO 3"), Reply::Map(_)));
    assert_eq!(peer.ask(format!("CLIENT TRACKING ON {options}").trim_end()), Reply::ok());
    peer
}

/// The keys that the next message tells of.
fn told(peer: &mut Peer) -> Vec<String> {
    let reply = peer.reply();
    let Reply::Push(parts) = &reply else { panic!("no message: {reply:?}") };
    assert_eq!(parts[0], Reply::bulk("invalidate"));
    parts[1].items().iter().map(Reply::text).collect()
}

pub(crate) fn whoever_changes_a_key_tells_who_has_read_it(platform: &Platform) {
    let server = start(platform, 2);
    let (mut reader, mut writer) = (tracker(&server, ""), server.peer());
    let mut waiting = server.peer();
    // Each once: it is read again before each change.
    for change in [
        "SET k 1",
        "INCR k",
        "EXPIRE k 1000",
        "RENAME k l",
        "SET k 1",
        "COPY l k REPLACE",
        "DEL k",
        "RPUSH k a b",
        "LSET k 0 a",
        "SORT k ALPHA STORE k",
        "LMOVE k other LEFT LEFT",
        "SET k v PX 1",
    ] {
        reader.ask("EXISTS k");
        writer.ask(change);
        assert_eq!(told(&mut reader), ["k"], "{change}");
    }
    // The time of a key is over: told by the housekeeper, if nobody comes across it before.
    let is_read_in_time = |ms: &u64| {
        // A key of its own each time: one that is not there any more is remembered as well, and told when it is set again.
        writer.ask(&format!("SET passing:{ms} v PX {ms}"));
        !reader.ask(&format!("GET passing:{ms}")).is_null()
    };
    let read = [50, 500, 5_000, 50_000].into_iter().find(is_read_in_time).expect("one is read in time");
    assert_eq!(told(&mut reader), [format!("passing:{read}")]);
    // Who waits takes it.
    writer.ask("DEL k");
    waiting.send(&encode(["BLPOP", "k", "0"]));
    wait::until("it waits", || (server.info("blocked_clients") == "1").then_some(()));
    reader.ask("EXISTS k");
    writer.ask("RPUSH k x");
    assert_eq!(told(&mut reader), ["k"]);
    assert_eq!(waiting.reply().items()[1], Reply::bulk("x"));
    for flush in ["FLUSHDB", "FLUSHALL"] {
        reader.ask("GET k");
        writer.ask(flush);
        let reply = reader.reply();
        assert!(matches!(&reply, Reply::Push(parts) if parts[1].is_null()), "{reply:?}");
    }
    if platform.product == Product::Modb {
        // Of another database, too.
        reader.ask("GET k");
        writer.ask("SWAPDB 0 1");
        assert!(matches!(&reader.reply(), Reply::Push(parts) if parts[1].is_null()));
    }
    assert_eq!(reader.ask("PING"), Reply::Simple(b"PONG".to_vec()), "and nothing more");
}

pub(crate) fn what_a_client_says_of_the_next_command_is_said_of_no_other(platform: &Platform) {
    let server = start(platform, 2);
    let mut writer = server.peer();
    if platform.product == Product::Modb {
        // What may take long is executed by a thread.
        assert_eq!(writer.ask("CONFIG SET long-command-us 0"), Reply::ok());
    }
    for (options, asked, expected) in [
        ("OPTIN", &["CLIENT CACHING YES", "GET a", "GET b"][..], &["a"][..]),
        ("OPTIN", &["CLIENT CACHING YES", "MULTI", "GET a", "GET b", "EXEC", "GET c"], &["a", "b"]),
        ("OPTIN", &["MULTI", "CLIENT CACHING YES", "GET a", "GET b", "EXEC", "GET c"], &["a", "b"]),
        ("OPTIN", &["CLIENT CACHING YES", "MULTI", "GET a", "DISCARD", "GET c"], &[]),
        ("OPTIN", &["CLIENT CACHING YES", "MULTI", "NOSUCH", "EXEC", "GET c"], &[]),
        ("OPTIN", &["CLIENT CACHING YES", "MULTI", "EXEC more", "GET c"], &[]),
        ("OPTIN", &["CLIENT CACHING YES", "NOSUCH", "GET a"], &[]),
        ("OPTIN", &["CLIENT CACHING YES", "BLPOP none 0.01", "GET a"], &[]),
        ("OPTIN", &["CLIENT CACHING YES", "MGET a b", "MGET b c"], &["a", "b"]),
        // A thread does it once the command has run.
        ("OPTIN", &["CLIENT CACHING YES", "SAVE", "GET a"], &[]),
        ("OPTOUT", &["CLIENT CACHING NO", "GET a", "GET b"], &["b"]),
    ] {
        let mut reader = tracker(&server, options);
        asked.iter().for_each(|words| drop(reader.ask(words)));
        for key in ["a", "b", "c"] {
            assert_eq!(writer.ask(&format!("SET {key} 1")), Reply::ok());
        }
        for key in expected {
            assert_eq!(told(&mut reader), [*key], "{options}: {asked:?}");
        }
        let pong = Reply::Simple(b"PONG".to_vec());
        assert_eq!(reader.ask("PING"), pong, "{options}: {asked:?}, and nothing more");
    }
}

pub(crate) fn what_a_flush_tells_is_in_the_protocol_of_who_is_told(platform: &Platform) {
    let server = start(platform, 2);
    for (tracks, is_told, expected) in [
        (2, 3, ">2|$10|invalidate|_|"),
        (3, 2, "*3|$7|message|$20|__redis__:invalidate|$-1|"),
        (2, 2, "*3|$7|message|$20|__redis__:invalidate|$-1|"),
    ] {
        let (mut reader, mut other) = (server.peer(), server.peer());
        reader.ask(&format!("HELLO {tracks}"));
        other.ask(&format!("HELLO {is_told}"));
        let id = other.ask("CLIENT ID").int();
        other.ask("SUBSCRIBE __redis__:invalidate");
        assert_eq!(reader.ask(&format!("CLIENT TRACKING ON REDIRECT {id}")), Reply::ok());
        reader.ask("GET k");
        assert_eq!(server.peer().ask("FLUSHALL"), Reply::ok());
        other.expect(expected.replace('|', "\r\n").as_bytes());
    }
}

pub(crate) fn what_is_tracked_is_bounded_and_leaves_with_its_client(platform: &Platform) {
    let server = start(platform, 2);
    let mut peer = server.peer();
    assert_eq!(peer.ask("CONFIG SET tracking-table-max-keys 10"), Reply::ok());
    let mut reader = tracker(&server, "");
    let mut kept = HashSet::new();
    for n in 0..100 {
        let key = format!("key:{n}");
        reader.send(&encode(["GET", &key]));
        while let Reply::Push(parts) = reader.reply() {
            let gone = parts[1].items()[0].text();
            assert!(kept.remove(&gone) || gone == key, "{gone} was not tracked");
        }
        kept.insert(key);
    }
    let mut prefixed = tracker(&server, "BCAST PREFIX a PREFIX b");
    let info = |field: &str| server.info(field).parse::<u64>().expect("a number");
    if platform.product == Product::Modb {
        assert_eq!(info("tracking_total_keys"), 10);
    }
    assert_eq!((info("tracking_clients"), info("tracking_total_prefixes")), (2, 2));
    assert_eq!(info("tracking_total_items"), info("tracking_total_keys"));
    let shown = peer.ask("CLIENT LIST").text();
    assert!(
        shown.contains(" flags=t ") && shown.contains(" flags=tB ") && shown.contains(" redir=0 "),
        "{shown}"
    );
    assert_eq!(prefixed.ask("CLIENT TRACKING OFF"), Reply::ok());
    drop(reader);
    wait::until("nobody tracks", || {
        (info("tracking_clients") == 0 && info("tracking_total_prefixes") == 0).then_some(())
    });
    if platform.product == Product::Modb {
        wait::until("nothing is left", || (info("tracking_total_keys") == 0).then_some(()));
        assert_eq!(info("tracking_total_items"), 0);
    }
}

pub(crate) fn another_is_told_in_its_place_until_it_goes(platform: &Platform) {
    let server = start(platform, 4);
    let mut writer = server.peer();
    // One that listens in RESP2, and one of RESP3 that was told nothing before.
    let mut ears = server.peer();
    let id = ears.ask("CLIENT ID").int();
    ears.ask("SUBSCRIBE __redis__:invalidate");
    let mut reader = server.peer();
    assert_eq!(reader.ask(&format!("CLIENT TRACKING ON REDIRECT {id}")), Reply::ok());
    assert_eq!(reader.ask("CLIENT GETREDIR"), Reply::Int(id));
    reader.ask("GET k");
    writer.ask("SET k 1");
    ears.expect(b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n");
    let mut others: Vec<(Peer, Peer)> = (0..8)
        .map(|_| {
            let (mut reader, mut other) = (server.peer(), server.peer());
            assert!(matches!(reader.ask("HELLO 3"), Reply::Map(_)));
            assert!(matches!(other.ask("HELLO 3"), Reply::Map(_)));
            let id = other.ask("CLIENT ID").int();
            assert_eq!(reader.ask(&format!("CLIENT TRACKING ON REDIRECT {id} NOLOOP")), Reply::ok());
            (reader, other)
        })
        .collect();
    for _ in 0..20 {
        others.iter_mut().for_each(|(reader, _)| drop(reader.ask("GET k")));
        writer.ask("INCR k");
        for (_, other) in &mut others {
            assert_eq!(told(other), ["k"]);
        }
    }
    for (reader, other) in &mut others {
        let id = other.ask("CLIENT ID").int();
        reader.ask("GET k");
        assert_eq!(writer.ask(&format!("CLIENT KILL ID {id}")), Reply::Int(1));
        writer.ask("INCR k");
        let broken = Reply::Push(vec![Reply::bulk("tracking-redir-broken"), Reply::Int(id)]);
        assert_eq!(reader.reply(), broken);
    }
}

pub(crate) fn what_tells_of_a_change_comes_behind_the_reply_that_it_concerns(platform: &Platform) {
    const ELEMENTS: usize = 400;
    let server = start(platform, 2);
    let mut writer = server.peer();
    if platform.product == Product::Modb {
        assert_eq!(writer.ask("CONFIG SET long-command-us 1"), Reply::ok());
    }
    // More than the socket takes in.
    let elements = (0..ELEMENTS).map(|n| format!("{n:016000}"));
    let words = ["RPUSH".to_owned(), "l".to_owned()].into_iter().chain(elements);
    assert_eq!(writer.call(words.collect::<Vec<_>>()), Reply::Int(ELEMENTS as i64));
    // A reply that leaves piece by piece, and does not leave as long as it is not read.
    let mut reader = Peer::connect_with_small_window(server.addr());
    assert!(matches!(reader.ask("HELLO 3"), Reply::Map(_)));
    assert_eq!(reader.ask("CLIENT TRACKING ON"), Reply::ok());
    reader.ask("SUBSCRIBE news");
    reader.send(&encode(["LRANGE", "l", "0", "-1"]));
    assert!(reader.is_answered_within(wait::DEADLINE));
    if platform.product == Product::Modb {
        assert!(server.info("modb_long_commands").parse::<u64>().expect("a number") > 1);
    }
    assert_eq!(writer.ask("RPUSH l last"), Reply::Int(ELEMENTS as i64 + 1));
    assert_eq!(writer.ask("PUBLISH news x"), Reply::Int(1));
    assert_eq!(reader.reply().items().len(), ELEMENTS, "it is whole, and as it was");
    assert_eq!(told(&mut reader), ["l"]);
    assert_eq!(reader.reply(), Reply::Push(["message", "news", "x"].map(Reply::bulk).to_vec()));
    assert_eq!(reader.ask("LLEN l"), Reply::Int(ELEMENTS as i64 + 1));
}

pub(crate) fn no_read_from_a_cache_is_older_than_a_write_that_was_answered(platform: &Platform) {
    let wine = platform.is(modb_tests::Where::Wine);
    read_and_write(platform, if wine { 300 } else { 3_000 });
}

pub(crate) fn long_of_a_million_reads_and_writes_none_is_older(platform: &Platform) {
    read_and_write(platform, 1_000_000 / READERS as u64);
}

const KEYS: usize = 12;
const READERS: usize = 8;

/// Clients that keep what they read, beside two that write: each value of a key is greater than those before it.
fn read_and_write(platform: &Platform, each: u64) {
    let server = start(platform, 4);
    // The last value of each key of whose write the answer has come.
    let answered: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let over = AtomicBool::new(false);
    let hits: u64 = thread::scope(|scope| {
        for writer in 0..2 {
            let (server, answered, over) = (&server, &answered, &over);
            scope.spawn(move || {
                let (mut peer, mut random) = (server.peer(), Random::new(writer));
                let mut n = 0;
                while !over.load(Ordering::Acquire) {
                    n += 1;
                    // Each writes keys of its own.
                    let at =
                        |random: &mut Random| 2 * random.below(KEYS as u64 / 2) as usize + writer as usize;
                    let (one, two) = (at(&mut random), at(&mut random));
                    let value = n.to_string();
                    let keys = [one, two].map(|at| format!("key:{at}"));
                    match random.below(4) {
                        0 => drop(peer.call(["MSET", &keys[0], &value, &keys[1], &value])),
                        1 => {
                            let requests = [
                                &["MULTI"][..],
                                &["SET", &keys[0], &value],
                                &["SET", &keys[1], &value],
                                &["EXEC"],
                            ];
                            let wire: Vec<Vec<u8>> = requests.iter().map(|words| encode(*words)).collect();
                            peer.send(&wire.concat());
                            peer.replies(4);
                        }
                        2 => {
                            let from = format!("from:{writer}");
                            peer.call(["SET", &from, &value]);
                            peer.call(["RENAME", &from, &keys[0]]);
                            peer.call(["COPY", &keys[0], &keys[1], "REPLACE"]);
                        }
                        _ => {
                            peer.call(["SET", &keys[0], &value]);
                            peer.call(["SET", &keys[1], &value]);
                        }
                    }
                    for at in [one, two] {
                        answered[at].store(n, Ordering::Release);
                    }
                }
            });
        }
        let end = wait::Over(&over);
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (server, answered) = (&server, &answered);
                scope.spawn(move || cache(server, answered, reader, each))
            })
            .collect();
        let hits = readers.into_iter().map(|reader| reader.join().expect("it did not panic")).sum();
        drop(end);
        hits
    });
    println!("{hits} of {} reads were answered from caches", each * READERS as u64);
    assert!(hits * 20 > each * READERS as u64, "too few to show anything");
}

/// Reads so many times, from what it keeps where it can; how often that was.
fn cache(server: &Server, answered: &[AtomicU64], reader: usize, each: u64) -> u64 {
    let modes = ["", "BCAST", "NOLOOP", "BCAST PREFIX key:1 PREFIX key:2 PREFIX key:3"];
    let mode = modes[reader % modes.len()];
    let mut peer = tracker(server, mode);
    let (mut random, mut kept) = (Random::new(100 + reader as u64), HashMap::<usize, u64>::new());
    let mut hits = 0;
    let number = |reply: &Reply| if reply.is_null() { 0 } else { reply.text().parse().expect("a number") };
    for _ in 0..each {
        let at = random.below(KEYS as u64) as usize;
        let key = format!("key:{at}");
        if mode.contains("PREFIX")
            && !["key:1", "key:2", "key:3"].iter().any(|prefix| key.starts_with(prefix))
        {
            continue;
        }
        // What was answered before is to be seen once this is.
        let least = answered[at].load(Ordering::Acquire);
        peer.send(&encode(["PING"]));
        let is_pong = |reply: &Reply| *reply == Reply::Simple(b"PONG".to_vec());
        hear(&mut peer, &mut kept, is_pong);
        let seen = match kept.get(&at) {
            Some(seen) => {
                hits += 1;
                *seen
            }
            None if random.below(3) == 0 => {
                let other = random.below(KEYS as u64) as usize;
                peer.send(&encode(["MULTI"]));
                peer.send(&encode(["GET", &key]));
                peer.send(&encode(["MGET", &key, &format!("key:{other}")]));
                peer.send(&encode(["EXEC"]));
                for _ in 0..3 {
                    hear(&mut peer, &mut kept, |reply| matches!(reply, Reply::Simple(_)));
                }
                let replies = hear(&mut peer, &mut kept, |reply| matches!(reply, Reply::Array(_)));
                let seen = number(&replies.items()[0]);
                if !mode.contains("PREFIX") {
                    kept.insert(other, number(&replies.items()[1].items()[1]));
                }
                kept.insert(at, seen);
                seen
            }
            None => {
                peer.send(&encode(["GET", &key]));
                let reply = hear(&mut peer, &mut kept, |reply| !matches!(reply, Reply::Push(_)));
                kept.insert(at, number(&reply));
                number(&reply)
            }
        };
        assert!(seen >= least, "{key} was {least} when that was answered, and is read as {seen} ({mode})");
    }
    hits
}

/// The reply that is waited for; what is told before it is forgotten.
fn hear(peer: &mut Peer, kept: &mut HashMap<usize, u64>, is_it: impl Fn(&Reply) -> bool) -> Reply {
    loop {
        let reply = peer.reply();
        match &reply {
            Reply::Push(parts) if parts[1].is_null() => kept.clear(),
            Reply::Push(parts) => {
                for key in parts[1].items() {
                    if let Some(at) = key.text().strip_prefix("key:") {
                        kept.remove(&at.parse().expect("a number"));
                    }
                }
            }
            reply => assert!(is_it(reply), "{reply:?}"),
        }
        if is_it(&reply) {
            return reply;
        }
    }
}
