//! Guarantees about keys that hold while others change them: scans, expiry, counters.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::{Launch, Peer, Platform, Reply, wait};

/// One step of `SCAN`: the next cursor and the keys.
fn scan(peer: &mut Peer, cursor: &str) -> (String, Vec<String>) {
    let reply = peer.call(["SCAN", cursor, "COUNT", "20"]);
    let [next, keys] = reply.items() else { panic!("SCAN gives a cursor and keys, not {reply:?}") };
    (next.text(), keys.items().iter().map(Reply::text).collect())
}

fn fill(peer: &mut Peer, prefix: &str, count: usize) {
    peer.send(&(0..count).flat_map(|n| encode(["SET", &format!("{prefix}:{n}"), "v"])).collect::<Vec<_>>());
    assert!(peer.replies(count).iter().all(|reply| *reply == Reply::ok()));
}

pub(crate) fn scan_returns_every_key_that_was_there_throughout(platform: &Platform) {
    const KEPT: usize = 2000;
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    fill(&mut peer, "kept", KEPT);
    fill(&mut peer, "gone", KEPT);
    for n in 0..KEPT {
        peer.send(&encode(["DEL", &format!("gone:{n}")]));
    }
    peer.replies(KEPT);

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut other = server.peer();
            let mut random = Random::new(7);
            while !done.load(Ordering::Relaxed) {
                let key = format!("passing:{}", random.below(1000));
                let command =
                    if random.below(2) == 0 { ["SET", &key, "v"].to_vec() } else { ["DEL", &key].to_vec() };
                other.call(command);
            }
        });
        let _over = wait::Over(&done);
        for _ in 0..5 {
            let mut seen = HashSet::new();
            let mut cursor = "0".to_owned();
            let mut steps = 0;
            loop {
                let (next, keys) = scan(&mut peer, &cursor);
                seen.extend(keys);
                cursor = next;
                steps += 1;
                assert!(steps < 100_000, "the scan does not end");
                if cursor == "0" {
                    break;
                }
            }
            let kept = (0..KEPT).filter(|n| seen.contains(&format!("kept:{n}"))).count();
            assert_eq!(kept, KEPT);
            assert!(!seen.iter().any(|key| key.starts_with("gone:")), "a removed key appeared");
        }
    });
}

pub(crate) fn scan_goes_on_over_a_restart(platform: &Platform) {
    const KEYS: usize = 500;
    let mut server = Launch::new(platform).start();
    fill(&mut server.peer(), "kept", KEYS);
    let mut seen = HashSet::new();
    let mut cursor = "0".to_owned();
    for step in 0.. {
        assert!(step < 10_000, "the scan does not end");
        let (next, keys) = scan(&mut server.peer(), &cursor);
        seen.extend(keys);
        cursor = next;
        if cursor == "0" {
            break;
        }
        if step == 3 || step == 9 {
            server = server.kill_and_restart();
        }
    }
    assert_eq!(seen.len(), KEYS);
}

pub(crate) fn an_expired_key_is_gone_the_moment_it_is_asked_for(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    for round in 0..20 {
        let key = format!("short:{round}");
        assert_eq!(peer.call(["SET", &key, "v", "PX", "2"]), Reply::ok());
        thread::sleep(Duration::from_millis(4)); // what is tested: time passing
        assert_eq!(peer.call(["GET", &key]), Reply::NullBulk);
        assert_eq!(peer.call(["EXISTS", &key]), Reply::Int(0));
        assert_eq!(peer.call(["TTL", &key]), Reply::Int(-2));
        assert_eq!(peer.call(["INCR", &key]), Reply::Int(1));
        assert_eq!(peer.call(["TTL", &key]), Reply::Int(-1));
    }
}

pub(crate) fn expired_keys_are_removed_without_being_asked_for(platform: &Platform) {
    const KEYS: usize = 1000;
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    for n in 0..KEYS {
        peer.send(&encode(["SET", &format!("short:{n}"), "v", "PX", "100"]));
    }
    peer.replies(KEYS);
    assert_eq!(peer.ask("SET kept v EX 1000"), Reply::ok());
    wait::until("only the key with time left is counted", || {
        (peer.ask("DBSIZE") == Reply::Int(1)).then_some(())
    });
    let info = peer.ask("INFO stats").text();
    let expired = info.lines().find_map(|line| line.strip_prefix("expired_keys:"));
    assert_eq!(expired.map(str::trim), Some("1000"));
}

pub(crate) fn concurrent_increments_are_all_counted(platform: &Platform) {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 50;
    const PIPELINE: usize = 40;
    let server = Launch::new(platform).start();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut peer = server.peer();
                let wire = [encode(["INCR", "n"]), encode(["APPEND", "s", "x"])].concat().repeat(PIPELINE);
                let mut last = 0;
                for _ in 0..ROUNDS {
                    peer.send(&wire);
                    for reply in peer.replies(2 * PIPELINE).chunks(2) {
                        assert!(reply[0].int() > last, "a counter never goes back");
                        last = reply[0].int();
                    }
                }
            });
        }
    });
    let total = (CLIENTS * ROUNDS * PIPELINE) as i64;
    let mut peer = server.peer();
    assert_eq!(peer.ask("GET n"), Reply::bulk(total.to_string()));
    assert_eq!(peer.ask("STRLEN s"), Reply::Int(total));
    assert_eq!(peer.ask("DBSIZE"), Reply::Int(2));
}

pub(crate) fn flushing_under_load_leaves_a_database_that_counts_right(platform: &Platform) {
    let server = Launch::new(platform).start();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for client in 0..4 {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                let mut peer = server.peer();
                let mut random = Random::new(client);
                while !done.load(Ordering::Relaxed) {
                    let key = format!("k:{}", random.below(500));
                    match random.below(3) {
                        0 => peer.call(["DEL", &key]),
                        1 => peer.call(["SET", &key, "v", "EX", "1000"]),
                        _ => peer.call(["INCR", &format!("n:{}", random.below(100))]),
                    };
                }
            });
        }
        let _over = wait::Over(&done);
        let mut peer = server.peer();
        for _ in 0..20 {
            assert_eq!(peer.ask("FLUSHDB"), Reply::ok());
            fill(&mut peer, "between", 100);
        }
    });
    let mut peer = server.peer();
    let keys = peer.ask("KEYS *").items().len() as i64;
    assert_eq!(peer.ask("DBSIZE"), Reply::Int(keys));
    assert_eq!(peer.ask("FLUSHALL"), Reply::ok());
    assert_eq!((peer.ask("DBSIZE"), peer.ask("RANDOMKEY")), (Reply::Int(0), Reply::NullBulk));
}
