//! Time that is read once per request, so it must cost less than the request: the processor's counter where it can be trusted,
//! which takes less than half of what the system's clock takes.
//!
//! Durations are told in it, and nothing else: no deadline, no expiry, nothing that is written. It can be trusted where it runs at
//! one rate whatever the processor does (Intel SDM 17.17.1, AMD APM 13.2.4: "invariant"), and where the system, which
//! watches it on all processors, did the same when it was first asked for (should it find a fault later, durations are wrong, and no more). Invariant: time never runs backwards, whatever the counter does: it stands still then.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long the counter is watched before it is used; whoever is the first to need it waits for it ([`Ticks::prepare`]).
const WATCHED_FOR: Duration = Duration::from_micros(500);

/// What is read within so much is read at the same moment. With the above its rate is known to one part in 250.
const SAME_MOMENT: Duration = Duration::from_micros(1);
const READ_TRIES: u32 = 1_000;

/// A point in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks(u64);

impl Ticks {
    /// For who is going to measure others: they need not wait then for what is to be found out first.
    pub(crate) fn prepare() {
        clock();
    }

    #[inline(always)]
    pub(crate) fn now() -> Self {
        Self(clock().read())
    }

    /// From `earlier` to here.
    #[inline(always)]
    pub(crate) fn since_ns(self, earlier: Self) -> u64 {
        clock().ns(self.0.saturating_sub(earlier.0))
    }
}

/// What is read.
enum Clock {
    /// The counter, and nanoseconds for each of it, times 2^32.
    Counter { ns_shifted: u64 },
    /// The system's clock, in nanoseconds from then on.
    System(Instant),
}

#[inline(always)]
fn clock() -> &'static Clock {
    static CLOCK: OnceLock<Clock> = OnceLock::new();
    CLOCK.get_or_init(Clock::choose)
}

impl Clock {
    #[cold]
    fn choose() -> Self {
        let watched = if counter::is_trusted() { Self::watch() } else { None };
        watched.unwrap_or_else(|| Self::System(Instant::now()))
    }

    fn watch() -> Option<Self> {
        let (begin, first) = read_both()?;
        while begin.elapsed() < WATCHED_FOR {
            std::hint::spin_loop();
        }
        let (end, last) = read_both()?;
        let ns = end.duration_since(begin).as_nanos() as u64;
        // None: it stands still.
        let ns_shifted = (u128::from(ns) << 32).checked_div(last.saturating_sub(first).into())?;
        Some(Self::Counter { ns_shifted: u64::try_from(ns_shifted).ok()? })
    }

    #[inline(always)]
    fn read(&self) -> u64 {
        match self {
            Self::Counter { .. } => counter::read(),
            Self::System(begin) => begin.elapsed().as_nanos() as u64,
        }
    }

    #[inline(always)]
    fn ns(&self, ticks: u64) -> u64 {
        match self {
            Self::Counter { ns_shifted } => ((u128::from(ticks) * u128::from(*ns_shifted)) >> 32) as u64,
            Self::System(_) => ticks,
        }
    }
}

/// Both at the same moment; `None` where that cannot be had, since others are served between one and the other.
fn read_both() -> Option<(Instant, u64)> {
    (0..READ_TRIES).find_map(|_| {
        let at = Instant::now();
        let count = counter::read();
        (at.elapsed() < SAME_MOMENT).then_some((at, count))
    })
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[allow(unsafe_code)]
mod counter {
    use std::arch::x86_64::{__cpuid, _rdtsc};

    /// The leaf that tells how the counter runs, and its bit in EDX.
    const POWER_LEAF: u32 = 0x8000_0007;
    const INVARIANT: u32 = 1 << 8;
    /// The leaf whose EAX is the last of them.
    const LAST_LEAF: u32 = 0x8000_0000;

    pub(super) fn is_trusted() -> bool {
        is_invariant() && system_uses_it()
    }

    #[allow(unused_unsafe)]
    fn is_invariant() -> bool {
        // SAFETY: every processor with 64 bits has the instruction, and the leaf is asked for where there is one.
        unsafe { __cpuid(LAST_LEAF).eax >= POWER_LEAF && __cpuid(POWER_LEAF).edx & INVARIANT != 0 }
    }

    /// Linux watches it on all processors and takes another clock where it does not agree with itself. Elsewhere nobody tells.
    fn system_uses_it() -> bool {
        const CLOCK: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        cfg!(not(target_os = "linux")) || std::fs::read(CLOCK).is_ok_and(|name| name.trim_ascii() == b"tsc")
    }

    #[inline(always)]
    #[allow(unused_unsafe)]
    pub(super) fn read() -> u64 {
        // SAFETY: every processor with 64 bits has the instruction, and no system that Modb runs on forbids it.
        unsafe { _rdtsc() }
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
mod counter {
    pub(super) fn is_trusted() -> bool {
        false
    }

    pub(super) fn read() -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn it_runs_as_the_systems_clock_does() {
        for clock in [Clock::choose(), Clock::System(Instant::now())] {
            let between = || {
                let (before, begin) = (Instant::now(), clock.read());
                sleep(Duration::from_millis(20));
                // Read in the other order, so that it took no less time than is measured.
                let ns = clock.ns(clock.read() - begin);
                (ns as f64, before.elapsed().as_nanos() as f64)
            };
            // Whoever is interrupted between two readings measures too little, never too much.
            let (ns, most) =
                (0..20).map(|_| between()).find(|(ns, most)| *ns > most * 0.95).expect("as long");
            assert!((20e6 * 0.95..most * 1.05).contains(&ns), "{ns} of {most}");
        }
    }

    #[test]
    fn what_runs_backwards_stands_still() {
        let (earlier, later) = (Ticks(5), Ticks(3));
        assert_eq!(later.since_ns(earlier), 0);
    }
}
