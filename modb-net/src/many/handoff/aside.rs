//! What must not be refused, beside a worker's mailbox.
//!
//! Invariants: what lies here is bounded by what sends it: at most one resume per connection, and no more messages come
//! back than were sent; nothing is refused before the worker has ended, and then it is given back.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::connection::seat::Address;

/// What is put aside for a worker.
pub(crate) enum Thing<M> {
    Resumed(Address),
    /// A message that this worker sent came back.
    CameBack(M),
    /// A connection that was to be opened from here ended before it was begun with.
    NotOpened {
        remote: SocketAddr,
        purpose: M,
    },
}

/// What is put aside for one worker.
pub(crate) struct Aside<M> {
    /// `None`: the worker has ended.
    things: Mutex<Option<Vec<Thing<M>>>>,
    /// Whether there is something: looked at without the lock in every turn.
    any: AtomicBool,
}

impl<M> Aside<M> {
    pub(crate) fn new() -> Self {
        Self { things: Mutex::new(Some(Vec::new())), any: AtomicBool::new(false) }
    }

    /// `Err`: the worker has ended.
    pub(crate) fn put(&self, thing: Thing<M>) -> Result<(), Thing<M>> {
        let mut things = self.lock();
        let Some(things) = &mut *things else { return Err(thing) };
        things.push(thing);
        self.any.store(true, Release);
        Ok(())
    }

    /// Whether there is something.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Acquire)
    }

    pub(crate) fn take(&self) -> Vec<Thing<M>> {
        let mut things = self.lock();
        self.any.store(false, Relaxed);
        things.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What is left; nothing more is taken in.
    pub(crate) fn close(&self) -> Vec<Thing<M>> {
        self.lock().take().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Thing<M>>>> {
        // No code that can panic runs under the lock, so what a poisoned one guards is whole.
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
