//! How long syncs take, for who would rather sync itself than wake a thread that does.
//!
//! Whoever serves others may do that only where it holds them no longer than a turn of requests does. So one slow sync counts at
//! once, and is forgotten only over many quick ones; and before the first all are slow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A sync that takes no longer is quick: as long as a worker serves one connection before it turns to the next.
const QUICK: Duration = Duration::from_millis(1);
/// Each sync takes one part in so many of what is remembered away, and adds its own.
const FADES: u64 = 8;
/// What is remembered before the first.
const UNKNOWN: Duration = Duration::from_millis(10);

/// The time of the last syncs, weighed.
#[derive(Debug)]
pub(super) struct SyncTime {
    ns: AtomicU64,
}

impl SyncTime {
    pub(super) fn new() -> Self {
        Self { ns: AtomicU64::new(nanos(UNKNOWN)) }
    }

    /// A sync took so long. One caller at a time; who reads meanwhile sees this one or the last.
    pub(super) fn note(&self, took: Duration) {
        let (before, took) = (self.ns.load(Ordering::Relaxed), nanos(took));
        self.ns.store(took.max(before - before / FADES + took / FADES), Ordering::Relaxed);
    }

    pub(super) fn is_quick(&self) -> bool {
        self.ns.load(Ordering::Relaxed) <= nanos(QUICK)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many syncs of a tenth of a millisecond they count as quick.
    fn until_quick(time: &SyncTime) -> usize {
        let noted = (1..100).find(|_| {
            time.note(QUICK / 10);
            time.is_quick()
        });
        noted.expect("they are quick for good")
    }

    #[test]
    fn syncs_are_slow_until_many_were_quick() {
        let time = SyncTime::new();
        assert!(!time.is_quick());
        assert!((10..30).contains(&until_quick(&time)));
    }

    #[test]
    fn one_slow_sync_counts_at_once_and_for_long() {
        let time = SyncTime::new();
        until_quick(&time);
        time.note(QUICK * 10);
        assert!(!time.is_quick());
        assert!((10..30).contains(&until_quick(&time)));
    }

    #[test]
    fn any_time_can_be_noted() {
        let time = SyncTime::new();
        time.note(Duration::MAX);
        time.note(Duration::MAX);
        time.note(Duration::ZERO);
        assert!(!time.is_quick());
    }
}
