//! What takes long is done by threads of its own, so that no worker sleeps, and none computes while others wait for it.
//!
//! There are two lines of them. In one are the errands that mostly wait: the sync of a `SAVE`, the time of a `DEBUG HOLD`; the
//! stripes of their command are held meanwhile, as if it were executed all the time. In the other are those that compute: commands
//! that take long ([`super::lent`]), in the order in which they came.
//!
//! Invariants: each line has at most so many threads, whatever clients ask for, and none when there is nothing to do; an errand
//! that is not done, because its thread panicked or could not be had, tells so when it is dropped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::stopwatch::Stopwatch;
use crate::command::{CommandError, Reply, Work};
use crate::data::{Kept, Wake};
use crate::store::vast;

/// While so much is being given back, who has more does it himself.
const MOST_BEING_FREED_BYTES: usize = vast::MOST_LEFT_BYTES;

/// Most of those that wait.
const MOST_WAIT: usize = 64;

/// What a thread does for somebody. Dropped undone, it says so to who waits for it.
pub trait Errand: Send {
    /// Does it.
    fn run(self: Box<Self>);
}

/// What an errand has brought.
#[derive(Debug)]
pub(crate) struct Brought {
    pub(crate) reply: Result<Reply, CommandError>,
    /// How long its thread has worked for it.
    pub(crate) worked_ns: u64,
}

/// Where the reply of an errand will be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done(Arc<Mutex<Option<Brought>>>);

impl Done {
    /// The reply, once it is there.
    pub(crate) fn take(&self) -> Option<Brought> {
        lock(&self.0).take()
    }
}

/// What a command has left to a thread, and the stripes that are held until it is done.
struct Left {
    work: Option<Work>,
    kept: Option<Kept>,
    done: Done,
    wake: Box<dyn Wake>,
}

impl Errand for Left {
    fn run(mut self: Box<Self>) {
        if let Some(work) = self.work.take() {
            let mut watch = Stopwatch::start();
            let reply = work.run();
            let worked_ns = watch.lap_ns();
            // Whoever hears of it finds the stripes free.
            drop(self.kept.take());
            *lock(&self.done.0) = Some(Brought { reply, worked_ns });
        }
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        drop(self.kept.take());
        lock(&self.done.0).get_or_insert_with(|| {
            let reply = Err("ERR it was cut short, see the log".to_owned().into());
            Brought { reply, worked_ns: 0 }
        });
        self.wake.wake();
    }
}

/// The threads.
#[derive(Clone, Default)]
pub struct Errands {
    waiting: Line,
    computing: Line,
    being_freed_bytes: Arc<AtomicUsize>,
}

impl Errands {
    /// Has a thread do `work` while `kept` is held, and then call `wake`.
    pub(crate) fn begin(&self, work: Work, kept: Kept, wake: Box<dyn Wake>) -> Done {
        let done = Done::default();
        let left = Left { work: Some(work), kept: Some(kept), done: done.clone(), wake };
        self.waiting.add(Box::new(left), MOST_WAIT);
        done
    }

    /// Has one of `most` threads compute something, behind all that came before.
    pub fn compute(&self, errand: Box<dyn Errand>, most: usize) {
        self.computing.add(errand, most);
    }

    /// Has a thread give memory back, which takes long where it is much.
    pub fn free(&self, what: impl Send + 'static) {
        struct Free<T>(T);
        impl<T: Send> Errand for Free<T> {
            fn run(self: Box<Self>) {
                drop(self.0);
            }
        }
        self.waiting.add(Box::new(Free(what)), MOST_WAIT);
    }

    /// As [`Errands::free`], of values, unless threads have much to do of that already.
    #[cold]
    pub(crate) fn give_back(&self, left: vast::Left) {
        struct Counted(vast::Left, Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                let bytes = self.0.bytes();
                drop(std::mem::take(&mut self.0));
                self.1.fetch_sub(bytes, Ordering::Relaxed);
            }
        }
        let before = self.being_freed_bytes.fetch_add(left.bytes(), Ordering::Relaxed);
        let left = Counted(left, Arc::clone(&self.being_freed_bytes));
        if before < MOST_BEING_FREED_BYTES {
            self.free(left);
        }
    }

    /// How many threads compute, or are about to, and how many computations wait for one.
    pub fn computations(&self) -> (usize, usize) {
        let state = lock(&self.computing.0.state);
        (state.threads, state.waiting.len())
    }

    /// Waits until nothing is done any more.
    pub fn wait(&self) {
        self.waiting.wait();
        self.computing.wait();
    }
}

/// Errands of one kind: those that wait for a thread, in the order of coming, and the number of threads.
#[derive(Clone, Default)]
struct Line(Arc<Desk>);

#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    /// A thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    threads: usize,
    waiting: VecDeque<Box<dyn Errand>>,
}

impl Line {
    fn add(&self, errand: Box<dyn Errand>, most: usize) {
        let mut state = lock(&self.0.state);
        state.waiting.push_back(errand);
        if state.threads < most {
            state.threads += 1;
            drop(state);
            let hand = Hand(Some(self.clone()));
            if let Err(error) =
                std::thread::Builder::new().name("modb-errand".to_owned()).spawn(move || hand.work_off())
            {
                tracing::warn!(%error, "no thread for what takes long");
            }
        }
    }

    fn wait(&self) {
        let state = lock(&self.0.state);
        let none = self.0.ended.wait_while(state, |state| state.threads > 0);
        drop(none.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A thread that works errands off: counted until it ends, which it does when there are none, or could not begin.
struct Hand(Option<Line>);

impl Hand {
    fn work_off(mut self) {
        while let Some(errand) = self.next() {
            let _later = vast::later();
            errand.run();
        }
    }

    /// `None`: it has ended, in the same moment in which there was nothing.
    fn next(&mut self) -> Option<Box<dyn Errand>> {
        let line = self.0.take()?;
        let mut state = lock(&line.0.state);
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.threads -= 1;
            line.0.ended.notify_all();
            return None;
        }
        drop(state);
        self.0 = Some(line);
        next
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        // It could not begin, or panicked.
        let Some(line) = self.0.take() else { return };
        let mut state = lock(&line.0.state);
        state.threads -= 1;
        line.0.ended.notify_all();
        // Where no other thread is, nobody else would do them.
        let left = if state.threads == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        drop(state);
        drop(left);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn values_are_given_back_by_a_thread_unless_threads_have_much_to_give_back() {
        let errands = Errands::default();
        let give_back = |end: &str| {
            let (value, by) = vast::watched::value(end);
            let _later = vast::later();
            drop(vast::share(value));
            errands.give_back(vast::take_left().unwrap());
            errands.wait();
            by.try_recv().unwrap().id()
        };
        assert_ne!(give_back("nothing else is"), thread::current().id());
        assert_eq!(errands.being_freed_bytes.load(Ordering::Relaxed), 0);
        errands.being_freed_bytes.store(MOST_BEING_FREED_BYTES, Ordering::Relaxed);
        assert_eq!(give_back("much else is"), thread::current().id());
        assert_eq!(errands.being_freed_bytes.load(Ordering::Relaxed), MOST_BEING_FREED_BYTES);
    }
}
