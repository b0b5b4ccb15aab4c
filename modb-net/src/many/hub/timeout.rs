//! A timeout that can be changed while others read it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// No timeout, where its nanoseconds are kept.
const NEVER: u64 = u64::MAX;

/// Any timeout, or none. What is longer than half a millennium is as long as that.
pub(super) struct Timeout(AtomicU64);

impl Timeout {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self(AtomicU64::new(nanos(timeout)))
    }

    pub(super) fn set(&self, timeout: Option<Duration>) {
        self.0.store(nanos(timeout), Relaxed);
    }

    pub(super) fn get(&self) -> Option<Duration> {
        match self.0.load(Relaxed) {
            NEVER => None,
            ns => Some(Duration::from_nanos(ns)),
        }
    }
}

fn nanos(timeout: Option<Duration>) -> u64 {
    timeout.map_or(NEVER, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(NEVER).min(NEVER - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_duration_arrives_as_it_was_said() {
        let short = [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(999)].map(Some);
        for said in short.into_iter().chain([None]) {
            assert_eq!(Timeout::new(said).get(), said);
        }
        let long = Timeout::new(Some(Duration::MAX)).get();
        assert!(long > Some(Duration::from_secs(500 * 365 * 24 * 3600)), "{long:?}");
    }
}
