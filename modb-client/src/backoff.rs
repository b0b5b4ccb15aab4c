//! How long to wait before trying again: exponential, with jitter. Pure but for the random seed.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How a [`crate::Client`] tries to reconnect.
///
/// The waiting time doubles from `first` up to `longest`; each one is drawn evenly from its upper half, so
/// that the clients of a server that restarts do not all come back at the same moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second attempt.
    pub first: Duration,
    /// It grows no further.
    pub longest: Duration,
    /// Attempts in all; after the last one the error is the caller's. At least one is made.
    pub attempts: u32,
}

impl Default for Backoff {
    /// Five attempts within about two seconds.
    fn default() -> Self {
        Self { first: Duration::from_millis(50), longest: Duration::from_secs(2), attempts: 5 }
    }
}

impl Backoff {
    /// One attempt, no waiting.
    pub const NEVER: Self = Self { first: Duration::ZERO, longest: Duration::ZERO, attempts: 1 };

    /// The times to wait between attempts.
    pub(crate) fn delays(&self) -> impl Iterator<Item = Duration> + use<> {
        let Self { first, longest, attempts } = *self;
        (1..attempts).map(move |attempt| {
            let full = first.saturating_mul(1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX)).min(longest);
            full.mul_f64(0.5 + 0.5 * random_fraction())
        })
    }
}

/// A number from 0 to 1, from the random keys that the standard library draws for each hasher.
fn random_fraction() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_end() {
        let ms = Duration::from_millis;
        let backoff = Backoff { first: ms(10), longest: ms(45), attempts: 6 };
        let delays: Vec<_> = backoff.delays().collect();
        assert_eq!(delays.len(), 5);
        for (delay, full) in delays.iter().zip([10, 20, 40, 45, 45]) {
            assert!(*delay >= ms(full) / 2 && *delay <= ms(full), "{delays:?}");
        }
        assert_eq!(Backoff::NEVER.delays().count(), 0);
    }
}
