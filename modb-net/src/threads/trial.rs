//! Whether something that costs processor time lets more be served, found by trying it.
//!
//! Time is cut into periods, in each of which all workers together serve so much. In one of several the other is done than what has
//! proven better, and how fast that went is held beside the periods just before and after it: so what the load itself does falls out. Only
//! a gain that is more than their noise switches it on. As long as attempts say the same they come ever more rarely; they come often again
//! when one says otherwise, or the load is another.
//!
//! It is tried for all workers at once, since one that serves more may do so at the others' expense; and for tens of milliseconds, since
//! where the scheduler puts threads takes so long to follow.
//!
//! It must never make a worker wait: who finds another one counting goes on.
//!
//! Invariant: what gains nothing is done in one of [`LEAST_APART`] periods at most, of a load that stays in one of [`MOST_APART`], and so is
//! what gains something left undone.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Instant;

/// Served in one period.
const PERIOD: u64 = 2048;
/// Periods from one attempt to the next: the one before it, the attempt, the one after it, and those in which nothing is held beside another.
const LEAST_APART: u32 = 4;
const MOST_APART: u32 = 32;
/// These three.
const HELD_BESIDE: u32 = 3;
/// So much more must be served. A period differs from its neighbours by some hundredths, the average by half of that.
const WORTH: f64 = 1.05;
/// The weight of a new ratio in the average.
const WEIGHT: f64 = 0.5;
/// Of two periods in which the same was done one serves at most so much more.
const STEADY: f64 = 1.25;
/// Of so much more or less, it is another load.
const OTHER: f64 = 1.5;
/// One attempt is not believed more.
const MOST: f64 = 2.0;

/// See the top of this file.
#[derive(Debug)]
pub(crate) struct Trial {
    is_on: AtomicBool,
    periods: Mutex<Periods>,
}

#[derive(Debug)]
struct Periods {
    began: Instant,
    /// What had been served in all when this one began.
    served: u64,
    stage: Stage,
    /// From one attempt to the next.
    apart: u32,
    /// What is served with it, of what is served without: an average.
    gain: f64,
}

/// What is done in a period, with what was served per second in those that it will be held beside.
#[derive(Debug)]
enum Stage {
    Before,
    Attempt {
        before: f64,
    },
    After {
        before: f64,
        attempt: f64,
    },
    /// So many more, this one included, until it is tried again; what was served after the last attempt.
    Between {
        left: u32,
        usual: f64,
    },
}

impl Trial {
    /// One for all workers; none where they leave a core to whoever sends.
    pub(super) fn where_cores_are_shared(workers: usize, cores: usize, now: Instant) -> Option<Arc<Self>> {
        (workers >= cores).then(|| Arc::new(Self::new(now)))
    }

    fn new(now: Instant) -> Self {
        let periods = Periods { began: now, served: 0, stage: Stage::Before, apart: LEAST_APART, gain: 1.0 };
        Self { is_on: AtomicBool::new(false), periods: Mutex::new(periods) }
    }

    /// Whether it is to be done now.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Looks at the clock again: all workers have served so much by now.
    pub(super) fn told(&self, served: impl FnOnce() -> u64, now: Instant) {
        let mut periods = match self.periods.try_lock() {
            Ok(periods) => periods,
            // Each of its states is a good one.
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(TryLockError::WouldBlock) => return,
        };
        periods.told(served(), now);
        self.is_on.store(periods.is_on(), Relaxed);
    }
}

impl Periods {
    fn told(&mut self, served: u64, now: Instant) {
        let of_period = served.saturating_sub(self.served);
        // A worker that worked long has looked at the clock before the one that counted last: it can say nothing of how fast that went.
        let passed = now.saturating_duration_since(self.began);
        if of_period >= PERIOD && !passed.is_zero() {
            self.end(of_period as f64 / passed.as_secs_f64());
            (self.began, self.served) = (now, served);
        }
    }

    fn end(&mut self, per_second: f64) {
        self.stage = match self.stage {
            Stage::Before => Stage::Attempt { before: per_second },
            Stage::Attempt { before } => Stage::After { before, attempt: per_second },
            Stage::After { before, attempt } => {
                self.judge(before, attempt, per_second);
                Stage::Between { left: self.apart - HELD_BESIDE, usual: per_second }
            }
            Stage::Between { usual, .. } if differ(usual, per_second, OTHER) => {
                self.apart = LEAST_APART;
                Stage::Attempt { before: per_second }
            }
            Stage::Between { left: 1, .. } => Stage::Before,
            Stage::Between { left, usual } => Stage::Between { left: left - 1, usual },
        };
    }

    fn judge(&mut self, before: f64, attempt: f64, after: f64) {
        let had_gained = self.has_gained();
        // Otherwise the load itself has changed, and nothing can be said.
        let said = !differ(before, after, STEADY);
        if said {
            let otherwise = (before + after) / 2.0;
            let gain = if had_gained { otherwise / attempt } else { attempt / otherwise };
            self.gain += WEIGHT * (gain.clamp(1.0 / MOST, MOST) - self.gain);
        }
        let same = said && had_gained == self.has_gained();
        self.apart = if same { (2 * self.apart).min(MOST_APART) } else { LEAST_APART };
    }

    fn has_gained(&self) -> bool {
        self.gain > WORTH
    }

    fn is_on(&self) -> bool {
        self.has_gained() != matches!(self.stage, Stage::Attempt { .. })
    }
}

/// Whether one is more than so many times the other.
fn differ(one: f64, other: f64, times: f64) -> bool {
    one.max(other) > times * one.min(other)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Serves for so many periods, so fast as `per_second` says of what is done and of the period's number; in how many it was on.
    fn periods_on(
        trial: &Trial,
        now: &mut Instant,
        count: u32,
        mut per_second: impl FnMut(bool, u32) -> f64,
    ) -> u32 {
        let mut served = trial.periods.lock().expect("not poisoned").served;
        let mut on = 0;
        for period in 0..count {
            on += u32::from(trial.is_on());
            served += PERIOD;
            *now += Duration::from_secs_f64(PERIOD as f64 / per_second(trial.is_on(), period));
            trial.told(|| served, *now);
        }
        on
    }

    /// From 0.94 to 1.06, the same in each run.
    fn noise(state: &mut u64) -> f64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        0.94 + 0.12 * (*state >> 40) as f64 / f64::from(1 << 24)
    }

    fn new() -> (Trial, Instant, u64) {
        let now = Instant::now();
        (Trial::new(now), now, 7)
    }

    #[test]
    fn what_lets_more_be_served_is_done_from_the_first_attempt_on() {
        let (trial, mut now, mut state) = new();
        let on = periods_on(&trial, &mut now, 320, |on, _| {
            noise(&mut state) * if on { 125_000.0 } else { 100_000.0 }
        });
        assert!((300..=316).contains(&on), "in {on} of 320");
    }

    #[test]
    fn what_brings_nothing_is_only_tried() {
        for with in [100_000.0, 90_000.0] {
            let (trial, mut now, mut state) = new();
            let on = periods_on(&trial, &mut now, 3_200, |on, _| {
                noise(&mut state) * if on { with } else { 100_000.0 }
            });
            assert!((100..=200).contains(&on), "in {on} of 3,200, with it {with} a second");
        }
    }

    #[test]
    fn a_load_that_changes_is_not_taken_for_what_it_brings() {
        // Falls by nine tenths and rises again, in steps and at once; no part of it is as long as a cycle or divides it.
        let (trial, mut now, _) = new();
        let on = periods_on(&trial, &mut now, 3_200, |_, period| {
            100_000.0 / f64::from(1 + period % 11) * if period % 37 < 18 { 1.0 } else { 3.0 }
        });
        assert!(on < 1_200, "in {on} of 3,200");
        let (trial, mut now, _) = new();
        let on = periods_on(&trial, &mut now, 3_200, |_, period| 1_000.0 + f64::from(period));
        assert!(on < 110, "in {on} of 3,200 of a load that rises");
    }

    #[test]
    fn what_brings_nothing_any_more_is_left() {
        let (trial, mut now, _) = new();
        periods_on(&trial, &mut now, 320, |on, _| if on { 130_000.0 } else { 100_000.0 });
        assert!(trial.periods.lock().expect("not poisoned").has_gained());
        // At this rate three seconds.
        periods_on(&trial, &mut now, 160, |_, _| 100_000.0);
        assert!(!trial.periods.lock().expect("not poisoned").has_gained());
    }

    #[test]
    fn another_load_is_tried_again_at_once() {
        let (trial, mut now, _) = new();
        periods_on(&trial, &mut now, 320, |_, _| 100_000.0);
        let on = periods_on(&trial, &mut now, 20, |on, _| if on { 250_000.0 } else { 200_000.0 });
        assert!(on >= 15, "in {on} of 20");
    }

    #[test]
    fn who_has_looked_at_the_clock_before_the_last_one_ends_no_period() {
        let (trial, began, _) = new();
        let at = |ms| began + Duration::from_millis(ms);
        let place = || match trial.periods.lock().expect("not poisoned").stage {
            Stage::Before => 0,
            Stage::Attempt { .. } => 1,
            Stage::After { .. } => 2,
            Stage::Between { .. } => 3,
        };
        for (served, ms, ended) in [(1, 40, 1), (2, 10, 1), (3, 40, 1), (4, 90, 2)] {
            trial.told(|| served * PERIOD, at(ms));
            assert_eq!(place(), ended, "after {ms} ms");
        }
        let periods = trial.periods.lock().expect("not poisoned");
        let Stage::After { attempt, .. } = periods.stage else { panic!("{periods:?}") };
        assert!((attempt - 3.0 * PERIOD as f64 / 0.05).abs() < 1.0, "{periods:?}");
    }

    #[test]
    fn where_a_core_is_left_for_those_who_send_nothing_is_tried() {
        assert!(Trial::where_cores_are_shared(1, 2, Instant::now()).is_none());
        assert!(Trial::where_cores_are_shared(2, 2, Instant::now()).is_some());
        assert!(Trial::where_cores_are_shared(3, 2, Instant::now()).is_some());
    }

    #[test]
    fn who_finds_another_one_counting_goes_on() {
        let (trial, now, _) = new();
        let _counting = trial.periods.lock().expect("not poisoned");
        trial.told(|| unreachable!(), now);
    }
}
