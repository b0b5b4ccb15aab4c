//! Where a connection is, and whether somebody wants it to go on: what threads that do not have it may read and mark. Pure;
//! nothing here blocks.
//!
//! Whoever has the connection writes where it is ([`Place::assign`] before the next one can see it, [`Place::name`] once that
//! one knows it by name). Whoever resumes it marks it and, if it was not marked yet, tells the worker that it read here.
//!
//! Invariant: **a resume that comes when a connection has answered that it waits ends that wait.** Why it holds: a mark stays
//! until a worker takes it that sees what was done before the resume (all changes of the mark are read-modify-writes, so
//! they have one order). Who finds it set need not tell anybody, since whoever set it does, and the worker that is told takes
//! it, or passes it on to where the connection is now, or has the connection in its mailbox; and who takes it out of there
//! looks at the mark. Each piece is needed: `model.rs` takes them away one at a time.

#[cfg(test)]
mod model;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::base::token::Token;

/// No worker has it yet.
const NOWHERE: u32 = u32::MAX;
/// No worker has named it yet. A token's slot is never so high.
const NO_TOKEN: u64 = u64::MAX;

/// The atomic operations on one value, so that a model checker's can take their place.
pub(crate) trait Cell<V> {
    fn new(value: V) -> Self;
    fn load(&self, order: Ordering) -> V;
    fn store(&self, value: V, order: Ordering);
    fn swap(&self, value: V, order: Ordering) -> V;
}

macro_rules! cells {
    ($($cell:ty: $value:ty),*) => { $(
        impl $crate::connection::place::Cell<$value> for $cell {
            fn new(value: $value) -> Self {
                Self::new(value)
            }
            fn load(&self, order: std::sync::atomic::Ordering) -> $value {
                self.load(order)
            }
            fn store(&self, value: $value, order: std::sync::atomic::Ordering) {
                self.store(value, order);
            }
            fn swap(&self, value: $value, order: std::sync::atomic::Ordering) -> $value {
                self.swap(value, order)
            }
        }
    )* };
}
#[cfg(test)]
use cells;

cells!(AtomicU32: u32, AtomicU64: u64, AtomicBool: bool);

/// Where a connection is.
#[derive(Debug)]
pub(crate) struct Place<W = AtomicU32, T = AtomicU64, F = AtomicBool> {
    /// The name that its worker gave it; meant for that worker alone.
    token: T,
    worker: W,
    /// It was resumed, and its worker has not seen that yet.
    resumed: F,
    gone: F,
}

/// What a worker that was told of a resume has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// Let its connection of this name go on.
    Here(Token),
    /// Tell this worker.
    Elsewhere(usize),
    /// Nothing: it is gone, or in the mailbox of the worker that asks, which looks at the mark when it takes it out.
    Nowhere,
}

impl<W: Cell<u32>, T: Cell<u64>, F: Cell<bool>> Place<W, T, F> {
    /// Nowhere yet.
    pub(crate) fn new() -> Self {
        Self { token: T::new(NO_TOKEN), worker: W::new(NOWHERE), resumed: F::new(false), gone: F::new(false) }
    }

    /// From now on it is at `worker`, which has no name for it yet. Answers where it was.
    pub(crate) fn assign(&self, worker: usize) -> Option<usize> {
        self.token.store(NO_TOKEN, Ordering::Relaxed);
        at(self.worker.swap(worker as u32, Ordering::AcqRel))
    }

    /// Its worker calls it so.
    pub(crate) fn name(&self, token: Token) {
        self.token.store(token.to_bits(), Ordering::Relaxed);
    }

    /// It has ended. Answers where it was.
    pub(crate) fn leave(&self) -> Option<usize> {
        self.gone.store(true, Ordering::Release);
        at(self.worker.load(Ordering::Relaxed))
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// The worker that has it now, or whose mailbox does. It may move at once.
    pub(crate) fn worker(&self) -> Option<usize> {
        at(self.worker.load(Ordering::Acquire)).filter(|_| !self.is_gone())
    }

    /// Its name in worker `here`, if it is there: for that worker alone.
    pub(crate) fn token_at(&self, here: usize) -> Option<Token> {
        if self.worker() != Some(here) {
            return None;
        }
        match self.token.load(Ordering::Relaxed) {
            NO_TOKEN => None,
            bits => Some(Token::from_bits(bits)),
        }
    }

    /// Marks it as resumed. `false`: it was already, and whoever marked it tells its worker.
    pub(crate) fn mark_resumed(&self) -> bool {
        !self.resumed.swap(true, Ordering::AcqRel)
    }

    /// Takes the mark. Whether there was one; for whoever has the connection.
    pub(crate) fn take_resumed(&self) -> bool {
        self.resumed.load(Ordering::Relaxed) && self.resumed.swap(false, Ordering::AcqRel)
    }

    /// Worker `here` was told of a resume: takes the mark, if it has the connection.
    pub(crate) fn resume_at(&self, here: usize) -> Resume {
        match (self.worker(), self.token_at(here)) {
            (Some(_), Some(token)) => {
                // A swap whatever a look would say: what was done before the resume is to be seen. And before it goes on:
                // whoever resumes it from now on tells us again.
                self.resumed.swap(false, Ordering::AcqRel);
                Resume::Here(token)
            }
            (Some(worker), None) if worker != here => Resume::Elsewhere(worker),
            (Some(_) | None, None) | (None, Some(_)) => Resume::Nowhere,
        }
    }
}

fn at(worker: u32) -> Option<usize> {
    (worker != NOWHERE).then_some(worker as usize)
}
