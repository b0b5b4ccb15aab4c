//! Where one client hears what is told to it alone, whoever tells it.
//!
//! Others may ask for it before its worker has said where that is. Invariant: once it has a place the client stays there, until it
//! ends.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use modb_net::Token;

/// Where one client hears what is told to it alone.
#[derive(Debug, Default)]
pub struct Ear {
    at: Mutex<At>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    Nowhere,
    /// At an inbox, where the client has this name.
    Inbox(u64, Token),
    Gone,
}

impl Ear {
    /// From now on it is there.
    pub fn place(&self, inbox: u64, token: Token) {
        let mut at = self.lock();
        if matches!(*at, At::Nowhere) {
            *at = At::Inbox(inbox, token);
            self.changed.notify_all();
        }
    }

    /// The client has gone.
    pub fn end(&self) {
        *self.lock() = At::Gone;
        self.changed.notify_all();
    }

    /// Whether the client has gone.
    pub fn has_ended(&self) -> bool {
        matches!(*self.lock(), At::Gone)
    }

    /// Whether it has a place, or the client has gone.
    pub fn has_place(&self) -> bool {
        !matches!(*self.lock(), At::Nowhere)
    }

    /// The inbox, and the name of the client there.
    pub fn at(&self) -> Option<(u64, Token)> {
        match *self.lock() {
            At::Inbox(inbox, token) => Some((inbox, token)),
            At::Nowhere | At::Gone => None,
        }
    }

    /// Sleeps until it has a place, or the client has gone, or that time is over; whether it was one of the first two.
    pub fn wait(&self, timeout: Duration) -> bool {
        let is_nowhere = |at: &mut At| matches!(at, At::Nowhere);
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, is_nowhere);
        !matches!(*waited.unwrap_or_else(PoisonError::into_inner).0, At::Nowhere)
    }

    fn lock(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
