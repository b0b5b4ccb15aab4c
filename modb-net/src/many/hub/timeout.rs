//! A timeout that can be changed while others read it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// No timeout, where its milliseconds are kept.
const NEVER: u64 = u64::MAX;

/// A timeout in whole milliseconds, or none.
pub(super) struct Timeout(AtomicU64);

impl Timeout {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self(AtomicU64::new(millis(timeout)))
    }

    pub(super) fn set(&self, timeout: Option<Duration>) {
        self.0.store(millis(timeout), Relaxed);
    }

    pub(super) fn get(&self) -> Option<Duration> {
        match self.0.load(Relaxed) {
            NEVER => None,
            ms => Some(Duration::from_millis(ms)),
        }
    }
}

fn millis(timeout: Option<Duration>) -> u64 {
    timeout.map_or(NEVER, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(NEVER).min(NEVER - 1))
}
