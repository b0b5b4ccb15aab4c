//! The look before a sleep: it is made where the workers alone can keep all cores busy, and what it finds is served without a sleep;
//! it is made nowhere else. When it is due, and whether it is worth it, is decided, and tested, in `threads/last_look.rs` and `threads/trial.rs`.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Instant;

use crate::lines::{self, Running};

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Looks of all workers, and those that found something.
fn looks(running: &Running) -> (u64, u64) {
    let workers = running.server.workers();
    let stats = (0..workers.count()).map(|worker| workers.stats(worker));
    stats.fold((0, 0), |(all, found), stats| (all + stats.looks, found + stats.looks_found))
}

#[test]
fn a_worker_looks_once_more_before_it_sleeps_and_finds_what_came_meanwhile() {
    let running = lines::start(cores(), lines::limits());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // More of them than cores: some have sent before the worker goes on. Once enough is served it is tried.
        for _ in 0..4 * cores() {
            scope.spawn(|| {
                let mut client = running.connect();
                while !over.load(Relaxed) {
                    client.ask("echo x");
                }
            });
        }
        let end = Instant::now() + lines::DEADLINE;
        while looks(&running).1 == 0 && Instant::now() < end {
            thread::yield_now();
        }
        over.store(true, Relaxed);
    });
    let (all, found) = looks(&running);
    assert!(found > 0 && all >= found, "{all} looks, of which {found} found something");
    running.end();
}

#[test]
fn where_a_core_is_left_for_who_sends_no_worker_looks() {
    let Some(workers) = cores().checked_sub(1).filter(|workers| *workers > 0) else { return };
    // More than are served before it is tried for the first time whether looks bring anything.
    const REQUESTS: usize = 4_600;
    let running = lines::start(workers, lines::limits());
    let mut client = running.connect();
    for _ in 0..REQUESTS {
        client.ask("echo x");
    }
    assert_eq!(looks(&running), (0, 0));
    running.end();
}
