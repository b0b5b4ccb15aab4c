//! Counts for `INFO`: kept per worker, summed when asked.

use std::sync::atomic::{AtomicU64, Ordering};

/// Totals since the start; on cache lines of its own, so that workers do not slow each other.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    /// Reads that found a key.
    pub hits: Total,
    /// Reads that found none.
    pub misses: Total,
    /// Keys removed because their time had come.
    pub expired: Total,
    /// Commands executed.
    pub commands: Total,
    /// Those of them that were executed together with the one before.
    pub followed: Total,
    /// Error replies.
    pub errors: Total,
    /// Pages of collections read.
    pub pages: Total,
    /// Connections that wait until the store has room.
    pub crowded: Now,
}

impl Tally {
    /// A key was looked up in order to be read.
    pub fn looked_up(&self, found: bool) {
        if found {
            self.hits.bump();
        } else {
            self.misses.bump();
        }
    }
}

/// A number as it is now.
#[derive(Debug, Default)]
pub struct Now(AtomicU64);

impl Now {
    /// It has changed.
    pub fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// As it was last set.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Total(AtomicU64);

impl Total {
    /// One more.
    pub fn bump(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The total so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Back to 0 (`CONFIG RESETSTAT`).
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
