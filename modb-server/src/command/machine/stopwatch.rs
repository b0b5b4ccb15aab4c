//! How long requests take that are executed one after the other.
//!
//! Invariant: the clock is read once per request: the end of one is taken as the start of the next.

use std::time::Instant;

/// Runs from when a connection is served, or a transaction executed.
pub(crate) struct Stopwatch {
    at: Instant,
    sum_ns: u64,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { at: Instant::now(), sum_ns: 0 }
    }

    /// The time since the last one ended.
    #[inline(always)]
    pub(crate) fn lap_ns(&mut self) -> u64 {
        let now = Instant::now();
        let ns = now.duration_since(std::mem::replace(&mut self.at, now)).as_nanos() as u64;
        self.sum_ns += ns;
        ns
    }

    /// All of them together.
    #[inline(always)]
    pub(crate) fn sum_ns(&self) -> u64 {
        self.sum_ns
    }
}
