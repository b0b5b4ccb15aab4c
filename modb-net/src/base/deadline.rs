//! A coarse timer wheel for one timeout that nearly never happens. Pure: time is an argument.
//!
//! One entry per connection slot, re-examined when it falls due: activity costs nothing but a time stamp
//! in the connection, and the owner watches the slot again if the stamp says so (the lazy variant of
//! Varghese and Lauck's hashed wheel, SOSP 1987).
//! Invariants: a slot is in the wheel at most once, so the wheel is bounded by the slots there ever were; no slot is looked
//! at later than it should be, since all wait equally long, so what is in the wheel already (an earlier owner's, say) falls
//! due first. That is why a wheel has one timeout and nobody else names a time.

use std::time::{Duration, Instant};

use crate::base::limits::{FAR, after};

/// Buckets of the wheel: one bit each in a `u64`, so that the next one in use is found at once.
const BUCKETS: u64 = 64;

/// A timeout is noticed at most this part of itself late.
const PARTS: u32 = 16;

/// Slots by the time at which they are to be looked at.
#[derive(Debug)]
pub(crate) struct Wheel {
    start: Instant,
    timeout: Duration,
    tick_ns: u64,
    /// Buckets before this tick are empty.
    current: u64,
    buckets: Vec<Vec<u32>>,
    /// Bit `i`: bucket `i` is not empty.
    occupied: u64,
    /// Whether a slot is in some bucket.
    queued: Vec<bool>,
}

impl Wheel {
    /// A wheel that fires at most a sixteenth of `timeout` (at least 1 ms) late.
    pub(crate) fn new(start: Instant, timeout: Duration) -> Self {
        let tick_ns = u64::try_from((timeout.min(FAR) / PARTS).as_nanos()).unwrap_or(u64::MAX).max(1_000_000);
        Self {
            start,
            timeout,
            tick_ns,
            current: 0,
            buckets: (0..BUCKETS).map(|_| Vec::new()).collect(),
            occupied: 0,
            queued: Vec::new(),
        }
    }

    /// How long each slot waits.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether a slot to which something last happened at `since` has waited long enough.
    pub(crate) fn is_over(&self, since: Instant, now: Instant) -> bool {
        after(since, self.timeout) <= now
    }

    /// Looks at `slot` once the timeout has passed after `since`, which is not in the future. Does nothing if it is watched
    /// already: then it falls due no later.
    pub(crate) fn watch(&mut self, slot: u32, since: Instant) {
        let index = slot as usize;
        if index >= self.queued.len() {
            self.queued.resize(index + 1, false);
        }
        if std::mem::replace(&mut self.queued[index], true) {
            return;
        }
        if self.occupied == 0 {
            // Nobody may have looked for a long time.
            self.current = self.current.max(self.ticks(since));
        }
        // Rounded up: never early within the horizon.
        let due = self.ticks(after(since, self.timeout)) + 1;
        let due = due.clamp(self.current, self.current + BUCKETS - 1);
        self.buckets[(due % BUCKETS) as usize].push(slot);
        self.occupied |= 1 << (due % BUCKETS);
    }

    /// Moves the slots that have fallen due to `due`.
    pub(crate) fn expire(&mut self, now: Instant, due: &mut Vec<u32>) {
        let now = self.ticks(now);
        while self.current <= now {
            if self.occupied == 0 {
                self.current = now + 1;
                return;
            }
            let bucket = (self.current % BUCKETS) as usize;
            for slot in self.buckets[bucket].drain(..) {
                self.queued[slot as usize] = false;
                due.push(slot);
            }
            self.occupied &= !(1 << bucket);
            self.current += 1;
        }
    }

    /// When [`Wheel::expire`] has something to do next.
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.occupied == 0 {
            return None;
        }
        let ahead = self.occupied.rotate_right((self.current % BUCKETS) as u32).trailing_zeros();
        let ticks = self.current + u64::from(ahead);
        Some(after(self.start, Duration::from_nanos(ticks.saturating_mul(self.tick_ns))))
    }

    fn ticks(&self, at: Instant) -> u64 {
        let elapsed = at.saturating_duration_since(self.start);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX / 2) / self.tick_ns
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(160);
    const TICK: Duration = Duration::from_millis(10);

    fn expired(wheel: &mut Wheel, now: Instant) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.expire(now, &mut due);
        due
    }

    #[test]
    fn a_slot_falls_due_within_a_tick_after_its_time_and_never_before() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start, TIMEOUT);
        assert_eq!(wheel.next(), None);
        let since = start + Duration::from_millis(35);
        wheel.watch(5, since);
        assert_eq!(expired(&mut wheel, since + TIMEOUT), []);
        let next = wheel.next().expect("watched");
        assert!(next >= since + TIMEOUT && next <= since + TIMEOUT + TICK);
        assert_eq!(expired(&mut wheel, next), [5]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn a_long_pause_skips_empty_ticks_and_loses_nothing() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start, TIMEOUT);
        let later = start + Duration::from_secs(86_400);
        assert_eq!(expired(&mut wheel, later), []);
        for slot in 0..200 {
            wheel.watch(slot, later + TICK * slot / 20);
        }
        let mut all = expired(&mut wheel, later + TIMEOUT * 3);
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn any_timeout_turns_the_wheel_at_most_once_in_a_millisecond() {
        let start = Instant::now();
        for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(500)] {
            let mut wheel = Wheel::new(start, timeout);
            wheel.watch(0, start);
            let next = wheel.next().expect("watched");
            assert!(next >= start + Duration::from_millis(1), "{timeout:?}");
            assert_eq!(wheel.is_over(start, start), timeout.is_zero());
            assert_eq!(expired(&mut wheel, next), [0], "{timeout:?}");
        }
        let mut wheel = Wheel::new(start, Duration::MAX);
        wheel.watch(0, start);
        let years = Duration::from_secs(50 * 365 * 24 * 3600);
        assert!(wheel.next() > Some(start + years) && expired(&mut wheel, start + years).is_empty());
    }

    proptest! {
        /// Slots get new owners and owners do something, at any time: nobody is looked at too late.
        #[test]
        fn no_owner_of_a_slot_waits_longer_than_its_timeout_and_a_tick(
            steps in proptest::collection::vec((0..4u32, any::<bool>(), 1..120u64), 1..200),
        ) {
            let mut now = Instant::now();
            let mut wheel = Wheel::new(now, TIMEOUT);
            let mut owners = [None; 4];
            for (slot, comes, pause_ms) in steps {
                let owner = &mut owners[slot as usize];
                match owner {
                    None => { *owner = Some(now); wheel.watch(slot, now); }
                    Some(since) if comes => *since = now,
                    Some(_) => *owner = None,
                }
                now += Duration::from_millis(pause_ms);
                // As a worker does: it waits until something falls due.
                while let Some(at) = wheel.next().filter(|&at| at <= now) {
                    for slot in expired(&mut wheel, at) {
                        let owner = &mut owners[slot as usize];
                        match *owner {
                            Some(since) if wheel.is_over(since, at) => {
                                prop_assert!(at <= since + TIMEOUT + TICK, "{:?} late", at - since);
                                *owner = None;
                            }
                            Some(since) => wheel.watch(slot, since),
                            None => {}
                        }
                    }
                }
                for since in owners.iter().flatten() {
                    prop_assert!(now <= *since + TIMEOUT + TICK, "{:?}", now - *since);
                }
            }
        }
    }
}
