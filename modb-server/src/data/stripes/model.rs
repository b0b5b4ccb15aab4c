//! Models of the stripes under loom: every order of events that the memory model allows, with two threads. loom is used
//! as a library, without `--cfg loom`: the files under test are compiled once more here, over loom's atomics.
//!
//! The store is the weakest that could be: a record is an atomic that is stored with `Release`. Each mutant of the marks
//! that is kept in `tests/mutants` fails here.

use loom::thread;
use std::sync::Arc;

/// What the parts are made of.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicU8, Ordering};
}

#[path = "marks.rs"]
#[expect(clippy::duplicate_mod, reason = "the same code over other atomics")]
mod marks;

use loom::sync::Mutex;
use loom::sync::atomic::AtomicU64;
use marks::Marks;

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
