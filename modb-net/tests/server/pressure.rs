//! Clients that do not read, read slowly, or ask for much; limits of one and of many.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use modb_net::{CloseReason, Limits, Server};
use proptest::prelude::*;

use crate::lines::{self, Client};

#[test]
fn a_pipeline_costs_one_write_per_turn() {
    let running = lines::start(1, lines::limits());
    let mut client = running.connect();
    client.ask("echo warm");
    running.until("that is counted", |running| running.server.workers().stats(0).bytes_out == 5);
    let before = running.server.workers().stats(0);
    let pipeline = vec!["echo x"; 100].join("\n");
    for _ in 0..50 {
        client.send(&pipeline);
        for _ in 0..100 {
            assert_eq!(client.line(), "x");
        }
    }
    running.until("it is counted", |running| {
        running.server.workers().stats(0).bytes_out - before.bytes_out == 50 * 100 * 2
    });
    let after = running.server.workers().stats(0);
    // The kernel may deliver a pipeline in two pieces; once in a while is all that is allowed for.
    let (reads, writes) = (after.reads - before.reads, after.writes - before.writes);
    assert!((50..=55).contains(&writes) && writes == reads, "{reads} reads, {writes} writes");
    running.end();
}

#[test]
fn a_slow_reader_gets_everything_and_the_others_do_not_wait() {
    const BYTES: usize = 50_000_000;
    let running = lines::start(1, Limits { output_high_water_bytes: 64 << 10, ..lines::limits() });
    let mut slow = running.connect();
    slow.send(&format!("large {BYTES}"));
    let mut other = running.connect();
    for _ in 0..1000 {
        assert_eq!(other.ask("echo x"), "x");
    }
    slow.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(slow.rest().len(), BYTES);
    running.end();
}

#[test]
fn a_client_that_never_reads_is_stopped_and_costs_nothing() {
    let limits = Limits {
        output_high_water_bytes: 64 << 10,
        shutdown_timeout: Duration::from_millis(200),
        ..lines::limits()
    };
    let running = lines::start(1, limits);
    let client = running.connect();
    client.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let pipeline = "echo a line of some length\n".repeat(1000);
    // Until the buffers of both kernels are full, and the server no longer reads.
    let stopped = (0..10_000).any(|_| match (&client.stream).write_all(pipeline.as_bytes()) {
        Ok(()) => false,
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    });
    assert!(stopped, "270 MB were taken from a client that reads nothing");
    running.assert_no_spin();
    running.end();
}

#[test]
fn a_reset_while_paused_is_noticed_and_does_not_spin() {
    let running = lines::start(1, Limits { output_high_water_bytes: 64 << 10, ..lines::limits() });
    let mut client = running.connect();
    client.send("large 100000000");
    running.until("it is paused", |running| running.server.workers().stats(0).bytes_out > 0);
    running.until_buffers_are_full();
    running.assert_no_spin();
    client.reset();
    running
        .until("the reset is noticed", |running| running.ledger.reasons().contains(&CloseReason::PeerReset));
    running.assert_no_spin();
    running.end();
}

#[test]
fn a_reset_while_output_is_held_is_noticed_and_does_not_spin() {
    let running = lines::start(1, Limits { output_high_water_bytes: 1000, ..lines::limits() });
    let mut client = running.connect();
    // Over the mark, and none of it may leave: there is nothing to wait for but the commit.
    client.send("echo x\nhold 1\nlarge 100000");
    assert_eq!(client.line(), "x");
    running.assert_no_spin();
    client.reset();
    let noticed = |running: &lines::Running| running.ledger.reasons().contains(&CloseReason::PeerReset);
    if std::env::consts::OS == "linux" {
        running.until("the reset is noticed", noticed);
    }
    running.assert_no_spin();
    // Where the system tells nothing of a socket without interest, sending is what notices.
    running.ledger.committed.store(1, SeqCst);
    running.assert_no_spin();
    running.until("the reset is noticed", noticed);
    running.end();
}

#[test]
fn a_hundred_thousand_requests_in_one_write_leave_the_others_their_turn() {
    let running = lines::start(1, lines::limits());
    let mut greedy = running.connect();
    let mut sender = greedy.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        sender.write_all("echo x\n".repeat(100_000).as_bytes()).unwrap();
    });
    let mut other = running.connect();
    for _ in 0..100 {
        assert_eq!(other.ask("echo y"), "y");
    }
    for _ in 0..100_000 {
        assert_eq!(greedy.line(), "x");
    }
    sending.join().unwrap();
    running.end();
}

#[test]
fn limits_of_zero_serve_and_do_not_spin() {
    let zero = Duration::ZERO;
    let limits = Limits {
        output_high_water_bytes: 0,
        requests_per_turn: 0,
        read_bytes_per_turn: 0,
        accepts_per_turn: 0,
        mail_per_turn: 0,
        mailbox_capacity: 0,
        max_memory_bytes: 0,
        max_refusing: 0,
        max_connections: 2,
        refusal_timeout: zero,
        stall_timeout: zero,
        linger_timeout: zero,
        linger_bytes: 0,
        closing_timeout: zero,
        ..Limits::default()
    };
    let running = lines::start(1, limits);
    let mut client = running.connect();
    for _ in 0..3 {
        assert_eq!(client.ask("large 1000").len(), 999);
    }
    let before = running.turns();
    std::thread::sleep(Duration::from_millis(100)); // what is measured: time in which nothing happens
    let turns = running.turns() - before;
    assert!(turns <= 5, "{turns} turns for nothing");
    assert_eq!(client.ask("quit"), "bye");
    running.end();
}

#[test]
fn at_any_bound_who_is_there_is_served_and_who_is_too_many_is_told_at_once() {
    const FLOOD: usize = 120;
    for bound in [0, 1, 2, 5, 40] {
        // Those who stay and say nothing are not waited for: an hour would be too long.
        let refusal_timeout = Duration::from_secs(3600);
        let running = lines::start(2, Limits { max_connections: bound, refusal_timeout, ..lines::limits() });
        let workers = running.server.workers();
        let mut served: Vec<Client> = (0..bound).map(|_| running.connect()).collect();
        served.iter_mut().for_each(|client| assert_eq!(client.ask("echo x"), "x"));
        let mut flood: Vec<Client> = (0..FLOOD).map(|_| running.connect()).collect();
        for client in &mut flood {
            assert_eq!((client.line(), client.line()), ("full".to_owned(), String::new()), "of {bound}");
        }
        assert_eq!((workers.connections(), workers.acceptor_stats().refused), (bound, FLOOD as u64));
        served.iter_mut().for_each(|client| assert_eq!(client.ask("echo y"), "y"));
        assert_eq!(running.ledger.closed.load(SeqCst), 0, "nobody who was there was harmed");
        if served.pop().is_some() {
            running.until("there is room", |_| workers.connections() < bound);
            assert_eq!(running.connect().ask("echo z"), "z");
        }
        running.end();
    }
}

#[test]
fn one_too_many_reads_why_and_is_closed() {
    let running = lines::start(2, Limits { max_connections: 3, ..lines::limits() });
    let mut served: Vec<Client> = (0..3).map(|_| running.connect()).collect();
    for client in &mut served {
        assert_eq!(client.ask("echo x"), "x");
    }
    assert_eq!(running.connect().rest(), b"full\n");
    drop(served.pop());
    running.until("there is room", |running| running.server.workers().connections() < 3);
    assert_eq!(running.connect().ask("echo x"), "x");
    running.end();
}

#[test]
fn who_holds_what_another_waits_for_and_stands_still_is_closed() {
    const BYTES: usize = 600 << 10;
    let limits =
        Limits { max_memory_bytes: 1 << 20, stall_timeout: Duration::from_millis(100), ..lines::limits() };
    let running = lines::start(1, limits);
    let mut holder = running.connect();
    holder.stream.write_all(&vec![b'x'; BYTES]).unwrap();
    running.until("it holds much", |running| running.server.workers().memory_bytes() >= BYTES);
    let mut other = running.connect();
    assert_eq!(other.ask(&format!("echo {}", "y".repeat(BYTES))).len(), BYTES);
    assert_eq!(running.ledger.reasons(), [CloseReason::MemoryStall]);
    running.end();
}

#[test]
fn a_full_mailbox_gives_the_message_back() {
    let running = lines::start(1, Limits { mailbox_capacity: 1, ..lines::limits() });
    let mut client = running.connect();
    // Within one turn the worker cannot take its own mail.
    client.send("post 0 one\npost 0 two\necho end");
    assert_eq!(client.line(), "posted");
    assert_eq!(client.line(), "undelivered");
    assert_eq!(client.line(), "end");
    assert_eq!(client.line(), "one");
    running.end();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every bound at one and at many: whoever connects is served, whatever pauses in between.
    #[test]
    fn all_are_served_whatever_the_limits(
        workers in 1usize..4,
        mailbox_capacity in prop_oneof![Just(1usize), 2usize..40],
        mail_per_turn in prop_oneof![Just(1usize), 2usize..40],
        accepts_per_turn in prop_oneof![Just(1usize), 2usize..40],
        requests_per_turn in prop_oneof![Just(1u32), 2u32..40],
        output_high_water_bytes in prop_oneof![Just(1usize), 2usize..400],
        read_bytes_per_turn in prop_oneof![Just(1usize), 2usize..400],
        handoff in prop::sample::select(modb_net::Handoff::ALL.to_vec()),
        clients in 1usize..60,
    ) {
        let limits = Limits {
            mailbox_capacity, mail_per_turn, accepts_per_turn, requests_per_turn,
            output_high_water_bytes, read_bytes_per_turn, ..lines::limits()
        };
        let builder = Server::builder().workers(workers).limits(limits).handoff(handoff);
        let running = lines::start_with(builder);
        let mut clients: Vec<Client> = (0..clients).map(|_| running.connect()).collect();
        for client in &mut clients {
            client.send("echo a\necho b\nlarge 1000\necho c");
        }
        for client in &mut clients {
            prop_assert_eq!(client.line(), "a");
            prop_assert_eq!(client.line(), "b");
            prop_assert_eq!(client.line().len(), 999);
            prop_assert_eq!(client.line(), "c");
        }
        prop_assert_eq!(running.server.workers().acceptor_stats().accepted, clients.len() as u64);
        clients.into_iter().for_each(Client::reset);
        running.end();
    }
}
