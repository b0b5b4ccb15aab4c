//! Isolation: mutexes chosen by the hash of the key (docs/ARCHITECTURE.md, "one rule").
//!
//! Invariants: whoever holds stripes took all of them at once, in ascending order, so no two commands can wait
//! for each other; a batch of several keys becomes visible only by [`Held::publish`], which marks its stripes
//! meanwhile, so that nobody sees half of it ([`marks`]). A stripe guards no data of its own; a panic while it is held
//! leaves nothing half done, because writes reach the store as one batch. So poison is ignored.

mod marks;
#[cfg(test)]
mod model;

use std::sync::{Mutex, MutexGuard, PoisonError};

use marks::Marks;

/// What the parts are made of, so that the model checker's can take its place (`model.rs`).
mod sync {
    pub(super) use std::sync::atomic::{AtomicU8, Ordering};
}

/// How many stripes there are: few enough to take them all for `FLUSHALL` (some 20 µs), enough that two workers
/// rarely meet on one. A power of two.
const STRIPES: usize = 1024;

/// A mutex on a cache line of its own, so that neighbours do not slow each other.
#[repr(align(64))]
#[derive(Default)]
struct Stripe(Mutex<()>);

/// All stripes of a database file.
pub(super) struct Stripes {
    locks: Box<[Stripe]>,
    marks: Marks,
}

/// Stripes that are held until this is dropped.
pub struct Held<'a> {
    marks: &'a Marks,
    set: Set<'a>,
}

enum Set<'a> {
    None,
    One(usize, #[expect(dead_code, reason = "gives the stripe back when dropped")] MutexGuard<'a, ()>),
    Many(Vec<(usize, MutexGuard<'a, ()>)>),
}

impl Default for Stripes {
    fn default() -> Self {
        Self { locks: (0..STRIPES).map(|_| Stripe::default()).collect(), marks: Marks::new(STRIPES) }
    }
}

impl Stripes {
    /// For what neither reads nor writes keys.
    pub(super) fn none(&self) -> Held<'_> {
        self.held(Set::None)
    }

    /// Takes the stripe of one key.
    pub(super) fn one(&self, hash: u64) -> Held<'_> {
        self.held(self.take_one(index(hash)))
    }

    /// Whether a batch is becoming visible in the stripe of a key, which is held by its writer then: so by nobody who asks.
    #[inline]
    pub(super) fn is_marked(&self, hash: u64) -> bool {
        self.marks.is_set(index(hash))
    }

    /// Waits until all that is becoming visible anywhere is whole.
    pub(super) fn wait_for_marks(&self) {
        drop(self.take(self.marks.all_set()));
    }

    /// Gives back what is held and takes it again together with the stripe of one key more.
    pub(super) fn with_one_more(&self, held: Held<'_>, hash: u64) -> Held<'_> {
        let mut stripes = match &held.set {
            Set::None => Vec::new(),
            Set::One(stripe, _) => vec![*stripe],
            Set::Many(stripes) => stripes.iter().map(|(stripe, _)| *stripe).collect(),
        };
        drop(held);
        stripes.push(index(hash));
        stripes.sort_unstable();
        stripes.dedup();
        self.held(self.take(stripes.into_iter()))
    }

    /// Takes the stripes of all keys with these hashes; `hashes` is left sorted by stripe.
    pub(super) fn many(&self, hashes: &mut [u64]) -> Held<'_> {
        match hashes {
            [] => self.none(),
            [hash] => self.held(self.take_one(index(*hash))),
            _ => {
                hashes.sort_unstable_by_key(|&hash| index(hash));
                let mut last = None;
                let stripes = hashes.iter().map(|&hash| index(hash));
                self.held(self.take(stripes.filter(move |stripe| last.replace(*stripe) != Some(*stripe))))
            }
        }
    }

    /// Takes every stripe: nobody else writes until they are given back.
    pub(super) fn all(&self) -> Held<'_> {
        self.held(self.take(0..STRIPES))
    }

    fn held<'a>(&'a self, set: Set<'a>) -> Held<'a> {
        Held { marks: &self.marks, set }
    }

    fn take_one(&self, stripe: usize) -> Set<'_> {
        Set::One(stripe, self.lock(stripe))
    }

    /// `stripes` ascend.
    fn take(&self, stripes: impl Iterator<Item = usize>) -> Set<'_> {
        Set::Many(stripes.map(|stripe| (stripe, self.lock(stripe))).collect())
    }

    fn lock(&self, stripe: usize) -> MutexGuard<'_, ()> {
        self.locks[stripe].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held<'_> {
    /// Has `apply` make a batch visible. `several`: it changes more than one key, or what a database is, so that
    /// nobody may see a part of it.
    pub(super) fn publish<R>(&self, several: bool, apply: impl FnOnce() -> R) -> R {
        match &self.set {
            Set::Many(stripes) if several => {
                self.marks.publish(stripes.iter().map(|(stripe, _)| *stripe), apply)
            }
            Set::One(stripe, _) if several => self.marks.publish(std::iter::once(*stripe), apply),
            _ => apply(),
        }
    }
}

/// By the lowest bits: engines shard by the highest.
fn index(hash: u64) -> usize {
    hash as usize & (STRIPES - 1)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::sync::Ordering;
    use super::*;

    #[test]
    fn several_keys_of_one_stripe_are_taken_once() {
        let stripes = Stripes::default();
        let held = stripes.many(&mut [5, 5 + STRIPES as u64, 1, 5, 1]);
        assert!(matches!(&held.set, Set::Many(guards) if guards.len() == 2));
        assert!(stripes.locks[5].0.try_lock().is_err());
        assert!(stripes.locks[2].0.try_lock().is_ok());
        drop(held);
        assert!(stripes.locks[5].0.try_lock().is_ok());
    }

    #[test]
    fn a_batch_of_several_keys_marks_all_that_is_held_and_one_of_one_key_nothing() {
        let stripes = Stripes::default();
        let held = stripes.many(&mut [5, 9]);
        let marked = || stripes.marks.all_set().collect::<Vec<_>>();
        assert_eq!(held.publish(true, marked), [5, 9]);
        assert_eq!(held.publish(false, marked), [0; 0]);
        drop(held);
        assert_eq!(stripes.one(7).publish(true, marked), [7], "two databases may have a key of that name");
        assert_eq!(stripes.all().publish(true, marked).len(), STRIPES);
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            stripes.many(&mut [1, 2]).publish(true, || panic!("on purpose"));
        }));
        assert!(failed.is_err() && marked().is_empty());
    }

    #[test]
    fn who_reads_where_a_batch_becomes_visible_waits_for_the_whole() {
        let stripes = Stripes::default();
        let whole = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let held = stripes.many(&mut [5, 9]);
            held.publish(true, || {
                assert!(stripes.is_marked(5) && stripes.is_marked(9) && !stripes.is_marked(7));
                scope.spawn(|| {
                    drop(stripes.with_one_more(stripes.none(), 5));
                    assert!(whole.load(Ordering::Relaxed));
                });
                scope.spawn(|| {
                    stripes.wait_for_marks();
                    assert!(whole.load(Ordering::Relaxed));
                });
                (0..1000).for_each(|_| std::thread::yield_now());
                whole.store(true, Ordering::Relaxed);
            });
            drop(held);
        });
    }

    #[test]
    fn more_is_taken_in_order_and_together() {
        let stripes = Stripes::default();
        let held = stripes.with_one_more(stripes.many(&mut [5, 9]), 7);
        let held = stripes.with_one_more(held, 5);
        assert!(matches!(&held.set, Set::Many(all) if all.iter().map(|(at, _)| *at).eq([5, 7, 9])));
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
