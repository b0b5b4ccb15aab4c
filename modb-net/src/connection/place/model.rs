//! Models of a resume under loom: a connection moves from one worker to another and waits there, while another thread resumes
//! it twice, once at any time and once when it waits.
//!
//! [`Place`] runs here as connections have it, over loom's atomics; what workers do with it is written out, as `Worker` does
//! it. Wake-ups are a flag with a condition variable: whether the notifier delivers them is its own model's business. What the
//! resume is about is one relaxed flag, so that the mark alone must make it visible. A resume that is lost is a connection
//! that waits for ever, which loom reports as a deadlock.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::{Cell, Place, Resume};
use crate::base::token::Token;
use crate::system::sys::model_tests;

super::cells!(AtomicU32: u32, AtomicU64: u64, AtomicBool: bool);

/// A mark of which no order is asked.
struct Lax(AtomicBool);

impl Cell<bool> for Lax {
    fn new(value: bool) -> Self {
        Self(AtomicBool::new(value))
    }
    fn load(&self, _: Ordering) -> bool {
        self.0.load(Ordering::Relaxed)
    }
    fn store(&self, value: bool, _: Ordering) {
        self.0.store(value, Ordering::Relaxed);
    }
    fn swap(&self, value: bool, _: Ordering) -> bool {
        self.0.swap(value, Ordering::Relaxed)
    }
}

/// What workers do, or forget.
#[derive(Clone, Copy, PartialEq)]
enum Care {
    Full,
    /// Who takes the connection out of its mailbox does not look at its mark.
    NoLookAtTheMark,
    /// Who is told of a resume for a connection that is elsewhere passes nothing on.
    NothingPassedOn,
    /// Who is told of a resume lets the connection go on, and leaves the mark.
    MarkStays,
}

/// One who sleeps until somebody wakes it.
struct Sleeper {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Sleeper {
    fn new() -> Self {
        Self { woken: Mutex::new(false), changed: Condvar::new() }
    }
    fn wake(&self) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
    fn sleep(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !std::mem::take(&mut *woken) {
            woken = self.changed.wait(woken).unwrap();
        }
    }
}

/// A worker, as others see it.
struct Desk {
    /// Whether the connection lies in its mailbox.
    mailbox: Mutex<bool>,
    /// How often it was told of a resume.
    aside: Mutex<u32>,
    sleeper: Sleeper,
}

struct World<F: Cell<bool>> {
    place: Place<AtomicU32, AtomicU64, F>,
    desks: [Desk; 2],
    /// What the connection waits for.
    answer: AtomicBool,
    waits: Sleeper,
    over: AtomicBool,
    care: Care,
}

const TOKEN: Token = Token { slot: 1, generation: 1 };

impl<F: Cell<bool>> World<F> {
    fn put_aside(&self, worker: usize) {
        *self.desks[worker].aside.lock().unwrap() += 1;
        self.desks[worker].sleeper.wake();
    }

    fn resume(&self) {
        if self.place.mark_resumed()
            && let Some(worker) = self.place.worker()
        {
            self.put_aside(worker);
        }
    }

    /// The turns of a worker until the connection has its answer.
    fn work(&self, here: usize) {
        // The first worker has let it go, or lets it go now.
        let (mut has, mut waits) = (false, false);
        while !self.over.load(Ordering::SeqCst) {
            let mut runs = false;
            if std::mem::take(&mut *self.desks[here].mailbox.lock().unwrap()) {
                self.place.name(TOKEN);
                if self.care != Care::NoLookAtTheMark {
                    self.place.take_resumed();
                }
                (has, runs) = (true, true);
            }
            for _ in 0..std::mem::take(&mut *self.desks[here].aside.lock().unwrap()) {
                if self.care == Care::MarkStays && self.place.token_at(here).is_some() {
                    runs |= std::mem::take(&mut waits);
                    continue;
                }
                match self.place.resume_at(here) {
                    Resume::Here(_) => runs |= std::mem::take(&mut waits),
                    Resume::Elsewhere(worker) if self.care != Care::NothingPassedOn => self.put_aside(worker),
                    Resume::Elsewhere(_) | Resume::Nowhere => {}
                }
            }
            if has && runs {
                if self.answer.load(Ordering::Relaxed) {
                    self.over.store(true, Ordering::SeqCst);
                    self.desks[1 - here].sleeper.wake();
                    return;
                }
                // It says whom it waits for, and answers so.
                self.waits.wake();
                waits = true;
            } else {
                self.desks[here].sleeper.sleep();
            }
        }
    }
}

fn explore<F: Cell<bool> + Send + Sync + 'static>(care: Care) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let desk = || Desk { mailbox: Mutex::new(false), aside: Mutex::new(0), sleeper: Sleeper::new() };
        let world = Arc::new(World::<F> {
            place: Place::new(),
            desks: [desk(), desk()],
            answer: AtomicBool::new(false),
            waits: Sleeper::new(),
            over: AtomicBool::new(false),
            care,
        });
        world.place.assign(0);
        world.place.name(TOKEN);
        let (other, resumer) = (world.clone(), world.clone());
        let other = thread::spawn(move || other.work(1));
        let resumer = thread::spawn(move || {
            resumer.resume();
            resumer.waits.sleep();
            resumer.answer.store(true, Ordering::Relaxed);
            resumer.resume();
        });
        // It moves.
        let mut mailbox = world.desks[1].mailbox.lock().unwrap();
        world.place.assign(1);
        *mailbox = true;
        drop(mailbox);
        world.desks[1].sleeper.wake();
        world.work(0);
        other.join().unwrap();
        resumer.join().unwrap();
    });
}

model_tests! {
    fn no_resume_is_lost_while_its_connection_moves() {
        explore::<AtomicBool>(Care::Full);
    }

    #[should_panic(expected = "deadlock")]
    fn not_looking_at_the_mark_of_one_that_comes_loses_every_later_resume() {
        explore::<AtomicBool>(Care::NoLookAtTheMark);
    }

    #[should_panic(expected = "deadlock")]
    fn passing_nothing_on_loses_every_later_resume() {
        explore::<AtomicBool>(Care::NothingPassedOn);
    }

    #[should_panic(expected = "deadlock")]
    fn leaving_the_mark_loses_every_later_resume() {
        explore::<AtomicBool>(Care::MarkStays);
    }

    #[should_panic(expected = "deadlock")]
    fn a_mark_without_an_order_shows_the_worker_nothing() {
        explore::<Lax>(Care::Full);
    }
}
