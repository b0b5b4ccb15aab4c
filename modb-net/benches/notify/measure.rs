//! Measures one contender: its time, its context switches and its descriptors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::contenders::{Contender, all};
use crate::sys;

/// Round trips before the clock starts.
const WARM_UP: u32 = 100;

/// Two threads wake each other in turn, on the processors `cores`. Returns microseconds per round trip, and
/// context switches per wake-up, of which a round trip has two.
pub fn trips(contender: &Contender, cores: [usize; 2], count: u32) -> (f64, f64) {
    let ((mut wait_here, wake_here), (mut wait_there, wake_there)) = ((contender.make)(), (contender.make)());
    let total = count + WARM_UP;
    // With the last handle of a waker its wake-up can go too (mio's is an edge of a descriptor).
    let _still_open = (wake_here.clone(), wake_there.clone());
    // Both ways may return early: whose turn it is decides.
    let turn = Arc::new(AtomicU64::new(0));
    let their_turn = turn.clone();
    let there = std::thread::spawn(move || {
        sys::pin(cores[1]);
        for trip in 0..u64::from(total) {
            while their_turn.load(Ordering::Acquire) != 2 * trip + 1 {
                wait_there();
            }
            their_turn.store(2 * trip + 2, Ordering::Release);
            wake_here();
        }
    });
    let here = std::thread::spawn(move || {
        sys::pin(cores[0]);
        let (mut begun, mut switches) = (Instant::now(), sys::context_switches());
        for trip in 0..u64::from(total) {
            if trip == u64::from(WARM_UP) {
                (begun, switches) = (Instant::now(), sys::context_switches());
            }
            turn.store(2 * trip + 1, Ordering::Release);
            wake_there();
            while turn.load(Ordering::Acquire) != 2 * trip + 2 {
                wait_here();
            }
        }
        (begun.elapsed(), sys::context_switches() - switches)
    });
    let (took, switches) = here.join().unwrap();
    there.join().unwrap();
    (took.as_secs_f64() * 1e6 / f64::from(count), switches / (2.0 * f64::from(count)))
}

/// `producers` threads notify a thread `count` times together, while it does what it is woken for.
/// Returns nanoseconds per notify, until the last has been seen, and how many writes there were, if known.
pub fn burst(contender: &Contender, producers: u64, count: u64) -> (f64, Option<u64>) {
    let written = sys::writes();
    let (mut wait, wake) = (contender.make)();
    let published = Arc::new(AtomicU64::new(0));
    let (begun, each) = (Instant::now(), count / producers);
    let threads: Vec<_> = (0..producers)
        .map(|_| {
            let (published, wake) = (published.clone(), wake.clone());
            std::thread::spawn(move || {
                for _ in 0..each {
                    published.fetch_add(1, Ordering::Release);
                    wake();
                }
            })
        })
        .collect();
    while published.load(Ordering::Acquire) < each * producers {
        wait();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let ns = begun.elapsed().as_secs_f64() * 1e9 / (each * producers) as f64;
    let writes = written.and_then(|before| Some(sys::writes()? - before));
    (ns, writes.filter(|_| contender.writes))
}

/// Descriptors of one waiting thread with its waker, if the system can tell.
pub fn descriptors(contender: &Contender) -> Option<usize> {
    let before = sys::open_descriptors()?;
    let both = (contender.make)();
    let after = sys::open_descriptors()?;
    drop(both);
    Some(after - before)
}

fn named(name: &str) -> Contender {
    all().into_iter().find(|contender| contender.name == name).unwrap()
}

pub fn only_trips(name: &str, count: u32) {
    trips(&named(name), [0, 0], count);
}
