//! What must not be refused, beside a worker's mailbox.
//!
//! Invariant: what lies here is bounded by what sends it: at most one resume per connection, and no more messages come
//! back than were sent.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::connection::seat::Address;

/// What is put aside for a worker.
pub(crate) enum Thing<M> {
    Resumed(Address),
    /// A message that this worker sent came back.
    CameBack(M),
}

/// What is put aside for one worker.
pub(crate) struct Aside<M> {
    things: Mutex<Vec<Thing<M>>>,
    /// Whether there is something: looked at without the lock in every turn.
    any: AtomicBool,
}

impl<M> Aside<M> {
    pub(crate) fn new() -> Self {
        Self { things: Mutex::new(Vec::new()), any: AtomicBool::new(false) }
    }

    pub(crate) fn put(&self, thing: Thing<M>) {
        self.lock().push(thing);
        self.any.store(true, Release);
    }

    /// Whether there is something.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Acquire)
    }

    pub(crate) fn take(&self) -> Vec<Thing<M>> {
        let mut things = self.lock();
        self.any.store(false, Relaxed);
        std::mem::take(&mut *things)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Thing<M>>> {
        // No code that can panic runs under the lock, so what a poisoned one guards is whole.
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
