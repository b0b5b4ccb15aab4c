//! Models of the stripes under loom: every order of events that the memory model allows, with two or three threads. loom is
//! used as a library, without `--cfg loom`: the files under test are compiled once more here, over loom's atomics.
//!
//! The store is the weakest that could be: a record is an atomic that is stored with `Release`. What a stripe guards is a
//! relaxed counter, so that the stripes alone must make it exact. A lost wake-up is a thread that sleeps for ever, which loom
//! reports as a deadlock.

use loom::thread;
use std::sync::Arc;

/// What the parts are made of.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};

    /// loom tries what comes meanwhile anyway.
    pub(super) struct Patience;

    impl Patience {
        pub(super) fn new(_: bool) -> Self {
            Self
        }
        pub(super) fn lasts(&mut self) -> bool {
            false
        }
    }

    std::thread_local! {
        /// Whether stripes are handed over: what the clock decides. loom's threads are all on one of the system's.
        pub(super) static IS_DUE: std::cell::Cell<bool> = const { std::cell::Cell::new(true) };
    }

    #[derive(Default)]
    pub(super) struct Pace;

    impl Pace {
        pub(super) fn is_due(&self) -> bool {
            IS_DUE.get()
        }
        pub(super) fn note(&mut self) {}
    }
}

#[path = "marks.rs"]
#[expect(clippy::duplicate_mod, reason = "the same code over other atomics")]
mod marks;
#[path = "stripe.rs"]
#[expect(clippy::duplicate_mod, reason = "the same code over other atomics")]
mod stripe;
#[path = "ticket.rs"]
#[allow(unreachable_pub, dead_code, reason = "the same code, used elsewhere")]
#[expect(clippy::duplicate_mod, reason = "the same code over other atomics")]
mod ticket;
#[path = "waiter.rs"]
#[allow(unreachable_pub, dead_code, reason = "the same code, used elsewhere")]
#[expect(clippy::duplicate_mod, reason = "the same code over other atomics")]
mod waiter;

use loom::sync::atomic::AtomicU64;
use loom::sync::{Condvar, Mutex};
use marks::Marks;
use ticket::Locks;
use waiter::Wake;

use super::Access;
use crate::sys::model_tests;
use sync::Ordering;

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Two keys, each in a stripe of its own.
struct Store {
    marks: Marks,
    stripes: [Mutex<()>; 2],
    records: [AtomicU64; 2],
}

impl Store {
    fn new() -> Self {
        let records = [AtomicU64::new(0), AtomicU64::new(0)];
        Self { marks: Marks::new(2), stripes: Default::default(), records }
    }

    /// A command that sets both keys.
    fn set_both(&self, value: u64) {
        let _held = [self.stripes[0].lock().unwrap(), self.stripes[1].lock().unwrap()];
        self.marks
            .publish(0..2, || self.records.iter().for_each(|record| record.store(value, Ordering::Release)));
    }

    /// A command that reads one.
    fn get(&self, key: usize) -> u64 {
        let _held = self.marks.is_set(key).then(|| self.stripes[key].lock().unwrap());
        self.records[key].load(Ordering::Acquire)
    }
}

/// One client sets both keys twice; another reads one, then the other.
fn a_later_read_is_never_older(first: usize, then: usize) {
    explore(move || {
        let store = Arc::new(Store::new());
        let writer = thread::spawn({
            let store = Arc::clone(&store);
            move || (1..=2).for_each(|value| store.set_both(value))
        });
        let before = store.get(first);
        let after = store.get(then);
        assert!(after >= before, "{before} of the one key, then {after} of the other");
        writer.join().unwrap();
    });
}

model_tests! {
    fn what_was_seen_of_a_batch_is_there_as_a_whole() {
        a_later_read_is_never_older(0, 1);
        a_later_read_is_never_older(1, 0);
    }

    fn a_walk_finds_the_rest_of_what_was_seen_before() {
        explore(|| {
            let store = Arc::new(Store::new());
            let writer = thread::spawn({
                let store = Arc::clone(&store);
                move || store.set_both(1)
            });
            let before = store.get(0);
            let waited: Vec<_> =
                store.marks.all_set().map(|stripe| store.stripes[stripe].lock().unwrap()).collect();
            let after = store.records[1].load(Ordering::Acquire);
            assert!(after >= before);
            drop(waited);
            writer.join().unwrap();
        });
    }
}

/// A thread sleeps here.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn new() -> Arc<Self> {
        Arc::new(Self { rung: Mutex::new(false), changed: Condvar::new() })
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

struct Ring(Arc<Bell>);

impl Wake for Ring {
    fn wake(&self) {
        *self.0.rung.lock().unwrap() = true;
        self.0.changed.notify_one();
    }
}

/// What two stripes guard.
struct Guarded {
    locks: Locks,
    counters: [AtomicU64; 2],
}

impl Guarded {
    fn new() -> Arc<Self> {
        Arc::new(Self { locks: Locks::new(2), counters: [AtomicU64::new(0), AtomicU64::new(0)] })
    }

    /// Takes the stripes, as a command does that a worker or a thread executes.
    fn take(&self, stripes: &[u16], access: Access) {
        if self.locks.take_all(stripes.iter().copied(), access) {
            return;
        }
        let bell = Bell::new();
        let mut queued = self.locks.take_or_join(stripes.into(), access, Box::new(Ring(Arc::clone(&bell))));
        while let Err(ticket) = queued {
            bell.wait();
            queued = ticket.take().map(|_| ());
        }
    }

    fn give_back(&self, stripes: &[u16], access: Access) {
        stripes.iter().for_each(|&stripe| self.locks.give_back(stripe, access));
    }

    /// A command that adds one to what each of these stripes guards.
    fn add(&self, stripes: &[u16]) {
        self.take(stripes, Access::Alone);
        for &stripe in stripes {
            let counter = &self.counters[usize::from(stripe)];
            counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        self.give_back(stripes, Access::Alone);
    }

    fn counts(&self) -> [u64; 2] {
        self.counters.each_ref().map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// Each of these runs in a thread of its own; with and without handing over.
fn everybody_gets_his_turn(commands: &'static [&'static [u16]]) {
    for handed_over in [true, false] {
        sync::IS_DUE.set(handed_over);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(if commands.len() > 2 { 2 } else { 3 });
        builder.check(move || {
            let guarded = Guarded::new();
            let (last, others) = commands.split_last().unwrap();
            let threads: Vec<_> = others
                .iter()
                .map(|stripes| {
                    let guarded = Arc::clone(&guarded);
                    thread::spawn(move || guarded.add(stripes))
                })
                .collect();
            guarded.add(last);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let times = |stripe| commands.iter().filter(|stripes| stripes.contains(&stripe)).count() as u64;
            assert_eq!(guarded.counts(), [times(0), times(1)]);
            assert!(guarded.locks.is_idle(0) && guarded.locks.is_idle(1));
        });
    }
}

model_tests! {
    fn nobody_waits_for_ever_on_one_stripe() {
        everybody_gets_his_turn(&[&[0], &[0]]);
        everybody_gets_his_turn(&[&[0], &[0], &[0]]);
    }

    fn nobody_waits_for_ever_on_two() {
        everybody_gets_his_turn(&[&[0, 1], &[0, 1]]);
        everybody_gets_his_turn(&[&[0, 1], &[0], &[1]]);
    }

    fn those_who_share_see_what_was_written_alone() {
        for handed_over in [true, false] {
            sync::IS_DUE.set(handed_over);
            let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
            builder.check(|| {
                let guarded = Guarded::new();
                let readers: Vec<_> = (0..2)
                    .map(|_| {
                        let guarded = Arc::clone(&guarded);
                        thread::spawn(move || {
                            guarded.take(&[0], Access::Shared);
                            // What the stripe guards: one counter, written twice by the writer.
                            let seen = guarded.counts();
                            assert_eq!(seen[0], seen[1]);
                            guarded.give_back(&[0], Access::Shared);
                        })
                    })
                    .collect();
                guarded.take(&[0], Access::Alone);
                guarded.counters.iter().for_each(|counter| counter.store(1, Ordering::Relaxed));
                guarded.give_back(&[0], Access::Alone);
                readers.into_iter().for_each(|reader| reader.join().unwrap());
                assert!(guarded.locks.is_idle(0));
            });
        }
    }

    fn one_who_goes_away_leaves_the_turn_to_the_next() {
        for handed_over in [true, false] {
            sync::IS_DUE.set(handed_over);
            let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
            builder.check(|| {
                let guarded = Guarded::new();
                guarded.take(&[0], Access::Alone);
                let gone = guarded.locks.take_or_join([0, 1].into(), Access::Alone, Box::new(Ring(Bell::new())));
                let next = thread::spawn({
                    let guarded = Arc::clone(&guarded);
                    move || guarded.add(&[0])
                });
                let goes = thread::spawn(move || drop(gone));
                guarded.give_back(&[0], Access::Alone);
                next.join().unwrap();
                goes.join().unwrap();
                assert!(guarded.locks.is_idle(0) && guarded.locks.is_idle(1));
            });
        }
    }
}
