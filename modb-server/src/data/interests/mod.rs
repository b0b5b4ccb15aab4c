//! Who is interested in keys: those who watch them ([`Watch`]), those who wait for something to take from them ([`Waiter`]), and those
//! who keep what they have read ([`Tracker`]).
//!
//! Each stripe has a slot with the interests in its keys. Invariants:
//! - An interest is entered by who holds its stripe, alone or together with others who read; so whoever holds the stripe
//!   alone, in order to write, meets every interest that was entered before, and none comes while he holds it. Nobody is missed
//!   between a look and an entry.
//! - An interest leaves without the stripe, under the lock of its slot, and leaves nothing: whatever enters one keeps
//!   a guard whose drop takes it out, or has the housekeeper do so.
//! - Whoever makes a batch visible tells those who watch and serves those who wait before he gives the stripes back, since it is a
//!   part of [`Tx::commit`](super::Tx::commit): workers, the housekeeper and calls of the program alike.
//! - Whoever holds a stripe alone holds also the stripes that those need who wait there ([`reach`]): nobody is served, or
//!   left out, for a stripe that is missing.
//!
//! Where nobody is interested in anything, a batch costs one load more.

#[cfg(test)]
mod model;
mod reach;
mod serve;
#[cfg(test)]
mod tests;
mod touched;
mod tracking;
mod waiting;
mod watch;
mod watcher;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::stripes::{self, STRIPES};
pub(super) use touched::{Key, Ready, Remap, Touched};
pub use tracking::{TRACKED_BYTES, TrackedSums, Tracker, Tracking, Way};
use tracking::{Tracked, Trackers};
use waiting::Waiting;
pub use waiting::{Places, Served, Waiter};
pub use watch::Watch;
pub use watcher::Told;
use watcher::Watcher;

/// What an interest takes, about: its entry in the table of its stripe, its place at the key, and what its owner keeps of it. The bytes of its
/// key are there once more.
pub const INTEREST_BYTES: usize = 512;

/// All interests in the keys of a [`Data`](super::Data).
#[derive(Clone)]
pub(super) struct Interests(Arc<Inner>);

struct Inner {
    slots: Box<[Slot]>,
    /// How many there are. Changed by who holds the stripe, when one comes; so its holder sees at least those in it.
    count: AtomicUsize,
    /// How many of them need another stripe as well.
    reaching: AtomicUsize,
    /// The number of the next one: they are in order of their coming, in all stripes together.
    next: AtomicU64,
    /// Those who track keys; each counts as one.
    tracked: Tracked,
}

/// The interests in the keys of one stripe. Most stripes have none.
type Slot = Mutex<Option<Box<InStripe>>>;

#[derive(Default)]
struct InStripe {
    keys: HashMap<Bytes, Vec<AtKey>>,
    /// The other stripes that those need who wait here, and how many of them do.
    reach: BTreeMap<u16, usize>,
    /// Who tracks which keys, whatever the database.
    tracked: HashMap<Box<[u8]>, Trackers>,
}

impl InStripe {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.tracked.is_empty()
    }
}

/// The interests in one key of a database, in the order of their coming.
struct AtKey {
    database: u32,
    watchers: BTreeMap<u64, Watcher>,
    waiting: BTreeMap<u64, Waiting>,
}

impl AtKey {
    fn new(database: u32) -> Self {
        Self { database, watchers: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    fn is_empty(&self) -> bool {
        self.watchers.is_empty() && self.waiting.is_empty()
    }
}

/// Where an interest stands.
#[derive(Debug)]
struct Spot {
    hash: u64,
    database: u32,
    key: Bytes,
    number: u64,
}

impl Default for Interests {
    fn default() -> Self {
        let slots = (0..STRIPES).map(|_| Slot::default()).collect();
        let (count, reaching, next, tracked) = Default::default();
        Self(Arc::new(Inner { slots, count, reaching, next, tracked }))
    }
}

impl Interests {
    /// Whether there are any: if not, none is met by who holds his stripes alone.
    #[inline]
    pub(super) fn are_any(&self) -> bool {
        // He has had the stripe after whoever entered one there, so he sees at least that one counted.
        self.0.count.load(Ordering::Relaxed) > 0
    }

    /// Whether there are any in the stripe of the key with this hash, which is held.
    #[inline]
    pub(super) fn are_any_beside(&self, hash: u64) -> bool {
        self.are_any() && self.slot(hash).is_some()
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        let kept = self.0.slots.iter().filter(|slot| lock(slot).is_some()).count();
        assert_eq!(kept == 0, !self.are_any(), "what nobody is interested in leaves nothing");
        assert!(kept > 0 || !self.reach_further());
        self.0.count.load(Ordering::Relaxed)
    }

    /// The number of one who comes now.
    fn number(&self) -> u64 {
        self.0.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Enters an interest in a key, whose stripe is held, with the number of who has it. `reach`: another stripe that it needs. `false`: it was
    /// there already, as `enter` says.
    fn enter(&self, spot: &Spot, reach: Option<u16>, enter: impl FnOnce(&mut AtKey, u64) -> bool) -> bool {
        let mut slot = self.slot(spot.hash);
        let in_stripe = slot.get_or_insert_default();
        let there = in_stripe.keys.entry(spot.key.clone()).or_default();
        let at = there.iter().position(|at_key| at_key.database == spot.database).unwrap_or_else(|| {
            // Hardly ever more than one.
            there.reserve_exact(1);
            there.push(AtKey::new(spot.database));
            there.len() - 1
        });
        if !enter(&mut there[at], spot.number) {
            return false;
        }
        self.0.count.fetch_add(1, Ordering::Relaxed);
        if let Some(stripe) = reach {
            *in_stripe.reach.entry(stripe).or_default() += 1;
            self.0.reaching.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// Takes an interest out, if it is there: `leave` says so, and which other stripe it needed.
    fn leave(&self, spot: &Spot, leave: impl FnOnce(&mut AtKey, u64) -> Option<Option<u16>>) {
        let mut slot = self.slot(spot.hash);
        let Some(in_stripe) = slot.as_mut() else { return };
        let Some(there) = in_stripe.keys.get_mut(&spot.key) else { return };
        let Some(at) = there.iter().position(|at_key| at_key.database == spot.database) else { return };
        let Some(reach) = leave(&mut there[at], spot.number) else { return };
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        if there[at].is_empty() {
            there.swap_remove(at);
        }
        if there.is_empty() {
            in_stripe.keys.remove(&spot.key);
        }
        if let Some(stripe) = reach {
            self.0.reaching.fetch_sub(1, Ordering::Relaxed);
            if let Some(count) = in_stripe.reach.get_mut(&stripe) {
                *count -= 1;
                if *count == 0 {
                    in_stripe.reach.remove(&stripe);
                }
            }
        }
        if in_stripe.is_empty() {
            *slot = None;
        }
    }

    /// Whether anybody is interested in a key of that name, in whatever database.
    pub(super) fn are_in(&self, hash: u64, key: &[u8]) -> bool {
        self.slot(hash).as_ref().is_some_and(|in_stripe| in_stripe.keys.contains_key(key))
    }

    /// Visits the interests in a key, in all databases.
    fn visit(&self, hash: u64, key: &[u8], visit: impl FnMut(&mut AtKey)) {
        let mut slot = self.slot(hash);
        slot.as_mut().and_then(|in_stripe| in_stripe.keys.get_mut(key)).into_iter().flatten().for_each(visit);
    }

    /// Visits all interests.
    fn visit_all(&self, mut visit: impl FnMut(&Bytes, &mut AtKey)) {
        for slot in &self.0.slots {
            for (key, there) in lock(slot).iter_mut().flat_map(|in_stripe| in_stripe.keys.iter_mut()) {
                there.iter_mut().for_each(|at_key| visit(key, at_key));
            }
        }
    }

    fn slot(&self, hash: u64) -> MutexGuard<'_, Option<Box<InStripe>>> {
        lock(&self.0.slots[usize::from(stripes::index(hash))])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
