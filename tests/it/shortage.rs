//! Running short is not failing: what the disk or the system has no room for is said, waited for, and done later.

use std::fs;

use modb_tests::peer::encode;
use modb_tests::{Launch, Peer, Platform, Reply, wait};

/// More than any disk has.
const NEARLY_FULL_MB: &str = "1000000000";

pub(crate) fn a_nearly_full_disk_takes_what_makes_room(platform: &Platform) {
    let launch = Launch::new(platform);
    let mut server = launch.start();
    let mut peer = server.peer();
    for key in ["a", "b", "c", "d"] {
        assert_eq!(peer.ask(&format!("SET {key} 1")), Reply::ok());
    }
    assert_eq!(peer.ask("SET soon 1 PX 600000"), Reply::ok());
    server.stop();
    let server = launch.clone().with("--min-free-mb", NEARLY_FULL_MB).start();
    let mut peer = server.peer();
    for refused in ["SET e 1", "APPEND a 1", "INCR b", "COPY a e"] {
        assert!(peer.ask(refused).error().is_some_and(|text| text.contains("disk")), "{refused}");
    }
    assert_eq!(peer.ask("DEL a"), Reply::Int(1));
    assert_eq!(peer.ask("EXPIRE b 100"), Reply::Int(1));
    assert_eq!(peer.ask("PEXPIRE soon 1"), Reply::Int(1));
    // The housekeeper removes it.
    wait::until("what expired is removed", || (peer.ask("DBSIZE") == Reply::Int(3)).then_some(()));
    assert_eq!(peer.ask("FLUSHALL"), Reply::ok());
    assert_eq!(peer.ask("DBSIZE"), Reply::Int(0));
    drop(server);
    let server = launch.start();
    assert_eq!(server.peer().ask("DBSIZE"), Reply::Int(0));
}

pub(crate) fn a_flush_that_cannot_be_done_is_said_and_done_once_it_can(platform: &Platform) {
    const VALUE_BYTES: usize = 10_000;
    const PIPELINE: usize = 100;
    let server = Launch::new(platform).with("--cache-mb", "16").start();
    let tables = server.launch().folder().join("tables").join("tables");
    let away = tables.with_file_name("away");
    let mut peer = server.peer();
    let mut written = 0;
    let mut write = |peer: &mut Peer| {
        let keys = written..written + PIPELINE;
        peer.send(
            &keys
                .flat_map(|n| encode(["SET", &format!("k{n}"), &value(n, VALUE_BYTES)]))
                .collect::<Vec<u8>>(),
        );
        let replies = peer.replies(PIPELINE);
        let done = replies.iter().take_while(|reply| **reply == Reply::ok()).count();
        written += done;
        done == PIPELINE
    };
    assert!(write(&mut peer));
    for _ in 0..3 {
        // No file can be made in a folder that is not there.
        fs::rename(&tables, &away).expect("a test may rename in its own folder");
        wait::until("writes are refused, since memory is full", || (!write(&mut peer)).then_some(()));
        let trouble = server.info("modb_store_trouble");
        assert!(trouble.starts_with("flush: "), "{trouble}");
        let refusal = peer.call(["SET", "k", &value(0, VALUE_BYTES)]).error().expect("it is full");
        assert!(refusal.contains("memory is full"), "{refusal}");
        assert_eq!(peer.ask("STRLEN k0"), Reply::Int(VALUE_BYTES as i64));
        fs::rename(&away, &tables).expect("a test may rename in its own folder");
        wait::until("writes are taken again", || write(&mut peer).then_some(()));
        wait::until("nothing is amiss", || server.info("modb_store_trouble").is_empty().then_some(()));
    }
    drop((write, peer));
    let server = server.kill_and_restart();
    let mut peer = server.peer();
    assert_eq!(peer.ask("DBSIZE"), Reply::Int(written as i64));
    for n in (0..written).step_by(97) {
        assert_eq!(peer.ask(&format!("GET k{n}")), Reply::bulk(value(n, VALUE_BYTES)), "k{n}");
    }
}

fn value(n: usize, bytes: usize) -> String {
    n.to_string().repeat(bytes)[..bytes].to_owned()
}
