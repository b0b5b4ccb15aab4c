//! One who waits for stripes, as the queues know him: what was handed to him, and how he is woken.
//!
//! Invariant: what is handed to him is counted once; whoever hands him the last one sees that it was.

use super::Access;
use super::sync::{AtomicBool, AtomicUsize, Ordering};

/// Called when one who waits should look again: from any thread, often, and also when he has gone.
pub trait Wake: Send + Sync {
    /// Has the owner of a [`Ticket`](super::Ticket) look again, soon.
    fn wake(&self);
}

/// A command that waits.
pub(super) struct Waiter {
    pub(super) access: Access,
    /// Ascending.
    stripes: Box<[u16]>,
    /// How many were not handed over yet.
    missing: AtomicUsize,
    /// One was handed over: from then on it takes none itself.
    handed: AtomicBool,
    wake: Box<dyn Wake>,
}

impl Waiter {
    pub(super) fn new(access: Access, stripes: Box<[u16]>, wake: Box<dyn Wake>) -> Self {
        let missing = AtomicUsize::new(stripes.len());
        Self { access, stripes, missing, handed: AtomicBool::new(false), wake }
    }

    pub(super) fn stripes(&self) -> &[u16] {
        &self.stripes
    }

    pub(super) fn wake(&self) {
        self.wake.wake();
    }

    pub(super) fn is_handed(&self) -> bool {
        self.handed.load(Ordering::Acquire)
    }

    /// A stripe is his now: called under the lock of its queue.
    pub(super) fn hand(&self) -> Handed {
        let first = !self.handed.swap(true, Ordering::AcqRel);
        match self.missing.fetch_sub(1, Ordering::AcqRel) {
            1 => Handed::All,
            _ if first => Handed::First,
            _ => Handed::Another,
        }
    }

    pub(super) fn has_all(&self) -> bool {
        self.missing.load(Ordering::Acquire) == 0
    }
}

/// What one has after he was handed a stripe.
pub(super) enum Handed {
    /// It was the only one, or the last.
    All,
    /// It was the first of several.
    First,
    /// Neither.
    Another,
}
