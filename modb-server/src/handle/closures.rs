//! The closures of `update` that run now, for those who wait for their keys.
//!
//! A closure is somebody else's code, which may wait for the very thread that waits for it. So a wait for one ends, with an
//! error that names it, also where commands stand between the two; a wait for a command, however long, does not: that goes on by
//! itself.
//!
//! Invariants: a closure is here while it runs, and from no earlier than its stripes are held; a wait ends for a closure's sake
//! only if the closure has run, and the waiter has waited, for as long as [`Closures::patience`] says.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::Open;
use crate::data::{Held, Need, Parker};
use crate::error::Error;
use crate::value::Value;

/// How long a closure may keep others waiting.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How often who waits looks whom it waits for.
const LOOK: Duration = Duration::from_millis(100);

/// Those that run.
pub(crate) struct Closures {
    running: Mutex<Vec<Closure>>,
    patience: Duration,
}

struct Closure {
    keys: Vec<Value>,
    stripes: Box<[u16]>,
    thread: Thread,
    since: Instant,
}

/// One that runs, until this is dropped.
pub(crate) struct Running<'c> {
    closures: &'c Closures,
    since: Instant,
}

/// Who waits, since when.
pub(crate) struct Wait<'c> {
    closures: &'c Closures,
    began: Instant,
}

impl Closures {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { running: Mutex::default(), patience }
    }

    /// On this thread one begins, which was given these keys and holds these stripes.
    pub(crate) fn begin(&self, keys: Vec<Value>, stripes: Box<[u16]>) -> Running<'_> {
        let (thread, since) = (std::thread::current(), Instant::now());
        self.lock().push(Closure { keys, stripes, thread, since });
        Running { closures: self, since }
    }

    /// Begins to wait.
    pub(crate) fn wait(&self) -> Wait<'_> {
        Wait { closures: self, began: Instant::now() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Closure>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wait<'_> {
    /// Sleeps until `parker` is woken, or for a moment; `waits_for` says which stripes must be given back first.
    ///
    /// # Errors
    /// [`Error::UpdateTooSlow`], if that is what this waits for: give up then.
    pub(crate) fn sleep(
        &self,
        parker: &Parker,
        waits_for: impl FnOnce() -> HashSet<u16>,
    ) -> Result<(), Error> {
        let patience = self.closures.patience;
        if parker.wait_for(LOOK.min(patience)) || self.began.elapsed() < patience {
            return Ok(());
        }
        let stripes = waits_for();
        let running = self.closures.lock();
        let slow = running.iter().find(|closure| {
            closure.since.elapsed() >= patience
                && closure.stripes.iter().any(|stripe| stripes.contains(stripe))
        });
        slow.map_or(Ok(()), |closure| Err(closure.too_slow()))
    }
}

impl Closure {
    fn too_slow(&self) -> Error {
        let thread = match self.thread.name() {
            Some(name) => format!("thread '{name}'"),
            None => format!("{:?}", self.thread.id()),
        };
        Error::UpdateTooSlow { keys: self.keys.clone(), thread }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let own = |closure: &Closure| {
            closure.thread.id() == std::thread::current().id() && closure.since == self.since
        };
        let mut running = self.closures.lock();
        if let Some(at) = running.iter().position(own) {
            running.swap_remove(at);
        }
    }
}

impl Open {
    /// Holds what a call needs.
    ///
    /// # Errors
    /// [`Error::UpdateTooSlow`].
    #[inline]
    pub(crate) fn hold(&self, need: Need) -> Result<Held<'_>, Error> {
        self.instance.data.try_hold(need).or_else(|need| self.wait_for_stripes(need))
    }

    #[cold]
    fn wait_for_stripes(&self, need: Need) -> Result<Held<'_>, Error> {
        let (data, parker, wait) = (&self.instance.data, Parker::default(), self.closures.wait());
        let wake = || parker.waker();
        let mut held = data.hold_or_queue(need, &wake);
        loop {
            match held {
                Ok(held) => return Ok(held),
                Err(ticket) => {
                    wait.sleep(&parker, || ticket.waits_for())?;
                    held = data.hold_queued(ticket, &wake);
                }
            }
        }
    }
}
