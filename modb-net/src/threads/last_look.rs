//! Whether a worker that finds nothing to do lets others have its core and looks once more, before it sleeps. Pure.
//!
//! A worker asleep is woken by the next request, and on a core that it shares it is then put before whoever sent that: so client and
//! worker take turns request by request, and each turn is two changes of threads, or a halt of the core. A worker that has only let others
//! go first is awake: whoever sends wakes nobody, sends all that it has, and the worker finds it together.
//!
//! Where there are more cores than workers whoever sends has one of his own: there it would only be a system call more. Where there are not
//! it depends on who sends: one thread that sends for all connections is served no faster, and the worker sleeps less often, but serves less
//! with each wait. So all of this is only done while a [`trial`](crate::threads::trial) says that it is worth it.
//!
//! It must never make a worker wait for who works long: that lasts a slice of the scheduler, some milliseconds, and who is awake is put
//! before nobody. Nor may it cost much where it brings nothing. So each look that took long, or found nothing, makes the next come later.
//!
//! Invariant: of the waits of a worker each has one look at most, and a look in vain is followed by a sleep.

use std::time::Duration;

/// A client sends what fifty connections have in less, and a process that works keeps the core for longer.
const LONG: Duration = Duration::from_millis(2);
/// So many sleeps come before the next look after several that took long: requests that come during one wait for all of it.
const MOST_AFTER_LONG: u32 = 4096;
/// After one: that happens.
const LEAST_AFTER_LONG: u32 = 16;
/// After several in vain: two system calls, which a sleep takes some times over.
const MOST_IN_VAIN: u32 = 64;

/// See the top of this file.
#[derive(Debug, Default)]
pub(super) struct LastLook {
    /// Sleeps before the next look.
    left: u32,
    /// So many came before the last one.
    apart: u32,
}

impl LastLook {
    /// Whether to look before this sleep.
    #[inline]
    pub(super) fn is_due(&mut self) -> bool {
        let due = self.left == 0;
        self.left = self.left.saturating_sub(1);
        due
    }

    /// What came of a look, and how long ago the turn before it began.
    #[inline]
    pub(super) fn told(&mut self, found: bool, took: Duration) {
        let (least, most) = match (took > LONG, found) {
            (true, _) => (LEAST_AFTER_LONG, MOST_AFTER_LONG),
            (false, false) => (1, MOST_IN_VAIN),
            (false, true) => (0, 0),
        };
        self.apart = match most {
            0 => self.apart / 4,
            most => (2 * self.apart).clamp(least, most.max(self.apart)),
        };
        self.left = self.apart;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_micros(300);
    const SLOW: Duration = Duration::from_millis(3);

    /// Of so many occasions to sleep, how many were looks, each with this outcome.
    fn looks(look: &mut LastLook, occasions: u32, found: bool, took: Duration) -> u32 {
        let mut looks = 0;
        for _ in 0..occasions {
            if look.is_due() {
                looks += 1;
                look.told(found, took);
            }
        }
        looks
    }

    #[test]
    fn who_finds_something_looks_each_time_and_who_does_not_rarely() {
        let mut look = LastLook::default();
        assert_eq!(looks(&mut look, 100, true, QUICK), 100);
        let in_vain = looks(&mut look, 6_600, false, QUICK);
        assert!((100..120).contains(&in_vain), "{in_vain} looks in vain");
        let again = looks(&mut look, 300, true, QUICK);
        assert!(again > 200, "{again} looks once there is something again");
    }

    #[test]
    fn where_others_work_long_hardly_any_sleep_is_put_off_whatever_is_found_then() {
        for found in [true, false] {
            let mut look = LastLook::default();
            assert_eq!(looks(&mut look, 100, true, QUICK), 100);
            let slow = looks(&mut look, 100_000, found, SLOW);
            assert!(slow < 35, "{slow} looks of milliseconds");
            // Once in a while is not always.
            let mut look = LastLook::default();
            for _ in 0..100 {
                looks(&mut look, 1, true, SLOW);
                looks(&mut look, 500, true, QUICK);
            }
            assert!(look.apart < LEAST_AFTER_LONG);
        }
    }
}
