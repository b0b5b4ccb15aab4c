//! Events of keys: what is told of what is done to keys, in which order, and to whom. That each command tells what it tells in Redis is
//! compared by the oracle.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::platform::Product;
use modb_tests::random::Random;
use modb_tests::slow_disk::SlowDisk;
use modb_tests::{Launch, Peer, Platform, Reply, Server, skip, wait};

fn start(platform: &Platform, workers: usize, classes: &str) -> Server {
    let launch = Launch::new(platform);
    let server = match platform.product {
        Product::Modb => launch.with("--workers", &workers.to_string()).start(),
        _ => launch.start(),
    };
    assert_eq!(server.peer().call(["CONFIG", "SET", "notify-keyspace-events", classes]), Reply::ok());
    server
}

/// Who listens to everything that is told of keys, by the events.
fn listener(server: &Server) -> Peer {
    let mut peer = server.peer();
    peer.ask("PSUBSCRIBE __keyevent@*");
    peer
}

/// The next event: the number of the database, what it is, and the key.
fn next(peer: &mut Peer) -> String {
    let reply = peer.reply();
    let [_, _, channel, key] = reply.items() else { panic!("no message by a pattern: {reply:?}") };
    format!("{} {}", channel.text().replace("__keyevent@", "").replace("__:", " "), key.text())
}

fn expect(peer: &mut Peer, events: &[&str]) {
    for event in events {
        assert_eq!(next(peer), *event);
    }
}

pub(crate) fn what_is_done_to_keys_is_told_in_its_order(platform: &Platform) {
    let server = start(platform, 2, "Eg$lxn");
    let (mut ears, mut peer) = (listener(&server), server.peer());
    peer.ask("SET a 1 EX 100");
    expect(&mut ears, &["0 new a", "0 set a", "0 expire a"]);
    // What is done together is told when it is done.
    for line in ["MULTI", "APPEND a 2", "LPUSH a x", "RPUSH l x", "PUBLISH __keyevent@0__:told l", "DEL a l"]
    {
        peer.ask(line);
    }
    peer.ask("EXEC");
    expect(&mut ears, &["0 append a", "0 new l", "0 rpush l", "0 told l", "0 del a", "0 del l"]);
    // Who is served has taken what somebody brought.
    let mut waits = server.peer();
    waits.send(&encode(["BLMOVE", "q", "r", "LEFT", "RIGHT", "0"]));
    wait::until("it waits", || (server.info("blocked_clients") == "1").then_some(()));
    peer.ask("RPUSH q x");
    assert_eq!(waits.reply(), Reply::bulk("x"));
    expect(&mut ears, &["0 new q", "0 rpush q", "0 new r", "0 rpush r", "0 lpop q", "0 del q"]);
    peer.ask("SELECT 3");
    peer.ask("PSETEX e 1 x");
    // Nobody asks for it.
    expect(&mut ears, &["3 new e", "3 set e", "3 expire e", "3 expired e"]);
    peer.ask("MSET b 1 c 2");
    peer.ask("RENAME b d");
    peer.ask("MOVE d 1");
    expect(
        &mut ears,
        &["3 new b", "3 set b", "3 new c", "3 set c", "3 new d", "3 rename_from b", "3 rename_to d"],
    );
    expect(&mut ears, &["1 new d", "3 move_from d", "1 move_to d"]);
    // Others are not wanted, or to be told elsewhere.
    peer.ask("SADD d x");
    expect(&mut ears, &["3 new d"]);
    let mut by_key = server.peer();
    by_key.ask("SUBSCRIBE __keyspace@3__:a");
    for (classes, line) in [("K$", "SET a 2"), ("K$", "EXPIRE a 100"), ("", "SET a 3"), ("$", "SET a 4")] {
        assert_eq!(peer.call(["CONFIG", "SET", "notify-keyspace-events", classes]), Reply::ok());
        peer.ask(line);
    }
    peer.ask("PUBLISH __keyspace@3__:a end");
    peer.ask("PUBLISH __keyevent@3__:end a");
    let heard = [by_key.reply(), by_key.reply()].map(|reply| reply.items()[2].text());
    assert_eq!(heard, ["set", "end"]);
    expect(&mut ears, &["3 end a"]);
}

pub(crate) fn all_who_listen_hear_events_in_one_order_and_those_of_a_key_as_they_were(platform: &Platform) {
    const WRITERS: u64 = 4;
    const LISTENERS: usize = 6;
    let rounds = if platform.is(modb_tests::Where::Wine) { 150 } else { 600 };
    let server = start(platform, 4, "Egn");
    let mut ears: Vec<Peer> = (0..LISTENERS).map(|_| listener(&server)).collect();
    let heard: Vec<Vec<String>> = thread::scope(|scope| {
        let readers: Vec<_> = ears
            .iter_mut()
            .map(|peer| {
                scope.spawn(move || {
                    let mut heard = Vec::new();
                    loop {
                        let event = next(peer);
                        if event == "0 end end" {
                            return heard;
                        }
                        heard.push(event);
                    }
                })
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let server = &server;
                scope.spawn(move || {
                    let (mut peer, mut random) = (server.peer(), Random::new(writer));
                    for _ in 0..rounds {
                        let (a, b) = (random.below(4), random.below(4));
                        let line = match random.below(5) {
                            0 => format!("SET k{a} {writer}"),
                            1 => format!("DEL k{a} k{b}"),
                            2 => format!("RENAME k{a} k{b}"),
                            3 => format!("GETDEL k{a}"),
                            _ => format!("SETNX k{a} {writer}"),
                        };
                        peer.ask(&line);
                    }
                })
            })
            .collect();
        let done: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        // Also if one has failed: the others end then, and it is told below.
        server.peer().ask("PUBLISH __keyevent@0__:end end");
        assert!(done.iter().all(Result::is_ok), "a writer has failed");
        readers.into_iter().map(|reader| reader.join().expect("the reader did not panic")).collect()
    });
    for (n, order) in heard.iter().enumerate() {
        assert!(*order == heard[0], "listener {n} heard another order than the first");
    }
    // A key comes to be, and goes, in turn. Renamed onto one that is there it is another one.
    let mut there = HashSet::new();
    let mut renamed = 0;
    for (at, event) in heard[0].iter().enumerate() {
        let (kind, key) = event[2..].split_once(' ').expect("an event and its key");
        let next_is = |kind: &str| heard[0].get(at + 1).is_some_and(|next| next[2..].starts_with(kind));
        match kind {
            "new" if next_is("rename_from") => {
                there.insert(key);
            }
            "new" => assert!(there.insert(key), "{event} at {at}: it was there"),
            "del" => assert!(there.remove(key), "{event} at {at}: it was not there"),
            "rename_from" => {
                renamed += 1;
                assert!(there.remove(key), "{event} at {at}: it was not there");
            }
            _ => assert!(there.contains(key), "{event} at {at}: it is not there"),
        }
    }
    assert!(renamed > 10 && heard[0].len() > rounds as usize, "too few to show anything");
}

/// On a disk whose syncs take a while: what tells of a change, and who is served by it, waits for that as its answer does.
pub(crate) fn in_always_nobody_hears_of_what_is_not_safe_yet(platform: &Platform) {
    const SYNC: Duration = Duration::from_millis(80);
    let disk = match SlowDisk::with_syncs_of(SYNC) {
        Ok(disk) => disk,
        Err(reason) => skip!("{reason}"),
    };
    let launch = Launch::new(platform).with_durability("always").with("--workers", "3");
    let server = launch.in_shell(&disk.script()).start();
    assert_eq!(server.peer().ask("CONFIG SET notify-keyspace-events El"), Reply::ok());
    let [mut waits, mut tracks, mut monitors, mut writes] = [(); 4].map(|()| server.peer());
    let mut ears = listener(&server);
    tracks.ask("HELLO 3");
    assert_eq!(tracks.ask("CLIENT TRACKING ON BCAST"), Reply::ok());
    for round in 0..3 {
        waits.send(&encode(["BLPOP", "q", "0"]));
        wait::until("it waits", || (server.info("blocked_clients") == "1").then_some(()));
        if round == 0 {
            assert_eq!(monitors.ask("MONITOR"), Reply::ok());
        }
        // Until then it sees what was done before.
        writes.ask("PING");
        while !monitors.reply().text().contains("PING") {}
        let begun = Instant::now();
        writes.send(&encode(["RPUSH", "q", "v"]));
        while begun.elapsed() < SYNC * 3 / 4 {
            for (peer, who) in [
                (&ears, "who listens"),
                (&tracks, "who tracks"),
                (&monitors, "who monitors"),
                (&waits, "who waits"),
                (&writes, "who writes"),
            ] {
                assert!(!peer.has_come() || begun.elapsed() >= SYNC, "{who} heard of it before it was safe");
            }
            thread::yield_now();
        }
        assert_eq!(writes.reply(), Reply::Int(1));
        assert_eq!(waits.reply().items()[1], Reply::bulk("v"));
        assert!(matches!(tracks.reply(), Reply::Push(_)));
        expect(&mut ears, &["0 rpush q", "0 lpop q"]);
        while !monitors.reply().text().contains("RPUSH") {}
        while tracks.has_come() {
            tracks.reply();
        }
    }
}
