//! How long requests take that are executed one after the other.
//!
//! Invariant: the time is read once per request: the end of one is taken as the start of the next.

use crate::sys::Ticks;

/// Runs from when a connection is served, or a transaction executed.
pub(crate) struct Stopwatch {
    at: Ticks,
    sum_ns: u64,
}

impl Stopwatch {
    /// So that the first who is measured does not wait.
    pub(crate) fn prepare() {
        Ticks::prepare();
    }

    pub(crate) fn start() -> Self {
        Self { at: Ticks::now(), sum_ns: 0 }
    }

    /// The time since the last one ended.
    #[inline(always)]
    pub(crate) fn lap_ns(&mut self) -> u64 {
        let now = Ticks::now();
        let ns = now.since_ns(std::mem::replace(&mut self.at, now));
        self.sum_ns += ns;
        ns
    }

    /// Stands still while something is waited for.
    pub(crate) fn pause(&mut self, wait: impl FnOnce()) {
        self.lap_ns();
        wait();
        self.at = Ticks::now();
    }

    /// All of them together.
    #[inline(always)]
    pub(crate) fn sum_ns(&self) -> u64 {
        self.sum_ns
    }
}
