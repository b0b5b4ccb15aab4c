//! A coarse timer wheel for timeouts that nearly never happen. Pure: time is an argument.
//!
//! One entry per connection slot, re-examined when it falls due: activity costs nothing but a time stamp
//! in the connection, and the owner schedules the slot again if the stamp says so (the lazy variant of
//! Varghese and Lauck's hashed wheel, SOSP 1987).
//! Invariant: a slot is in the wheel at most once, so the wheel is bounded by the slots there ever were.

use std::time::{Duration, Instant};

use crate::base::limits::after;

/// Buckets of the wheel: one bit each in a `u64`, so that the next one in use is found at once.
const BUCKETS: u64 = 64;

/// Slots by the time at which they are to be looked at.
#[derive(Debug)]
pub(crate) struct Wheel {
    start: Instant,
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
    /// A wheel that fires at most one `tick` (at least 1 ms) late.
    pub(crate) fn new(start: Instant, tick: Duration) -> Self {
        let tick_ns = u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX).max(1_000_000);
        Self {
            start,
            tick_ns,
            current: 0,
            buckets: (0..BUCKETS).map(|_| Vec::new()).collect(),
            occupied: 0,
            queued: Vec::new(),
        }
    }

    /// Looks at `slot` at `at`. Does nothing if it is scheduled already, for whatever time. Beyond the
    /// horizon of 63 ticks it falls due early, and is to be scheduled again.
    pub(crate) fn schedule(&mut self, slot: u32, at: Instant) {
        let index = slot as usize;
        if index >= self.queued.len() {
            self.queued.resize(index + 1, false);
        }
        if std::mem::replace(&mut self.queued[index], true) {
            return;
        }
        // Rounded up: never early within the horizon.
        let due = self.ticks(at) + 1;
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
    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    fn expired(wheel: &mut Wheel, now: Instant) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.expire(now, &mut due);
        due
    }

    #[test]
    fn a_slot_falls_due_within_a_tick_after_its_time_and_never_before() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start, TICK);
        assert_eq!(wheel.next(), None);
        wheel.schedule(5, start + Duration::from_millis(35));
        assert_eq!(expired(&mut wheel, start + Duration::from_millis(35)), []);
        let next = wheel.next().expect("scheduled");
        assert!(next >= start + Duration::from_millis(35) && next <= start + Duration::from_millis(45));
        assert_eq!(expired(&mut wheel, next), [5]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn a_slot_is_queued_once_and_beyond_the_horizon_it_comes_early() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start, TICK);
        wheel.schedule(1, start + Duration::from_secs(3600));
        wheel.schedule(1, start);
        assert_eq!(expired(&mut wheel, start + TICK * 62), []);
        assert_eq!(expired(&mut wheel, start + TICK * 63), [1]);
    }

    #[test]
    fn a_long_pause_skips_empty_ticks_and_loses_nothing() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start, TICK);
        assert_eq!(expired(&mut wheel, start + Duration::from_secs(86_400)), []);
        for slot in 0..200 {
            wheel.schedule(slot, start + Duration::from_secs(86_400) + TICK * slot);
        }
        let mut all = expired(&mut wheel, start + Duration::from_secs(90_000));
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>());
    }
}
