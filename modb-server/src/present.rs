//! Who uses an open database besides calls of its handles: the workers of servers. Its end waits for the last of them.
//!
//! Invariant: whoever keeps something of the database keeps a [`Present`], too, and drops it last.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Counts them.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    count: Mutex<usize>,
    changed: Condvar,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Present(Arc<Presence>);

impl Presence {
    /// One more.
    pub(crate) fn enter(self: &Arc<Self>) -> Present {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Present(Arc::clone(self))
    }

    /// Waits until there is none.
    pub(crate) fn wait_for_none(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(count, |count| *count > 0).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Clone for Present {
    fn clone(&self) -> Self {
        self.0.enter()
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.changed.notify_all();
    }
}
