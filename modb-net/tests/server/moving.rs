//! Live connections that move between workers, and workers that are drained.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use modb_net::{Handoff, Limits, Server, Undelivered};

use crate::lines::{self, Client, Running};

fn places(clients: &mut [Client]) -> Vec<String> {
    clients.iter_mut().map(|client| client.ask("where")).collect()
}

#[test]
fn a_drained_worker_gives_its_connections_away_and_gets_no_new_ones() {
    let running = lines::start(3, lines::limits());
    let mut clients: Vec<Client> = (0..30).map(|_| running.connect()).collect();
    assert_eq!(places(&mut clients).into_iter().collect::<HashSet<_>>().len(), 3);
    let workers = running.server.workers();
    workers.drain(1, true);
    running.until("it is empty", |_| workers.stats(1).connections == 0);
    clients.extend((0..10).map(|_| running.connect()));
    assert!(!places(&mut clients).contains(&"1".to_owned()));
    workers.drain(1, false);
    let mut new: Vec<Client> = (0..3).map(|_| running.connect()).collect();
    assert!(places(&mut new).contains(&"1".to_owned()));
    assert_eq!(running.ledger.closed.load(SeqCst), 0);
    running.end();
}

#[test]
fn a_drained_worker_rests_while_no_other_has_room_and_goes_on_when_one_has() {
    let running = lines::start(2, Limits { mailbox_capacity: 1, ..lines::limits() });
    let mut clients: Vec<Client> = (0..2).map(|_| running.connect()).collect();
    let at: Vec<usize> = places(&mut clients).iter().map(|at| at.parse().unwrap()).collect();
    assert_ne!(at[0], at[1]);
    clients[1].send("stall 1");
    running.until("the other worker stands still", |running| running.ledger.stalls.load(SeqCst) == 1);
    let workers = running.server.workers();
    workers.post(at[1], "its mailbox is full\n".into()).unwrap();
    workers.drain(at[0], true);
    clients[0].ask("echo warm");
    let before = workers.stats(at[0]).turns;
    thread::sleep(Duration::from_millis(100)); // what is measured: time in which nothing happens
    let turns = workers.stats(at[0]).turns - before;
    // First of all: a worker that stands still would keep the server from ending.
    running.ledger.committed.store(1, SeqCst);
    assert!(turns <= 10, "{turns} turns for nothing");
    running.until("it has moved", |_| workers.stats(at[0]).connections == 0);
    running.end();
}

#[test]
fn pinned_and_blocked_connections_stay() {
    let running = lines::start(2, lines::limits());
    let mut clients: Vec<Client> = (0..4).map(|_| running.connect()).collect();
    let before = places(&mut clients);
    clients[0].ask("pin");
    clients[1].send("block");
    clients[1].send("where");
    let workers = running.server.workers();
    for worker in 0..2 {
        workers.drain(worker, true);
        // The one of this worker that may move has moved; the other is still here.
        running.until("half has moved", |_| workers.stats(worker).connections == 1);
        workers.drain(worker, false);
        running.assert_no_spin();
    }
    assert_eq!(clients[0].ask("where"), before[0]);
    running.end();
}

#[test]
fn a_pipeline_under_way_survives_any_number_of_moves() {
    let running = lines::start(3, Limits { requests_per_turn: 3, ..lines::limits() });
    let mut client = running.connect();
    let moved = &running.ledger.moved;
    while_all_moves(&running, || {
        let mut expected = 0;
        let started = Instant::now();
        while moved.load(SeqCst) == 0 || (expected < 10_000 && started.elapsed() < ENOUGH) {
            assert!(started.elapsed() < lines::DEADLINE, "nothing moves");
            client.send(&vec!["count"; 50].join("\n"));
            for _ in 0..50 {
                expected += 1;
                assert_eq!(client.line(), expected.to_string());
            }
        }
    });
    running.end();
}

/// While connections are moved about without a pause.
fn while_all_moves(running: &Running, body: impl FnOnce()) {
    let (workers, done) = (running.server.workers(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                for worker in 0..workers.count() {
                    workers.move_away(worker, 1);
                    thread::yield_now();
                }
            }
        });
        let _over = Over(&done);
        body();
    });
}

/// Says that it is over when it is dropped, so also when the test fails: its scope waits for those who go on until then.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_message_runs_after_its_connection_and_comes_back_where_there_is_no_room() {
    for room in [true, false] {
        // What lies in a mailbox is taken one by one, so that the message comes when its connection has gone.
        let limits = Limits { mail_per_turn: 1, mailbox_capacity: 2, ..lines::limits() };
        let running = lines::start(2, limits);
        // One after the other: the first of its worker is the first to move, and the first in the ledger.
        let come = |_| {
            let mut client = running.connect();
            let at: usize = client.ask("where").parse().unwrap();
            (client, at)
        };
        let (mut clients, at): (Vec<Client>, Vec<usize>) = (0..4).map(come).unzip();
        let address = running.ledger.addresses.lock().unwrap()[0].clone();
        let (here, there) = (at[0], 1 - at[0]);
        // The last two keep their workers where they are.
        let mut stalls = 0;
        for (client, &at) in clients.iter_mut().zip(&at).skip(2) {
            if at == here || !room {
                client.send(if at == here { "stall 1" } else { "stall 2" });
                stalls += 1;
            }
        }
        running.until("they stand still", |running| running.ledger.stalls.load(SeqCst) == stalls);
        let (workers, ledger) = (running.server.workers(), &running.ledger);
        assert!(workers.move_away(here, 1));
        workers.post_to(&address, "after it\n".into(), None).unwrap();
        if !room {
            workers.post(there, "in its place\n".into()).unwrap();
        }
        ledger.committed.store(1, SeqCst);
        if room {
            assert_eq!(clients[0].line(), "after it");
        } else {
            running.until("it comes back", |_| ledger.undelivered.load(SeqCst) == 1);
        }
        ledger.committed.store(2, SeqCst);
        running.until("it has moved", |_| ledger.moved.load(SeqCst) == 1);
        assert_eq!(ledger.delivered.load(SeqCst), u64::from(room));
        running.end();
    }
}

#[test]
fn a_message_to_a_connection_that_moves_reaches_it_or_comes_back() {
    const MESSAGES: u64 = 3000;
    // With little room, so that one which runs after its connection finds none at times.
    let running = lines::start(3, Limits { mailbox_capacity: 2, ..lines::limits() });
    let mut client = running.connect();
    client.ask("echo x");
    let address = running.ledger.addresses.lock().unwrap()[0].clone();
    let (workers, ledger) = (running.server.workers(), &running.ledger);
    while_all_moves(&running, || {
        // The machine may be busy, and the thread that moves late.
        lines::wait_until("it moves", || ledger.moved.load(SeqCst) > 0);
        for number in 0..MESSAGES {
            let mut message = format!("message {number}\n");
            while let Err(Undelivered(back)) = workers.post_to(&address, message, None) {
                message = back;
                thread::yield_now();
            }
        }
        let told = || ledger.delivered.load(SeqCst) + ledger.undelivered.load(SeqCst);
        lines::wait_until("all have arrived or come back", || told() >= MESSAGES);
    });
    client.send("echo end");
    let arrived: Vec<String> =
        std::iter::from_fn(|| Some(client.line()).filter(|line| line != "end")).collect();
    assert_eq!(arrived.iter().collect::<HashSet<_>>().len(), arrived.len(), "none twice");
    assert_eq!(arrived.len() as u64, ledger.delivered.load(SeqCst));
    let (moved, back) = (ledger.moved.load(SeqCst), ledger.undelivered.load(SeqCst));
    println!("{moved} moves, {back} of {MESSAGES} messages came back");
    assert_eq!(arrived.len() as u64 + back, MESSAGES);
    running.end();
}

#[test]
fn a_resume_reaches_its_connection_wherever_that_waits() {
    const ROUNDS: u64 = 300;
    let running = lines::start(3, lines::limits());
    let mut client = running.connect();
    let mut at: usize = client.ask("where").parse().unwrap();
    let address = running.ledger.addresses.lock().unwrap()[0].clone();
    let workers = running.server.workers();
    for round in 1..=ROUNDS {
        workers.move_away(at, 1);
        running.until("it has moved", |running| running.ledger.moved.load(SeqCst) == round);
        client.send("block\nwhere");
        // From within the call that answers so: neither before it waits nor after.
        running.until("it waits", |running| running.ledger.blocked.load(SeqCst) == round);
        workers.resume(&address);
        // One too many: it comes while the connection does something else, moves, or waits again.
        workers.resume(&address);
        let before = std::mem::replace(&mut at, client.line().parse().unwrap());
        assert_ne!(at, before);
    }
    running.end();
}

#[test]
fn workers_that_are_all_drained_rest_and_serve_whom_they_have() {
    for count in [1, 3] {
        let running = lines::start(count, lines::limits());
        let mut clients: Vec<Client> = (0..2 * count).map(|_| running.connect()).collect();
        // Each has its worker, or it would not get one any more.
        places(&mut clients);
        let workers = running.server.workers();
        (0..count).for_each(|worker| workers.drain(worker, true));
        // The first worker's may have gone to one that was not drained yet; who has been asked once stays.
        places(&mut clients);
        let before = places(&mut clients);
        assert_eq!(places(&mut clients), before, "there is nowhere to go");
        let mut waiting = running.connect();
        waiting.send("where");
        running.until("nobody takes it", |_| workers.acceptor_stats().pauses == 1);
        let turns = || running.turns() + workers.acceptor_stats().turns;
        let before = turns();
        thread::sleep(Duration::from_millis(100)); // what is measured: time in which nothing happens
        let turns = turns() - before;
        assert!(turns <= 10, "{turns} turns of {count} for nothing");
        assert_eq!(clients[0].ask("echo x"), "x");
        workers.drain(count - 1, false);
        assert_eq!(waiting.line(), (count - 1).to_string());
        running.end();
    }
}

#[test]
fn held_replies_move_with_their_connection() {
    let running = lines::start(2, lines::limits());
    let mut client = running.connect();
    let at: usize = client.ask("where").parse().unwrap();
    client.send("hold 5\nwhere");
    let workers = running.server.workers();
    // Read before it moves: a second connection of the same worker is answered after it.
    let reads = workers.stats(at).bytes_in;
    running.until("it was read", |_| workers.stats(at).bytes_in > reads || reads >= 19);
    workers.move_away(at, 1);
    running.until("it has moved", |running| running.ledger.moved.load(SeqCst) == 1);
    running.ledger.committed.store(5, SeqCst);
    // Any turn of its new worker lets the reply go.
    workers.move_away(1 - at, 0);
    assert_eq!(client.line(), "held");
    client.line();
    assert_ne!(client.ask("where"), at.to_string());
    running.end();
}

/// On a slow system (an emulated one) the shorter tests make do with what this time allows.
const ENOUGH: Duration = Duration::from_secs(15);

/// Clients come, ask and go, and others stay and count, while workers are drained one after another and
/// connections are moved about.
fn handed_over_while_all_moves(connections: u64, time: Duration, handoff: Handoff) {
    const CLIENTS: u64 = 8;
    const STAYING: u64 = 4;
    const WORKERS: usize = 3;
    let limits = Limits { mailbox_capacity: 4, ..lines::limits() };
    let running = lines::start_with(Server::builder().workers(WORKERS).limits(limits).handoff(handoff));
    let workers = running.server.workers();
    let (done, begun, answered) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            for worker in (0..WORKERS).cycle() {
                workers.drain(worker, true);
                workers.move_away((worker + 1) % WORKERS, 2);
                let turns = workers.stats(worker).turns;
                while workers.stats(worker).turns == turns && !done.load(SeqCst) {
                    thread::yield_now();
                }
                workers.drain(worker, false);
                if done.load(SeqCst) {
                    break;
                }
            }
        });
        let staying: Vec<_> = (0..STAYING)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = running.connect();
                    let mut expected = 0;
                    while !done.load(SeqCst) {
                        client.send("count\ncount\ncount");
                        for _ in 0..3 {
                            expected += 1;
                            assert_eq!(client.line(), expected.to_string());
                        }
                    }
                    client.reset();
                })
            })
            .collect();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    while begun.fetch_add(1, SeqCst) < connections && started.elapsed() < time {
                        let mut client = running.connect();
                        client.send("count\ncount");
                        assert_eq!(client.line(), "1");
                        assert_eq!(client.line(), "2");
                        client.reset();
                        answered.fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        let over = Over(&done);
        let came: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        drop(over);
        let stayed = staying.into_iter().map(|client| client.join());
        assert!(came.into_iter().chain(stayed).all(|client| client.is_ok()), "one was not answered");
    });
    running.until("all have gone", |_| workers.connections() == 0);
    let answered = answered.load(SeqCst) + STAYING;
    assert_eq!(running.ledger.opened.load(SeqCst), answered);
    assert_eq!(running.ledger.closed.load(SeqCst), answered);
    assert_eq!(workers.acceptor_stats().accepted, answered);
    assert_eq!(workers.acceptor_stats().unserved, 0);
    report(&running, answered);
    running.end();
}

fn report(running: &Running, connections: u64) {
    let (moved, pauses) =
        (running.ledger.moved.load(SeqCst), running.server.workers().acceptor_stats().pauses);
    println!("{connections} connections, {moved} moves, {pauses} pauses of the acceptor");
}

#[test]
fn none_of_twenty_thousand_is_lost_while_workers_migrate_and_drain() {
    handed_over_while_all_moves(20_000, ENOUGH, Handoff::RoundRobin);
}

#[test]
fn none_of_fifteen_thousand_is_lost_by_load() {
    handed_over_while_all_moves(15_000, ENOUGH, Handoff::LeastConnections);
}

#[test]
fn none_of_fifteen_thousand_is_lost_from_the_shared_queue() {
    handed_over_while_all_moves(15_000, ENOUGH, Handoff::Shared);
}

#[test]
#[ignore = "minutes"]
fn long_none_of_a_million_is_lost_while_workers_migrate_and_drain() {
    handed_over_while_all_moves(1_000_000, Duration::MAX, Handoff::RoundRobin);
}
