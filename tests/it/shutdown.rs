//! The end of a server: what was read is answered, what was acknowledged is kept, and it does not take for ever.

use std::fs::File;
use std::time::Duration;

use modb_tests::peer::encode;
use modb_tests::platform::Product;
use modb_tests::sys::Ask;
use modb_tests::{Launch, Peer, Platform, Reply, Server};

/// `SHUTDOWN`, in the words that keep Redis from writing a dump of its own.
fn shutdown_command(platform: &Platform) -> Vec<u8> {
    match platform.product {
        Product::Modb => encode(["SHUTDOWN"]),
        Product::Redis => encode(["SHUTDOWN", "NOSAVE"]),
    }
}

fn ends_well(server: &mut Server) {
    let status = server.wait_for_end();
    assert!(status.success(), "{status}: {}", server.output());
}

fn a_signal_ends_it(platform: &Platform, ask: Ask) {
    let mut server = Launch::new(platform).with_durability("everysec").in_own_console().start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("SET k v"), Reply::ok());
    server.ask_to_end(ask);
    assert_eq!(peer.read_to_close(), b"");
    ends_well(&mut server);
    assert_eq!(server.launch().start().peer().ask("GET k"), Reply::bulk("v"));
}

pub(crate) fn a_signal_ends_it_with_status_0_and_keeps_the_data(platform: &Platform) {
    a_signal_ends_it(platform, Ask::Terminate);
}

pub(crate) fn ctrl_c_ends_it_like_a_termination_signal(platform: &Platform) {
    a_signal_ends_it(platform, Ask::Interrupt);
}

pub(crate) fn the_command_ends_it_with_status_0_and_keeps_the_data(platform: &Platform) {
    let mut server = Launch::new(platform).with_durability("os").start();
    let (mut peer, mut other) = (server.peer(), server.peer());
    assert_eq!(peer.ask("SET k v"), Reply::ok());
    peer.send(&shutdown_command(platform));
    assert_eq!(peer.read_to_close(), b"");
    assert_eq!(other.read_to_close(), b"");
    ends_well(&mut server);
    assert_eq!(server.launch().start().peer().ask("GET k"), Reply::bulk("v"));
}

pub(crate) fn who_asked_for_the_end_hears_of_it_when_the_folder_is_free(platform: &Platform) {
    for round in 0..10 {
        let mut server = Launch::new(platform).start();
        let mut peer = server.peer();
        // Something to be written and synced at the end.
        for n in 0..200 {
            peer.send(&encode(["SET", &format!("k{n}"), &"v".repeat(1000)]));
        }
        peer.replies(200);
        let lock = File::open(server.launch().folder().join("LOCK")).expect("it is there");
        // What follows is not executed, and does not make a reset of the end.
        peer.send(&[encode(["SHUTDOWN"]), encode(["PING"])].concat());
        assert_eq!(peer.read_to_close(), b"");
        assert!(lock.try_lock_shared().is_ok(), "round {round}: the folder is still taken");
        drop(lock);
        ends_well(&mut server);
    }
}

pub(crate) fn what_was_read_is_answered_before_the_end(platform: &Platform) {
    const COMMANDS: usize = 1000;
    let mut server = Launch::new(platform).start();
    let mut peer = server.peer();
    // One write: what stands before SHUTDOWN was read with it and must be answered.
    let mut wire: Vec<u8> = (0..COMMANDS).flat_map(|n| encode(["ECHO", &n.to_string()])).collect();
    wire.extend(shutdown_command(platform));
    peer.send(&wire);
    for n in 0..COMMANDS {
        assert_eq!(peer.reply(), Reply::bulk(n.to_string()));
    }
    assert_eq!(peer.read_to_close(), b"");
    ends_well(&mut server);
}

pub(crate) fn idle_clients_do_not_delay_the_end(platform: &Platform) {
    let mut server = Launch::new(platform).start();
    let mut idle: Vec<Peer> = (0..100).map(|_| server.peer()).collect();
    for peer in &mut idle {
        assert_eq!(peer.ask("PING"), Reply::Simple(b"PONG".to_vec()));
    }
    // Half a request is no request: it must not be waited for either.
    idle[0].send(b"*2\r\n$3\r\nGET\r\n$5\r\nab");
    server.peer().send(&shutdown_command(platform));
    ends_well(&mut server);
    for peer in &mut idle {
        assert_eq!(peer.read_to_close(), b"");
    }
}

pub(crate) fn a_client_that_never_reads_delays_the_end_only_so_long(platform: &Platform) {
    let mut server = Launch::new(platform).start();
    assert_eq!(server.peer().call([&b"SET"[..], b"big", &vec![b'v'; 1 << 20]]), Reply::ok());
    let mut deaf = Peer::connect_with_small_window(server.addr());
    deaf.send_until_blocked(&encode(["GET", "big"]).repeat(64), Duration::from_millis(200));
    server.peer().send(&shutdown_command(platform));
    ends_well(&mut server);
    drop(deaf);
    assert_eq!(server.launch().start().peer().ask("STRLEN big"), Reply::Int(1 << 20));
}
