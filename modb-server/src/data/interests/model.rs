//! A model of tracking under loom: a client reads a key and enters itself, another changes the key and tells who has entered, while
//! the first one's worker delivers replies and mail. The orders are the ones of `tracking`, over loom's locks and atomics; each piece
//! of them is taken away once, and then an invalidation is lost.

use std::sync::Arc;

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

use crate::sys::model_tests;

/// What is done in another way than it should be.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// A key is read without its stripe.
    ReadsOutside,
    /// A client enters itself after it has given the stripe back.
    EntersLate,
    /// Mail is delivered before the reply of a command that a thread executes.
    MailBeforeReply,
    /// The writer tells after he has his answer.
    TellsLate,
}

/// A key, its stripe and those who are interested in it.
struct Key {
    /// The stripe, as it is held.
    stripe: Mutex<()>,
    value: AtomicUsize,
    /// Whether the client has entered itself.
    entered: Mutex<bool>,
    /// How many clients track anything: looked at by who holds the stripe, before anything else.
    count: AtomicUsize,
    /// What lies in the lane of the client's worker.
    mail: Mutex<usize>,
    /// The writer has his answer.
    answered: AtomicBool,
}

impl Key {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            stripe: Mutex::new(()),
            value: AtomicUsize::new(0),
            entered: Mutex::new(false),
            count: AtomicUsize::new(0),
            mail: Mutex::new(0),
            answered: AtomicBool::new(false),
        })
    }

    /// The client reads the key.
    fn read(&self, fault: Fault) -> usize {
        let held = self.stripe.lock().unwrap();
        if fault == Fault::ReadsOutside {
            drop(held);
            let seen = self.value.load(Ordering::Relaxed);
            *self.entered.lock().unwrap() = true;
            return seen;
        }
        let seen = self.value.load(Ordering::Relaxed);
        if fault == Fault::EntersLate {
            drop(held);
        }
        *self.entered.lock().unwrap() = true;
        seen
    }

    /// Another changes it, and has his answer.
    fn write(&self, fault: Fault) {
        let held = self.stripe.lock().unwrap();
        self.value.store(1, Ordering::Relaxed);
        if fault == Fault::TellsLate {
            drop(held);
            self.answered.store(true, Ordering::Release);
            self.tell();
            return;
        }
        self.tell();
        drop(held);
        self.answered.store(true, Ordering::Release);
    }

    fn tell(&self) {
        if self.count.load(Ordering::Relaxed) > 0 && std::mem::take(&mut *self.entered.lock().unwrap()) {
            *self.mail.lock().unwrap() += 1;
        }
    }

    /// The client's worker takes its mail; whether something is told.
    fn is_told(&self) -> bool {
        std::mem::take(&mut *self.mail.lock().unwrap()) > 0
    }
}

/// A client that begins to track, reads, and asks for something else: what it keeps then is not older than what was answered before.
fn explore(fault: Fault) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let key = Key::new();
        let writer = thread::spawn({
            let key = Arc::clone(&key);
            move || key.write(fault)
        });
        key.count.fetch_add(1, Ordering::Relaxed);
        let seen = key.read(fault);
        // A turn of its worker between the read and the reply, as where a thread has read.
        let told_early = key.is_told();
        let mut kept = Some(seen);
        if told_early && fault != Fault::MailBeforeReply {
            // It was kept until the reply had been written.
            kept = None;
        }
        // What it asks for now is answered behind its mail.
        let least = usize::from(key.answered.load(Ordering::Acquire));
        if key.is_told() {
            kept = None;
        }
        assert!(kept.is_none_or(|seen| seen >= least), "an invalidation is lost");
        writer.join().unwrap();
        if key.is_told() {
            kept = None;
        }
        assert!(kept.is_none_or(|seen| seen == 1), "an invalidation is lost");
    });
}

model_tests! {
    fn no_invalidation_is_lost() {
        explore(Fault::None);
    }

    #[should_panic(expected = "an invalidation is lost")]
    fn a_read_without_the_stripe_may_lose_one() {
        explore(Fault::ReadsOutside);
    }

    #[should_panic(expected = "an invalidation is lost")]
    fn who_enters_behind_the_stripe_may_lose_one() {
        explore(Fault::EntersLate);
    }

    #[should_panic(expected = "an invalidation is lost")]
    fn what_is_told_before_the_reply_is_lost() {
        explore(Fault::MailBeforeReply);
    }

    #[should_panic(expected = "an invalidation is lost")]
    fn what_is_told_behind_the_answer_comes_too_late() {
        explore(Fault::TellsLate);
    }
}
