//! What was acknowledged is there after the process ends, however it ends.

use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::sys::SmallDisk;
use modb_tests::{Launch, Platform, Reply, skip, wait};

use crate::start::fill;

/// A reply that has not come by then is held: sooner than `ENDED_AFTER`, so that there is time left to free the disk.
const HELD_AFTER: Duration = Duration::from_secs(2);

/// Whose reply was held for so long may be closed instead of answered.
const ENDED_AFTER: Duration = Duration::from_secs(5);

const MODES: [&str; 3] = ["always", "everysec", "os"];

pub(crate) fn a_value_survives_kill_in_every_mode(platform: &Platform) {
    for mode in MODES {
        let server = Launch::new(platform).with_durability(mode).start();
        assert_eq!(server.peer().ask("SET k v"), Reply::ok());
        let server = server.kill_and_restart();
        assert_eq!(server.peer().ask("GET k"), Reply::bulk("v"), "{mode}");
        assert_eq!(server.peer().ask("DEL k"), Reply::Int(1));
        let server = server.kill_and_restart();
        assert_eq!(server.peer().ask("EXISTS k"), Reply::Int(0), "{mode}");
        assert_eq!(server.peer().ask("DBSIZE"), Reply::Int(0), "{mode}");
    }
}

pub(crate) fn a_pipeline_answered_before_the_kill_is_all_there(platform: &Platform) {
    const COMMANDS: usize = 10_000;
    for mode in MODES {
        let server = Launch::new(platform).with_durability(mode).start();
        let mut peer = server.peer();
        let wire: Vec<u8> =
            (0..COMMANDS).flat_map(|n| encode(["SET", &format!("key:{n}"), &n.to_string()])).collect();
        peer.send(&wire);
        assert!(peer.replies(COMMANDS).iter().all(|reply| *reply == Reply::ok()));
        let server = server.kill_and_restart();
        let mut peer = server.peer();
        assert_eq!(peer.ask("DBSIZE"), Reply::Int(COMMANDS as i64), "{mode}");
        let wire: Vec<u8> = (0..COMMANDS).flat_map(|n| encode(["GET", &format!("key:{n}")])).collect();
        peer.send(&wire);
        for n in 0..COMMANDS {
            assert_eq!(peer.reply(), Reply::bulk(n.to_string()), "{mode}");
        }
    }
}

pub(crate) fn who_waits_alone_is_answered_by_a_sync_of_its_own_worker(platform: &Platform) {
    const COMMANDS: u64 = 400;
    // In memory, where a sync is quick whatever the machine's disk does.
    let disk = match SmallDisk::mount() {
        Ok(disk) => disk,
        Err(why) => skip!("{why}"),
    };
    let server = Launch::new(platform).in_folder(disk.path().join("data")).with_durability("always").start();
    let mut peer = server.peer();
    for n in 0..COMMANDS {
        assert_eq!(peer.ask(&format!("SET key:{n} value")), Reply::ok());
    }
    let number = |field| server.info(field).parse::<u64>().expect("a number");
    let (syncs, led) = (number("modb_store_syncs"), number("modb_store_syncs_led"));
    assert!(syncs >= COMMANDS, "{syncs} syncs for {COMMANDS} answers");
    assert!(led >= COMMANDS / 2, "{led} of {syncs} syncs were led by the worker that waited");
}

pub(crate) fn counters_and_lengths_are_exact_after_a_kill(platform: &Platform) {
    const STEPS: usize = 1000;
    let mut server = Launch::new(platform).with_durability("everysec").start();
    for round in 1..=3 {
        let mut peer = server.peer();
        peer.send(&[encode(["INCR", "n"]), encode(["APPEND", "s", "x"])].concat().repeat(STEPS));
        peer.replies(2 * STEPS);
        server = server.kill_and_restart();
        let mut peer = server.peer();
        let expected = (round * STEPS) as i64;
        assert_eq!(peer.ask("GET n"), Reply::bulk(expected.to_string()));
        assert_eq!(peer.ask("STRLEN s"), Reply::Int(expected));
        assert_eq!(peer.ask("DBSIZE"), Reply::Int(2));
    }
}

pub(crate) fn times_to_live_continue_over_a_restart(platform: &Platform) {
    let server = Launch::new(platform).with_durability("always").start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("SET long v EX 10000"), Reply::ok());
    assert_eq!(peer.ask("SET kept v EX 10000"), Reply::ok());
    assert_eq!(peer.ask("PERSIST kept"), Reply::Int(1));
    let at = peer.ask("PEXPIRETIME long");
    let server = server.kill_and_restart();
    let mut peer = server.peer();
    assert_eq!(peer.ask("PEXPIRETIME long"), at);
    let left = peer.ask("TTL long").int();
    assert!((9000..=10000).contains(&left), "{left}");
    assert_eq!(peer.ask("TTL kept"), Reply::Int(-1));
    let server = server.restart();
    assert_eq!(server.peer().ask("PEXPIRETIME long"), at);
}

pub(crate) fn what_expired_while_down_stays_gone(platform: &Platform) {
    let mut server = Launch::new(platform).with_durability("always").start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("SET short v PX 100"), Reply::ok());
    assert_eq!(peer.ask("SET kept v"), Reply::ok());
    server.kill();
    std::thread::sleep(Duration::from_millis(150)); // what is tested: time passing while it is down
    let server = server.launch().clone().start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("GET short"), Reply::NullBulk);
    assert_eq!(peer.ask("TTL short"), Reply::Int(-2));
    wait::until("the count forgets it, too", || (peer.ask("DBSIZE") == Reply::Int(1)).then_some(()));
}

pub(crate) fn a_hundred_restarts_of_nothing_change_nothing(platform: &Platform) {
    let rounds = if platform.wine { 20 } else { 100 };
    let mut server = Launch::new(platform).start();
    assert_eq!(server.peer().ask("SET k v"), Reply::ok());
    for _ in 0..rounds {
        server = server.kill_and_restart();
    }
    let mut peer = server.peer();
    assert_eq!((peer.ask("GET k"), peer.ask("DBSIZE")), (Reply::bulk("v"), Reply::Int(1)));
}

pub(crate) fn a_disk_that_fills_refuses_writes_and_serves_again_when_freed(platform: &Platform) {
    let disk = match SmallDisk::mount() {
        Ok(disk) => disk,
        Err(why) => skip!("{why}"),
    };
    let server = Launch::new(platform).in_folder(disk.path().join("data")).start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("SET before 1"), Reply::ok());
    let ballast = disk.path().join("ballast");
    fill(&ballast);

    // The free space is looked at now and then: until then a write may still succeed, into what was set aside. One that
    // no longer fits there is neither acknowledged nor refused: its reply waits until there is space, and if that takes too
    // long its connection ends. Written it is in either case, once there is space.
    let (mut accepted, mut held) = (0, Vec::new());
    let mut writer = server.peer();
    let refusal = wait::until("writes are refused", || {
        let value = vec![b'v'; 100 << 10];
        let sent = Instant::now();
        writer.send(&encode([b"SET", format!("during:{accepted}").as_bytes(), &value]));
        writer.stream().set_read_timeout(Some(HELD_AFTER)).expect("a timeout can be set");
        match writer.try_reply() {
            Ok(Reply::Error(text)) => return Some(String::from_utf8_lossy(&text).into_owned()),
            Ok(_) => accepted += 1,
            Err(_) => {
                held.push((sent, std::mem::replace(&mut writer, server.peer())));
                assert!(held.len() < 3, "writes after one that waits are refused");
                accepted += 1;
            }
        }
        None
    });
    assert!(refusal.contains("space") || refusal.contains("disk"), "{refusal}");
    assert_eq!(peer.ask("GET before"), Reply::bulk("1"), "reads go on");

    std::fs::remove_file(&ballast).expect("a test may remove its own file");
    wait::until("writes are taken again", || (peer.ask("SET after 1") == Reply::ok()).then_some(()));
    for (sent, mut held) in held {
        held.stream().set_read_timeout(Some(wait::DEADLINE)).expect("a timeout can be set");
        match held.try_reply() {
            Ok(reply) => assert_eq!(reply, Reply::ok(), "there is space now"),
            Err(error) => {
                let held_for = sent.elapsed();
                assert!(held_for >= ENDED_AFTER, "held for {held_for:?}, then {error}");
            }
        }
    }
    drop(writer);
    drop(peer);
    let server = server.kill_and_restart();
    let mut peer = server.peer();
    assert_eq!((peer.ask("GET before"), peer.ask("GET after")), (Reply::bulk("1"), Reply::bulk("1")));
    for n in 0..accepted {
        assert_eq!(peer.ask(&format!("STRLEN during:{n}")), Reply::Int(100 << 10), "{n}");
    }
}
