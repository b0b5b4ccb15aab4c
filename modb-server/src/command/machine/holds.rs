//! The keys that tests hold (`DEBUG HOLD`): how many there are, and what ends a hold before its time.
//!
//! A test holds a key for as long as it needs, and says when it needs it no longer; how fast its machine is then decides nothing.
//!
//! Invariants: a hold counts while its command has its stripes, until it is released or over; who releases ends all that count at that
//! moment, and says how many they were; none lasts once it was said that none shall. A shutdown begins before it releases, and whoever has
//! begun to hold looks whether one has begun: one of them sees the other, so none outlives it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// See the top of this file.
#[derive(Clone, Debug, Default)]
pub struct Holds(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Of this round.
    count: usize,
    /// Each release begins another.
    round: u64,
    /// None lasts any more.
    closed: bool,
}

/// One of them. Counts until it is dropped, or released.
#[derive(Debug)]
pub(crate) struct Hold {
    holds: Holds,
    round: u64,
}

impl Holds {
    /// One more, for whoever has the stripes.
    pub(crate) fn begin(&self) -> Hold {
        let mut state = self.lock();
        state.count += 1;
        Hold { holds: self.clone(), round: state.round }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().count
    }

    /// Ends them all; how many they were.
    pub fn release(&self) -> usize {
        let mut state = self.lock();
        state.round += 1;
        self.0.released.notify_all();
        std::mem::take(&mut state.count)
    }

    /// Ends them all, and none lasts any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.release();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Sleeps until it is released, but no longer than that.
    pub(crate) fn last(self, at_most: Duration) {
        let lasts = |state: &mut State| state.round == self.round && !state.closed;
        drop(self.holds.0.released.wait_timeout_while(self.holds.lock(), at_most, lasts));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.holds.lock();
        if state.round == self.round {
            state.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any test.
    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_release_ends_all_that_there_are_and_none_that_comes_later() {
        let holds = Holds::default();
        let (dropped, first, second) = (holds.begin(), holds.begin(), holds.begin());
        drop(dropped);
        assert_eq!((holds.count(), holds.release()), (2, 2));
        let later = holds.begin();
        first.last(LONG);
        second.last(LONG);
        assert_eq!(holds.count(), 1, "those that were released count no more");
        later.last(Duration::ZERO);
        assert_eq!((holds.count(), holds.release()), (0, 0));
    }

    #[test]
    fn who_sleeps_is_woken_by_the_release_and_by_the_end() {
        let holds = Holds::default();
        let ended_by = |end: &dyn Fn()| {
            let hold = holds.begin();
            std::thread::scope(|scope| {
                scope.spawn(|| hold.last(LONG));
                end();
            });
        };
        ended_by(&|| assert_eq!(holds.release(), 1));
        ended_by(&|| holds.close());
        holds.begin().last(LONG);
    }
}
