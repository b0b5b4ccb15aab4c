//! What takes long is done by threads of its own, so that no worker sleeps: the sync of a `SAVE`, the time of a `DEBUG HOLD`.
//!
//! The connection is parked meanwhile; the stripes of the command are held until the work is done, as if it were executed
//! all the time. Invariants: there are at most [`MAX_THREADS`] threads, whatever clients ask for, and none when there is
//! nothing to do; each errand ends with a reply, also when its thread panics or cannot be had.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::command::waiting::room::{Deadline, Waiting};
use crate::command::{CommandError, Reply, Resolved, Work};
use crate::data::{Kept, Ticket, Wake};
use crate::messages::Rooms;

/// Most of them only wait.
const MAX_THREADS: usize = 64;

/// A request that was begun and waits. Dropped, it waits no longer: the place in the queues is free, an errand is done for nobody.
#[derive(Debug)]
pub struct Begun(pub(crate) Box<Waits>);

#[derive(Debug)]
pub(crate) struct Waits {
    pub(crate) resolved: Resolved,
    pub(crate) on: On,
    /// For what it tells others.
    pub(crate) rooms: Rooms,
}

#[derive(Debug)]
pub(crate) enum On {
    /// Stripes that others hold.
    Stripes(Ticket),
    /// A thread.
    Thread(Done),
    /// What others bring, or time.
    Others(Waiting),
    /// Room for what it tells others: it has run, was undone, and runs again.
    Rooms,
}

impl Begun {
    /// The stripes that must be given back before it goes on, if it waits for stripes.
    pub fn waits_for(&self) -> HashSet<u16> {
        match &self.0.on {
            On::Stripes(ticket) => ticket.waits_for(),
            On::Thread(_) | On::Others(_) | On::Rooms => HashSet::new(),
        }
    }

    pub(crate) fn new(resolved: Resolved, on: On, rooms: Rooms) -> Self {
        Self(Box::new(Waits { resolved, on, rooms }))
    }

    /// The command.
    pub fn resolved(&self) -> Resolved {
        self.0.resolved
    }

    /// Whether the command has run, but for its reply.
    pub fn has_run(&self) -> bool {
        !matches!(self.0.on, On::Stripes(_))
    }

    /// Whether it waits for what may never come.
    pub fn waits_for_others(&self) -> bool {
        matches!(self.0.on, On::Others(_))
    }

    /// When its time is over, if it ever is, and what to tell then.
    pub fn deadline(&self) -> Option<(Instant, Deadline)> {
        match &self.0.on {
            On::Others(waiting) => waiting.deadline(),
            On::Stripes(_) | On::Thread(_) | On::Rooms => None,
        }
    }

    /// What it holds, beside what everything takes that waits.
    pub fn bytes(&self) -> usize {
        match &self.0.on {
            On::Others(waiting) => waiting.bytes(),
            On::Stripes(_) | On::Thread(_) | On::Rooms => 0,
        }
    }
}

/// Where the reply of an errand will be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done(Arc<Mutex<Option<Result<Reply, CommandError>>>>);

impl Done {
    /// The reply, once it is there.
    pub(crate) fn take(&self) -> Option<Result<Reply, CommandError>> {
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
            let reply = work.run();
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
pub struct Errands(Arc<Desk>);

#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    /// A thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    threads: usize,
    waiting: VecDeque<Errand>,
}

impl Errands {
    /// Has a thread do `work` while `kept` is held, and then call `wake`.
    pub(crate) fn begin(&self, work: Work, kept: Kept, wake: Box<dyn Wake>) -> Done {
        let done = Done::default();
        let errand = Errand { work: Some(work), kept: Some(kept), done: done.clone(), wake };
        let mut state = lock(&self.0.state);
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

    /// Waits until nothing is done any more.
    pub fn wait(&self) {
        let state = lock(&self.0.state);
        let none = self.0.ended.wait_while(state, |state| state.threads > 0);
        drop(none.unwrap_or_else(PoisonError::into_inner));
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
        let mut state = lock(&errands.0.state);
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.threads -= 1;
            errands.0.ended.notify_all();
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
        let mut state = lock(&errands.0.state);
        state.threads -= 1;
        errands.0.ended.notify_all();
        // Where no other thread is, nobody else would do them.
        let left = if state.threads == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        drop(state);
        drop(left);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
