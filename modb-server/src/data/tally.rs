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
    /// Adds what a command has counted, which is over.
    #[inline]
    pub(in crate::data) fn add(&self, looks: Looks) {
        if looks.hits > 0 {
            self.hits.add(looks.hits);
        }
        if looks.misses > 0 {
            self.misses.add(looks.misses);
        }
    }
}

/// Keys that a command has looked up in order to read them: counted once it is over, since a run of it may have been in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::data) struct Looks {
    hits: u64,
    misses: u64,
}

impl Looks {
    /// One more.
    #[inline]
    pub(in crate::data) fn count(&mut self, found: bool) {
        if found {
            self.hits += 1;
        } else {
            self.misses += 1;
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
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
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
