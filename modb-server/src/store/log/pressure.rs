//! How near the memory for dirty records and the log are to their bounds, and how long writers wait for the flusher. The one
//! place that decides both.
//!
//! Up to [`SOFT`] of a bound nobody waits. Above it a turn that wrote owes the time that the flusher takes for what it
//! wrote, the nearer to the bound the more exactly, and nothing more is taken until it has passed; one clock for all turns, so that two
//! workers do not write twice as much, and one for [those who build something large](Payer): who serves is not charged for what they write,
//! nor waits until they have paid. Where both owe, each owes double. At the bound nothing more is taken until there is room again. What
//! one commit takes beyond the bound is its own size.
//!
//! It never lets a worker sleep: who serves others asks, and comes again. Threads that serve nobody sleep here.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::store::locking::lock;

/// The part of a bound from which on writers pay for what they write, and the flusher is not put behind others.
const SOFT: f64 = 0.6;
/// The most that one turn owes, or a disk that stood still once would stop the writers for long.
const MAX_OWED: Duration = Duration::from_millis(500);
/// How fast a flusher that has not flushed yet is taken to be, in bytes per second.
const FIRST_RATE: u64 = 100 << 20;
/// No slower, or a disk that stood still once would stop the writers for long.
const MIN_RATE: u64 = 4 << 20;

/// Who owes the time that the flusher takes for what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payer {
    /// Whoever serves others, all together.
    Turns,
    /// Whoever builds something large beside the data, in many batches, all together.
    Builders,
}

/// What fills up, and how fast the flusher empties it.
#[derive(Debug)]
struct Store {
    bound: u64,
    /// What builders have written, of its counter: they pay for that themselves.
    built: AtomicU64,
    /// Up to where of the rest of its counter turns have paid.
    paid: AtomicU64,
    /// Bytes per second.
    rate: AtomicU64,
}

impl Store {
    fn new(bound: u64) -> Self {
        Self {
            bound: bound.max(1),
            built: AtomicU64::new(0),
            paid: AtomicU64::new(0),
            rate: AtomicU64::new(FIRST_RATE),
        }
    }

    fn fullness(&self, filled: u64) -> f64 {
        filled as f64 / self.bound as f64
    }

    /// What turns are to pay of what was taken since the last call, as time of the flusher.
    fn owed(&self, filled: u64, taken: u64) -> Duration {
        let taken = taken.saturating_sub(self.built.load(Ordering::Acquire));
        let bytes = taken.saturating_sub(self.paid.fetch_max(taken, Ordering::AcqRel));
        self.owed_for(filled, bytes)
    }

    /// What is to be paid for so many bytes.
    fn owed_for(&self, filled: u64, bytes: u64) -> Duration {
        let over = (self.fullness(filled) - SOFT) / (1.0 - SOFT);
        if over <= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(bytes as f64 / self.rate.load(Ordering::Relaxed) as f64 * over.min(1.0))
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // of a positive rate
    fn note_flush(&self, bytes: u64, time: Duration) {
        let rate = bytes as f64 / time.as_secs_f64().max(1e-3);
        let before = self.rate.load(Ordering::Relaxed);
        self.rate.store(((before + rate as u64) / 2).max(MIN_RATE), Ordering::Relaxed);
    }
}

/// Sums of what fills the two stores: what is there, and what was ever added.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filled {
    pub(crate) dirty_bytes: u64,
    pub(crate) dirty_bytes_ever: u64,
    pub(crate) log_bytes: u64,
    pub(crate) log_bytes_ever: u64,
}

/// When one of the [payers](Payer) has paid.
#[derive(Debug, Default)]
struct Clock {
    paid_until: Mutex<Option<Instant>>,
    /// That may be in the future.
    is_owed: AtomicBool,
}

impl Clock {
    fn owe(&self, owed: Duration, now: Instant) {
        let mut paid_until = lock(&self.paid_until);
        *paid_until = Some(paid_until.filter(|until| *until > now).unwrap_or(now) + owed.min(MAX_OWED));
        self.is_owed.store(true, Ordering::Release);
    }

    #[inline]
    fn owed_until(&self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        if self.is_owed.load(Ordering::Acquire) { self.owed_after(now()) } else { None }
    }

    #[cold]
    fn owed_after(&self, now: Instant) -> Option<Instant> {
        let mut paid_until = lock(&self.paid_until);
        *paid_until = paid_until.filter(|until| *until > now);
        self.is_owed.store(paid_until.is_some(), Ordering::Release);
        *paid_until
    }
}

/// What a builder is about to write: until it is [told](Pressure::charge_builder) what that was, nothing of it is charged to turns.
pub(crate) struct Building<'p> {
    pressure: &'p Pressure,
    /// More than it can be.
    dirty_bytes: u64,
    log_bytes: u64,
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        self.pressure.dirty.built.fetch_sub(self.dirty_bytes, Ordering::AcqRel);
        self.pressure.log.built.fetch_sub(self.log_bytes, Ordering::AcqRel);
    }
}

/// See the top of this file.
pub(crate) struct Pressure {
    dirty: Store,
    log: Store,
    turns: Clock,
    builders: Clock,
    waiters: AtomicUsize,
    lock: Mutex<()>,
    room: Condvar,
}

impl Pressure {
    pub(crate) fn new(max_dirty_bytes: u64, max_log_bytes: u64) -> Self {
        Self {
            dirty: Store::new(max_dirty_bytes),
            log: Store::new(max_log_bytes),
            turns: Clock::default(),
            builders: Clock::default(),
            waiters: AtomicUsize::new(0),
            lock: Mutex::default(),
            room: Condvar::new(),
        }
    }

    fn fullness(&self, filled: Filled) -> f64 {
        self.dirty.fullness(filled.dirty_bytes).max(self.log.fullness(filled.log_bytes))
    }

    /// Whether writers wait, or soon will.
    pub(crate) fn is_high(&self, filled: Filled) -> bool {
        self.fullness(filled) >= SOFT
    }

    /// Whether nothing more may be taken.
    pub(crate) fn is_at_bound(&self, filled: Filled) -> bool {
        filled.dirty_bytes >= self.dirty.bound || filled.log_bytes >= self.log.bound
    }

    /// A turn has ended: what was written since the last one is to be paid.
    #[inline]
    pub(crate) fn charge(&self, filled: Filled, now: impl FnOnce() -> Instant) {
        let dirty = self.dirty.owed(filled.dirty_bytes, filled.dirty_bytes_ever);
        let owed = dirty.max(self.log.owed(filled.log_bytes, filled.log_bytes_ever));
        if !owed.is_zero() {
            self.owe(Payer::Turns, owed, now());
        }
    }

    /// A builder is about to put records of so many bytes, in all with their keys, and so many of them.
    pub(crate) fn begin_building(&self, bytes: u64, records: u64) -> Building<'_> {
        /// More than a record takes beside its bytes.
        const RECORD_BYTES: u64 = 1_024;
        let building =
            Building { pressure: self, dirty_bytes: 2 * bytes + records * RECORD_BYTES, log_bytes: bytes };
        self.dirty.built.fetch_add(building.dirty_bytes, Ordering::AcqRel);
        self.log.built.fetch_add(building.log_bytes, Ordering::AcqRel);
        building
    }

    /// The builder has written, between `before` and `filled`: what memory took meanwhile, of whomever, and what he gave the log.
    pub(crate) fn charge_builder(
        &self,
        mut building: Building<'_>,
        before: Filled,
        filled: Filled,
        now: impl FnOnce() -> Instant,
    ) {
        let bytes = filled.dirty_bytes_ever.saturating_sub(before.dirty_bytes_ever).min(building.dirty_bytes);
        let log_bytes = building.log_bytes;
        let dirty = self.dirty.owed_for(filled.dirty_bytes, bytes);
        let owed = dirty.max(self.log.owed_for(filled.log_bytes, log_bytes));
        // What is left in it was never written.
        (building.dirty_bytes, building.log_bytes) = (building.dirty_bytes - bytes, 0);
        drop(building);
        if !owed.is_zero() {
            self.owe(Payer::Builders, owed, now());
        }
    }

    #[cold]
    fn owe(&self, payer: Payer, owed: Duration, now: Instant) {
        let other = match payer {
            Payer::Turns => &self.builders,
            Payer::Builders => &self.turns,
        };
        let share = if other.owed_until(|| now).is_some() { 2 } else { 1 };
        self.clock(payer).owe(owed * share, now);
    }

    fn clock(&self, payer: Payer) -> &Clock {
        match payer {
            Payer::Turns => &self.turns,
            Payer::Builders => &self.builders,
        }
    }

    /// Until when what was written is paid, if not now.
    #[inline]
    pub(crate) fn owed_until(&self, payer: Payer) -> Option<Instant> {
        self.clock(payer).owed_until(Instant::now)
    }

    /// Waits for [`Pressure::note_flush`], at most so long. The caller looks again.
    pub(crate) fn wait(&self, at_most: Duration) {
        self.waiters.fetch_add(1, Ordering::AcqRel);
        let guard = lock(&self.lock);
        drop(self.room.wait_timeout(guard, at_most).unwrap_or_else(PoisonError::into_inner));
        self.waiters.fetch_sub(1, Ordering::AcqRel);
    }

    /// How many threads wait for room.
    pub(crate) fn waiters(&self) -> usize {
        self.waiters.load(Ordering::Relaxed)
    }

    /// A flush has ended that found `before` and took so long: it emptied both stores of that.
    pub(crate) fn note_flush(&self, before: Filled, time: Duration) {
        self.dirty.note_flush(before.dirty_bytes, time);
        self.log.note_flush(before.log_bytes, time);
        drop(lock(&self.lock));
        self.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn filled(dirty: u64, ever: u64) -> Filled {
        Filled { dirty_bytes: dirty, dirty_bytes_ever: ever, ..Filled::default() }
    }

    #[test]
    fn what_is_owed_follows_the_bytes_and_the_bound_stops_all() {
        let pressure = Pressure::new(100 * MIB, 1000 * MIB);
        let now = Instant::now();
        let owed = |dirty, ever| {
            pressure.charge(filled(dirty, ever), || now);
            pressure.turns.owed_after(now).map_or(0, |until| until.duration_since(now).as_millis())
        };
        assert_eq!(owed(50 * MIB, 50 * MIB), 0);
        assert!(!pressure.is_high(filled(50 * MIB, 0)) && pressure.is_high(filled(61 * MIB, 0)));
        // A mebibyte at a hundred per second, and almost at the bound.
        let one = owed(99 * MIB, 51 * MIB);
        assert!((8..=10).contains(&one), "{one} ms");
        // Another worker's is on top of it.
        let two = owed(99 * MIB, 52 * MIB);
        assert!((17..=20).contains(&two), "{two} ms");
        // Nothing is owed for nothing, and what is paid is owed no more.
        assert_eq!(owed(99 * MIB, 52 * MIB), two);
        assert_eq!(pressure.turns.owed_after(now + Duration::from_millis(20)), None);
        assert_eq!(pressure.owed_until(Payer::Turns), None);
        assert!(!pressure.is_at_bound(filled(99 * MIB, 0)) && pressure.is_at_bound(filled(100 * MIB, 0)));
        let log = Filled { log_bytes: 1000 * MIB, ..Filled::default() };
        assert!(pressure.is_at_bound(log), "the log's bound is one too");
    }

    #[test]
    fn turns_are_not_charged_for_what_is_built_beside_them_whenever_they_end() {
        let (pressure, now) = (Pressure::new(100 * MIB, 1000 * MIB), Instant::now());
        let owed = |payer| {
            pressure.clock(payer).owed_after(now).map_or(0, |until| until.duration_since(now).as_millis())
        };
        let before = filled(99 * MIB, 50 * MIB);
        pressure.charge(filled(50 * MIB, 50 * MIB), || now);
        let building = pressure.begin_building(MIB, 10);
        // Turns end when half of it is there, and when all is.
        pressure.charge(filled(99 * MIB, 50 * MIB + MIB / 2), || now);
        pressure.charge(filled(99 * MIB, 51 * MIB), || now);
        assert_eq!((owed(Payer::Turns), owed(Payer::Builders)), (0, 0));
        pressure.charge_builder(building, before, filled(99 * MIB, 51 * MIB), || now);
        pressure.charge(filled(99 * MIB, 51 * MIB), || now);
        let own = owed(Payer::Builders);
        assert!(owed(Payer::Turns) == 0 && (8..=10).contains(&own), "{own} ms");
        // What a turn writes is charged to turns, and that both together are no faster than the flusher they owe double.
        pressure.charge(filled(99 * MIB, 52 * MIB), || now);
        let turns = owed(Payer::Turns);
        assert!(owed(Payer::Builders) == own && (17..=20).contains(&turns), "{turns} ms");
        // What was not written after all is forgotten.
        drop(pressure.begin_building(100 * MIB, 10));
        pressure.charge(filled(99 * MIB, 53 * MIB), || now);
        assert!(owed(Payer::Turns) > turns);
    }

    #[test]
    fn a_turn_owes_no_more_than_a_moment_whatever_it_wrote() {
        let (pressure, now) = (Pressure::new(100 * MIB, 1000 * MIB), Instant::now());
        pressure.charge(filled(99 * MIB, 900 * MIB), || now);
        assert_eq!(pressure.turns.owed_after(now), Some(now + MAX_OWED));
    }

    #[test]
    fn more_is_owed_to_a_slow_flusher() {
        let pressure = Pressure::new(100 * MIB, 1000 * MIB);
        for _ in 0..8 {
            pressure.note_flush(filled(10 * MIB, 0), Duration::from_secs(1));
        }
        let now = Instant::now();
        pressure.charge(filled(99 * MIB, MIB / 8), || now);
        let owed = pressure.turns.owed_after(now).unwrap().duration_since(now);
        assert!((10..=13).contains(&owed.as_millis()), "{owed:?}");
    }
}
