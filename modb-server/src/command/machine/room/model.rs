//! A model of the exchange under loom: what is waited for, the clock and another client come at once. loom is used as a library,
//! without `--cfg loom`: the file under test is compiled once more here, over loom's atomics.
//!
//! What is waited for is a relaxed counter under a lock, as a key is under its stripe. A lost wake-up is a thread that sleeps
//! for ever, which loom reports as a deadlock.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::sys::model_tests;

/// What it is made of.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicU8, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};
}

#[path = "exchange.rs"]
#[allow(dead_code, reason = "the same code, used elsewhere")]
#[expect(clippy::duplicate_mod, reason = "the same code over other atomics")]
mod exchange;

use exchange::{End, Exchange};

/// A list with one who waits for its elements.
struct Room {
    /// Elements, and whether somebody stands in the queue.
    list: Mutex<(u32, bool)>,
    exchange: Exchange<&'static str>,
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Room {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            list: Mutex::new((0, false)),
            exchange: Exchange::new(),
            rung: Mutex::new(false),
            changed: Condvar::new(),
        })
    }

    fn wake(&self) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }

    /// One who brings an element, and serves who waits.
    fn push(&self) {
        let mut list = self.list.lock().unwrap();
        list.0 += 1;
        // First it is clear whether he waits, and then it is taken.
        if list.1 && self.exchange.end(End::Served) {
            list.0 -= 1;
            self.exchange.answer("served");
            self.wake();
        }
    }

    fn end(&self, end: End, answer: &'static str) {
        if self.exchange.end(end) {
            self.exchange.answer(answer);
            self.wake();
        }
    }

    /// Looks, waits in the queue, and leaves it.
    fn pop(&self) -> &'static str {
        {
            let mut list = self.list.lock().unwrap();
            if list.0 > 0 {
                list.0 -= 1;
                return "served";
            }
            list.1 = true;
        }
        let mut rung = self.rung.lock().unwrap();
        loop {
            if let Some(answer) = self.exchange.take() {
                drop(rung);
                self.list.lock().unwrap().1 = false;
                return answer;
            }
            while !*rung {
                rung = self.changed.wait(rung).unwrap();
            }
            *rung = false;
        }
    }
}

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

model_tests! {
    fn an_element_is_given_to_who_waits_or_stays_whatever_else_ends_the_wait() {
        explore(|| {
            let room = Room::new();
            let spawn = |work: fn(&Room)| {
                let room = Arc::clone(&room);
                thread::spawn(move || work(&room))
            };
            let others = [spawn(Room::push), spawn(|room| room.end(End::TimedOut, "timed out"))];
            let answer = room.pop();
            others.into_iter().for_each(|other| other.join().unwrap());
            let list = room.list.lock().unwrap();
            assert_eq!(list.0, u32::from(answer != "served"), "{answer}");
            assert!(!list.1);
        });
    }

    fn of_two_who_end_it_one_has() {
        explore(|| {
            let room = Room::new();
            let other = thread::spawn({
                let room = Arc::clone(&room);
                move || room.exchange.end(End::Unblocked)
            });
            let mine = room.exchange.end(End::Gone);
            assert_ne!(mine, other.join().unwrap());
        });
    }
}
