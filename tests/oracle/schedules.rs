//! Schedules side by side: each has both servers for itself, and gives them programs one after the other, a step at a time. So one
//! computes while another waits for an answer, and both processors are busy although no step begins before the one before it is over.
//!
//! Each program has a seed of its own and begins with empty servers and new clients, so that it can be run again alone.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use modb_tests::platform::Product;
use modb_tests::wait::Over;
use modb_tests::{Launch, Platform, Server};

/// How many schedules there are at a time: more of them keep two processors no busier.
const SIDE_BY_SIDE: usize = 4;

/// What is done, in numbers.
pub(crate) type Counts = [usize; 3];

/// Runs so many programs, with the seeds from `first_seed` on; the sums of what they count. `program` says in words how the servers,
/// the one under test and then the one that is right, differ.
pub(crate) fn run(
    platform: &Platform,
    programs: usize,
    first_seed: u64,
    program: impl Fn(&[Server; 2], u64) -> Result<Counts, String> + Sync,
) -> Counts {
    let (taken, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sums, differences) = (Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    let schedule = || {
        // Whoever ends has found nothing more to take, or a difference: in both cases the others take nothing more.
        let _over = Over(&over);
        let ours = Launch::new(platform).with("--workers", "4").start();
        // Redis looks ten times a second whose time is over, if nobody asks it for anything.
        let theirs = Launch::product(Product::Redis).with("--hz", "250").start();
        let servers = [ours, theirs];
        while !over.load(Ordering::Acquire) {
            let number = taken.fetch_add(1, Ordering::Relaxed);
            if number >= programs {
                return;
            }
            let seed = first_seed + number as u64;
            match program(&servers, seed) {
                Ok(counts) => {
                    let mut sums = sums.lock().expect("nobody panics who adds");
                    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
                }
                Err(difference) => {
                    // At once: a long run may be given up before its end.
                    eprintln!("MODB_ORACLE_SEED={seed}: {difference}");
                    differences
                        .lock()
                        .expect("nobody panics who tells")
                        .push(format!("MODB_ORACLE_SEED={seed}: {difference}"));
                    return;
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(programs) {
            scope.spawn(schedule);
        }
    });
    let differences = differences.into_inner().expect("nobody panics who tells");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    sums.into_inner().expect("nobody panics who adds")
}
