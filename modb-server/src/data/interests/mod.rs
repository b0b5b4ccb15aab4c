//! Who is interested in keys: those who watch them ([`Watch`]).
//!
//! Each stripe has a slot with the interests in its keys. Invariants:
//! - An interest is entered by who holds its stripe, alone or together with others who read; so whoever holds the stripe
//!   alone, in order to write, meets every interest that was entered before, and none comes while he holds it. Nobody is missed
//!   between a look and an entry.
//! - An interest leaves without the stripe, under the lock of its slot, and leaves nothing: whatever enters one keeps
//!   a guard whose drop takes it out.
//! - Whoever makes a batch visible tells those interested before he gives the stripes back, since it is a part of
//!   [`Tx::commit`](super::Tx::commit): workers, the housekeeper and calls of the program alike.
//!
//! Where nobody is interested in anything, a batch costs one load more.

#[cfg(test)]
mod tests;
mod touched;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::stripes::{self, STRIPES};
use watch::Watcher;
pub use watch::{Told, Watch};

/// All interests in the keys of a [`Data`](super::Data).
#[derive(Clone)]
pub(super) struct Interests(Arc<Inner>);

struct Inner {
    slots: Box<[Slot]>,
    /// How many there are. Changed by who holds the stripe, when one comes; so its holder sees at least those in it.
    count: AtomicUsize,
    /// The number of the next one: they are in order of their coming, in all stripes together.
    next: AtomicU64,
}

/// The interests in the keys of one stripe, by key. Most stripes have none.
type Slot = Mutex<Kept>;

type Kept = Option<Box<HashMap<Bytes, Vec<AtKey>>>>;

/// The interests in one key of a database.
struct AtKey {
    database: u32,
    watchers: BTreeMap<u64, Watcher>,
}

impl AtKey {
    fn new(database: u32) -> Self {
        Self { database, watchers: BTreeMap::new() }
    }

    fn is_empty(&self) -> bool {
        self.watchers.is_empty()
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
        Self(Arc::new(Inner { slots, count: AtomicUsize::new(0), next: AtomicU64::new(0) }))
    }
}

impl Interests {
    /// Whether there are any: if not, none is met by who holds his stripes alone.
    #[inline]
    pub(super) fn are_any(&self) -> bool {
        // He has had the stripe after whoever entered one there, so he sees at least that one counted.
        self.0.count.load(Ordering::Relaxed) > 0
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        let kept = self.0.slots.iter().filter(|slot| lock(slot).is_some()).count();
        assert_eq!(kept == 0, !self.are_any(), "what nobody is interested in leaves nothing");
        self.0.count.load(Ordering::Relaxed)
    }

    /// Enters an interest in a key, whose stripe is held.
    fn enter(&self, hash: u64, database: u32, key: &[u8], enter: impl FnOnce(&mut AtKey, u64)) -> Spot {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let key = Bytes::copy_from_slice(key);
        let mut slot = self.slot(hash);
        let there = slot.get_or_insert_default().entry(key.clone()).or_default();
        let at = there.iter().position(|at_key| at_key.database == database).unwrap_or_else(|| {
            there.push(AtKey::new(database));
            there.len() - 1
        });
        enter(&mut there[at], number);
        self.0.count.fetch_add(1, Ordering::Relaxed);
        Spot { hash, database, key, number }
    }

    /// Takes an interest out.
    fn leave(&self, spot: &Spot, leave: impl FnOnce(&mut AtKey, u64)) {
        let mut slot = self.slot(spot.hash);
        let Some(keys) = slot.as_mut() else { return };
        let Some(there) = keys.get_mut(&spot.key) else { return };
        if let Some(at) = there.iter().position(|at_key| at_key.database == spot.database) {
            leave(&mut there[at], spot.number);
            self.0.count.fetch_sub(1, Ordering::Relaxed);
            if there[at].is_empty() {
                there.swap_remove(at);
            }
        }
        if there.is_empty() {
            keys.remove(&spot.key);
        }
        if keys.is_empty() {
            *slot = None;
        }
    }

    /// Whether anybody is interested in a key of that name, in whatever database.
    fn are_in(&self, hash: u64, key: &[u8]) -> bool {
        self.slot(hash).as_ref().is_some_and(|keys| keys.contains_key(key))
    }

    /// Visits the interests in a key, in all databases.
    fn visit(&self, hash: u64, key: &[u8], visit: impl FnMut(&mut AtKey)) {
        let mut slot = self.slot(hash);
        slot.as_mut().and_then(|keys| keys.get_mut(key)).into_iter().flatten().for_each(visit);
    }

    /// Visits all interests.
    fn visit_all(&self, mut visit: impl FnMut(&Bytes, &mut AtKey)) {
        for slot in &self.0.slots {
            for (key, there) in lock(slot).iter_mut().flat_map(|keys| keys.iter_mut()) {
                there.iter_mut().for_each(|at_key| visit(key, at_key));
            }
        }
    }

    fn slot(&self, hash: u64) -> MutexGuard<'_, Kept> {
        lock(&self.0.slots[usize::from(stripes::index(hash))])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
