//! Isolation: mutexes chosen by the hash of the key (docs/ARCHITECTURE.md, "one rule").
//!
//! Invariant: whoever holds stripes took all of them at once, in ascending order, so no two commands can wait
//! for each other. A stripe guards no data of its own; a panic while it is held leaves nothing half done,
//! because writes reach the store as one batch. So poison is ignored.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many stripes there are: few enough to take them all for `FLUSHALL` (some 20 µs), enough that two workers
/// rarely meet on one. A power of two.
const STRIPES: usize = 1024;

/// A mutex on a cache line of its own, so that neighbours do not slow each other.
#[repr(align(64))]
#[derive(Default)]
struct Stripe(Mutex<()>);

/// All stripes of a database file.
pub(super) struct Stripes(Box<[Stripe]>);

/// Stripes that are held until this is dropped.
pub enum Held<'a> {
    /// None.
    None,
    /// The stripe of one key.
    One(MutexGuard<'a, ()>),
    /// The stripes of several keys.
    Many(Vec<MutexGuard<'a, ()>>),
}

impl Default for Stripes {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Stripe::default()).collect())
    }
}

impl Stripes {
    /// Takes the stripe of one key.
    pub(super) fn one(&self, hash: u64) -> Held<'_> {
        Held::One(self.lock(index(hash)))
    }

    /// Takes the stripes of all keys with these hashes; `hashes` is left sorted by stripe.
    pub(super) fn many(&self, hashes: &mut [u64]) -> Held<'_> {
        match hashes {
            [] => Held::None,
            [hash] => self.one(*hash),
            _ => {
                hashes.sort_unstable_by_key(|&hash| index(hash));
                let mut held = Vec::with_capacity(hashes.len().min(STRIPES));
                let mut last = None;
                for stripe in hashes.iter().map(|&hash| index(hash)) {
                    if last != Some(stripe) {
                        held.push(self.lock(stripe));
                        last = Some(stripe);
                    }
                }
                Held::Many(held)
            }
        }
    }

    /// Takes every stripe: nobody else writes until they are given back.
    pub(super) fn all(&self) -> Held<'_> {
        Held::Many((0..STRIPES).map(|stripe| self.lock(stripe)).collect())
    }

    fn lock(&self, stripe: usize) -> MutexGuard<'_, ()> {
        self.0[stripe].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By the lowest bits: engines shard by the highest.
fn index(hash: u64) -> usize {
    hash as usize & (STRIPES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_keys_of_one_stripe_are_taken_once() {
        let stripes = Stripes::default();
        let held = stripes.many(&mut [5, 5 + STRIPES as u64, 1, 5, 1]);
        assert!(matches!(held, Held::Many(ref guards) if guards.len() == 2));
        assert!(stripes.0[5].0.try_lock().is_err());
        assert!(stripes.0[2].0.try_lock().is_ok());
        drop(held);
        assert!(stripes.0[5].0.try_lock().is_ok());
    }

    #[test]
    fn opposite_orders_do_not_deadlock() {
        let stripes = Stripes::default();
        std::thread::scope(|scope| {
            for flip in [false, true] {
                let stripes = &stripes;
                scope.spawn(move || {
                    for round in 0..20_000_u64 {
                        let mut hashes = [round, round * 7 + 3, round * 31];
                        if flip {
                            hashes.reverse();
                        }
                        drop(stripes.many(&mut hashes));
                    }
                });
            }
        });
    }
}
