//! Who is told when more commits are safe: workers that hold replies back, and threads of embedding programs.
//!
//! Invariant: whoever says that it waits and then asks what is safe gets the newest answer, or is told. Whoever does
//! not wait is not woken: with many workers and one that writes, each sync would wake them all.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use modb_net::notify::Waker;

/// All who may wait.
#[derive(Default)]
pub(crate) struct Settled {
    listeners: Mutex<Vec<Arc<Listener>>>,
    /// For threads of embedding programs that wait for a commit.
    grown: Condvar,
    /// How many do: to tell nobody costs a system call, too.
    waiting: Mutex<usize>,
}

/// A worker that may wait for commits to become safe.
pub(crate) struct Listener {
    /// The server it belongs to.
    server: u64,
    waker: Waker,
    /// Set by the worker before it asks whether its commits are safe, taken by whoever makes them safe: a worker that
    /// waits for nothing is not woken.
    waits: AtomicBool,
}

impl Listener {
    /// Whatever becomes safe, or fails, after this call wakes the worker.
    pub(crate) fn listen(&self) {
        self.waits.store(true, Ordering::Relaxed);
        // Before the question, whose answer was changed before the other fence: either the new answer is seen here,
        // or the mark there.
        fence(Ordering::SeqCst);
    }
}

impl Settled {
    /// More commits are safe, or none will be any more: tells all who wait.
    pub(crate) fn announce(&self) {
        fence(Ordering::SeqCst);
        for listener in self.listeners.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if listener.waits.swap(false, Ordering::Relaxed) {
                // A worker that has ended needs no waking.
                let _ = listener.waker.wake();
            }
        }
        if *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) > 0 {
            self.grown.notify_all();
        }
    }

    /// A worker of the server with this number, woken by `waker` when it [listens](Listener::listen).
    pub(crate) fn add(&self, server: u64, waker: Waker) -> Arc<Listener> {
        let listener = Arc::new(Listener { server, waker, waits: AtomicBool::new(false) });
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&listener));
        listener
    }

    /// Forgets the workers of a server.
    pub(crate) fn remove(&self, server: u64) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| other.server != server);
    }

    /// Waits until something is announced, at most for `at_most`.
    pub(crate) fn wait(&self, at_most: Duration) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting += 1;
        waiting = self.grown.wait_timeout(waiting, at_most).unwrap_or_else(PoisonError::into_inner).0;
        *waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use modb_net::notify::Notifier;

    use super::*;

    /// Whether the notifier was woken since it was last asked.
    fn is_woken(notifier: &Notifier) -> bool {
        // It may sleep only if nobody woke it.
        let wait = notifier.begin_wait(true);
        let woken = !wait.may_block();
        wait.end(true).unwrap();
        if woken {
            // The look that follows a wake-up.
            drop(notifier.begin_wait(true));
        }
        woken
    }

    #[test]
    fn only_a_worker_that_waits_is_woken_and_only_once() {
        let settled = Settled::default();
        let (busy, idle) = (Notifier::new().unwrap(), Notifier::new().unwrap());
        let listener = settled.add(1, busy.waker());
        settled.add(1, idle.waker());
        listener.listen();
        settled.announce();
        assert!(is_woken(&busy) && !is_woken(&idle));
        settled.announce();
        assert!(!is_woken(&busy), "it was told, and has not waited since");
        listener.listen();
        settled.remove(1);
        settled.announce();
        assert!(!is_woken(&busy), "its server has ended");
    }
}
