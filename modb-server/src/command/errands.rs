//! What takes long is done by threads of its own, so that no worker sleeps: the sync of a `SAVE`, the time of a `DEBUG HOLD`.
//!
//! The connection is parked meanwhile; the stripes of the command are held until the work is done, as if it were executed
//! all the time. Invariants: there are at most [`MAX_THREADS`] threads, whatever clients ask for, and none when there is
//! nothing to do; each errand ends with a reply, also when its thread panics or cannot be had.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{CommandError, Reply};
use crate::data::{Kept, Ticket, Wake};

/// Most of them only wait.
const MAX_THREADS: usize = 64;

/// What a command leaves to a thread.
pub(super) type Work = Box<dyn FnOnce() -> Result<Reply, CommandError> + Send>;

/// What a request waits for. Dropped, it waits no longer: the place in the queues is free, an errand is done for nobody.
#[derive(Default)]
pub enum Waits {
    /// For nothing: it is to be executed, or was.
    #[default]
    Nothing,
    /// For stripes that others hold.
    Stripes(Ticket),
    /// For a thread.
    Work(Done),
}

impl Waits {
    /// Whether the command has run, but for its reply.
    pub fn is_begun(&self) -> bool {
        matches!(self, Self::Work(_))
    }
}

impl std::fmt::Debug for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Stripes(_) => "Stripes",
            Self::Work(_) => "Work",
        })
    }
}

/// Where the reply of an errand will be.
#[derive(Clone, Default)]
pub struct Done(Arc<Mutex<Option<Result<Reply, CommandError>>>>);

impl Done {
    /// The reply, once it is there.
    pub(super) fn take(&self) -> Option<Result<Reply, CommandError>> {
        lock(&self.0).take()
    }
}

/// An errand on its way.
struct Errand {
    work: Option<Work>,
    kept: Option<Kept>,
    done: Done,
    wake: Box<dyn Wake>,
}

impl Errand {
    fn run(mut self) {
        if let Some(work) = self.work.take() {
            let reply = work();
            // Whoever hears of it finds the stripes free.
            drop(self.kept.take());
            *lock(&self.done.0) = Some(reply);
        }
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        drop(self.kept.take());
        lock(&self.done.0).get_or_insert_with(|| Err("ERR it was cut short, see the log".to_owned().into()));
        self.wake.wake();
    }
}

/// The threads, and what waits for one.
#[derive(Clone, Default)]
pub struct Errands(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    threads: usize,
    waiting: VecDeque<Errand>,
}

impl Errands {
    /// Has a thread do `work` while `kept` is held, and then call `wake`.
    pub(super) fn begin(&self, work: Work, kept: Kept, wake: Box<dyn Wake>) -> Done {
        let done = Done::default();
        let errand = Errand { work: Some(work), kept: Some(kept), done: done.clone(), wake };
        let mut state = lock(&self.0);
        state.waiting.push_back(errand);
        if state.threads < MAX_THREADS {
            state.threads += 1;
            drop(state);
            let hand = Hand(Some(self.clone()));
            if let Err(error) =
                std::thread::Builder::new().name("modb-errand".to_owned()).spawn(move || hand.work_off())
            {
                tracing::warn!(%error, "no thread for what takes long");
            }
        }
        done
    }
}

/// A thread that works errands off: counted until it ends, which it does when there are none, or could not begin.
struct Hand(Option<Errands>);

impl Hand {
    fn work_off(mut self) {
        while let Some(errand) = self.next() {
            errand.run();
        }
    }

    /// `None`: it has ended, in the same moment in which there was nothing.
    fn next(&mut self) -> Option<Errand> {
        let errands = self.0.take()?;
        let mut state = lock(&errands.0);
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.threads -= 1;
            return None;
        }
        drop(state);
        self.0 = Some(errands);
        next
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        // It could not begin, or panicked.
        let Some(errands) = self.0.take() else { return };
        let mut state = lock(&errands.0);
        state.threads -= 1;
        // Where no other thread is, nobody else would do them.
        let left = if state.threads == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        drop(state);
        drop(left);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
