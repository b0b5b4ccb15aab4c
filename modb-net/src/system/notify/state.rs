//! The state that lets wake-ups coalesce: awake or asleep, and how often notified since. Pure; nothing here blocks.
//!
//! One sleeper, any number of callers of [`State::notify`]. The invariant: **what was published before a
//! `notify` is seen by the sleeper's next drain, or the sleeper does not stay asleep.** Why it holds:
//! every change is a read-modify-write on one atomic, so all changes have one order. Either a notify
//! comes before the attempt to sleep, which then fails; or after it, and the first such notify finds
//! `ASLEEP` and writes. The sleeper's last change, [`State::wake`], acquires what the notifies before it
//! released, and comes before the drain.
//!
//! Each piece is needed: take away one and a wake-up is lost. `model.rs` shows it for seven ways to do so.

use std::sync::atomic::{AtomicU64, Ordering};

/// The loop runs and will drain the queue before it sleeps: a notify need only be noted.
pub(super) const AWAKE: u64 = 0;
/// The loop is in its wait, or about to enter it: the first notify writes a byte.
pub(super) const ASLEEP: u64 = 1;
/// What each notify adds, so that the loop can tell a single one from a burst. At a notify per nanosecond the sum overflows in
/// three hundred years.
pub(super) const NOTIFIED: u64 = 2;

/// The atomic operations that the protocol is made of, so that a model checker's can take their place.
pub(crate) trait Cell {
    fn new(value: u64) -> Self;
    fn fetch_add(&self, value: u64, order: Ordering) -> u64;
    fn swap(&self, value: u64, order: Ordering) -> u64;
    fn compare_exchange(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64>;
}

impl Cell for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }
    fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.fetch_add(value, order)
    }
    fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.swap(value, order)
    }
    fn compare_exchange(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        self.compare_exchange(old, new, success, failure)
    }
}

/// See the top of this file. Alone in its cache line (in a pair of them, which processors fetch together): it changes
/// hands with every look of the loop, and what stands beside it, which each waker reads, would go with it.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct State<C: Cell = AtomicU64>(C);

impl<C: Cell> State<C> {
    /// Awake.
    pub(crate) fn new() -> Self {
        Self(C::new(AWAKE))
    }

    /// Called by a producer after it has published. `true`: the sleeper must be woken, and this caller is
    /// the one to do it.
    pub(crate) fn notify(&self) -> bool {
        // Always a read-modify-write, even if there was a notify already: skipping it would leave this caller's item
        // outside of what the sleeper acquires.
        self.0.fetch_add(NOTIFIED, Ordering::Release) == ASLEEP
    }

    /// Called by the sleeper when its queue is empty. `true`: it may block; whoever notifies from now on
    /// will wake it. `false`: something has come meanwhile; do not block, and drain the queue before the next attempt.
    pub(crate) fn try_sleep(&self) -> bool {
        let asleep = self.0.compare_exchange(AWAKE, ASLEEP, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !asleep {
            // Taken note of, so that what comes during the wait can be told from what came before.
            self.wake();
        }
        asleep
    }

    /// Called by the sleeper after its wait and after emptying the socket, before draining its queue. How many
    /// notifies have come since it last woke or tried to sleep in vain.
    pub(crate) fn wake(&self) -> u64 {
        // A swap and not a store: a store would cut the chain of read-modify-writes, and with it the
        // acquiring of what was released before.
        self.0.swap(AWAKE, Ordering::Acquire) / NOTIFIED
    }

    /// What must not be done when a write has failed; the model shows why.
    #[cfg(test)]
    pub(super) fn put_back_asleep(&self) {
        self.0.swap(ASLEEP, Ordering::SeqCst);
    }
}
