//! Sleeping for stripes: for threads that serve nobody, those of embedding programs and the housekeeper.
//!
//! Not `std::thread::park`: its token is one per thread, and a program that parks by itself would lose its own.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::Wake;

/// A thread sleeps here until it is woken.
#[derive(Clone, Debug, Default)]
pub struct Parker(Arc<Signal>);

#[derive(Debug, Default)]
struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    /// What wakes it.
    pub fn waker(&self) -> Box<dyn Wake> {
        Box::new(self.clone())
    }

    /// Sleeps until it was woken since it last slept.
    pub fn wait(&self) {
        let woken = self.0.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut woken =
            self.0.changed.wait_while(woken, |woken| !*woken).unwrap_or_else(PoisonError::into_inner);
        *woken = false;
    }

    /// As [`Parker::wait`], for so long at most; whether it was woken.
    pub fn wait_for(&self, at_most: Duration) -> bool {
        let woken = self.0.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.changed.wait_timeout_while(woken, at_most, |woken| !*woken);
        let (mut woken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *woken)
    }
}

impl Wake for Parker {
    fn wake(&self) {
        *self.0.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
    }
}
