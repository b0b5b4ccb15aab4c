//! How one who waits stops waiting: several may end it, one does.
//!
//! Whoever brings what is waited for, the clock, another client, the end of the connection or of the database: each tries to
//! [end](Exchange::end) it, by one compare-exchange, and does what follows from it only if it was he. He who waits goes on once the
//! answer is there, and not when he is woken, which may be for another reason. `model.rs` checks it.

use std::sync::PoisonError;

use super::sync::{AtomicU8, Mutex, MutexGuard, Ordering};

/// Why somebody waits no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum End {
    /// He has got what he waited for, or an error.
    Served = 1,
    /// His time was over.
    TimedOut = 2,
    /// Another client said so.
    Unblocked = 3,
    /// He has gone.
    Gone = 4,
    /// The database is closed.
    Closed = 5,
}

const WAITING: u8 = 0;

/// One who waits, until it was ended; and the answer that he gets then.
pub(super) struct Exchange<T> {
    state: AtomicU8,
    answer: Mutex<Option<T>>,
}

impl<T> Exchange<T> {
    pub(super) fn new() -> Self {
        Self { state: AtomicU8::new(WAITING), answer: Mutex::new(None) }
    }

    /// Whether it is this that ends it.
    pub(super) fn end(&self, end: End) -> bool {
        self.state.compare_exchange(WAITING, end as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Gives the answer, by who has ended it.
    pub(super) fn answer(&self, answer: T) {
        *self.lock() = Some(answer);
    }

    /// The answer, once it is there.
    pub(super) fn take(&self) -> Option<T> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
