//! When each request of an open loop is due. Pure: time is nanoseconds since the start.
//!
//! A closed loop sends when the last reply is in, so a server that stalls for a second delays one request per
//! connection and hides the thousands that users would have sent meanwhile ("coordinated omission", Tene).
//! Here requests are due at fixed times, whether or not the server keeps up, and latency counts from then.
//!
//! Invariant: due times never go back, and all workers together make exactly the rate asked for.

/// The due times of one worker's requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    requests_per_s: u64,
    worker: u64,
    workers: u64,
}

const NS_PER_S: u128 = 1_000_000_000;

impl Schedule {
    /// The share of `worker` (counted from 0) of `workers` that together send `requests_per_s`, not 0.
    pub(super) fn new(requests_per_s: u64, worker: u64, workers: u64) -> Self {
        Self { requests_per_s, worker, workers }
    }

    /// When this worker's request `index` is due.
    #[inline]
    pub(super) fn due_ns(&self, index: u64) -> u64 {
        let overall = u128::from(index) * u128::from(self.workers) + u128::from(self.worker);
        (overall * NS_PER_S / u128::from(self.requests_per_s)) as u64
    }

    /// How many of this worker's requests are due at `now_ns`: those with `due_ns(index) <= now_ns`.
    #[inline]
    pub(super) fn due(&self, now_ns: u64) -> u64 {
        // Overall request k is due if k * 1e9 / rate <= now in whole nanoseconds: k * 1e9 < (now + 1) * rate.
        let overall = ((u128::from(now_ns) + 1) * u128::from(self.requests_per_s)).div_ceil(NS_PER_S) as u64;
        overall.saturating_sub(self.worker).div_ceil(self.workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_thousand_per_second_are_one_per_millisecond() {
        let schedule = Schedule::new(1000, 0, 1);
        assert_eq!((schedule.due(0), schedule.due(999_999), schedule.due(1_000_000)), (1, 1, 2));
        assert_eq!(schedule.due_ns(5), 5_000_000);
    }

    #[test]
    fn workers_take_turns() {
        let due: Vec<_> = (0..2).map(|worker| Schedule::new(1000, worker, 2).due_ns(1)).collect();
        assert_eq!(due, [2_000_000, 3_000_000]);
    }

    proptest! {
        #[test]
        fn what_is_due_agrees_with_when_it_is_due(
            rate in 1u64..=10_000_000,
            workers in 1u64..8,
            now_ns in 0u64..=100_000_000_000,
        ) {
            let mut total = 0;
            for worker in 0..workers {
                let schedule = Schedule::new(rate, worker, workers);
                let due = schedule.due(now_ns);
                prop_assert!(due == 0 || schedule.due_ns(due - 1) <= now_ns);
                prop_assert!(schedule.due_ns(due) > now_ns);
                total += due;
            }
            prop_assert_eq!(total, Schedule::new(rate, 0, 1).due(now_ns));
        }
    }
}
