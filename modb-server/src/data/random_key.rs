//! A key chosen at random, in bounded time whatever was deleted: `RANDOMKEY`.
//!
//! The key behind a random hash is the answer, if it is near. Where few keys are left among many that were deleted and
//! that the store still has to pass, it is not; then a walk goes on a little with each call, in a circle, and remembers the
//! keys that it met. One of them that is still there is the answer of a call whose walk met none.
//!
//! Invariant: `None` means that the database had no key; it is never said for want of patience.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::layout::{self, Outline, Place};
use super::scan::CURSOR_SHIFT;
use super::{Data, DataError, Tx, keys_counter};
use crate::store::Glimpse;

/// Records, deleted ones included, that one attempt looks at: some ten microseconds.
const MOST_LOOKED_AT: usize = 64;
/// Keys that are remembered of a database.
const KNOWN_KEYS: usize = 64;
/// Databases of which something is remembered: those that had to be, lately.
const KNOWN_DATABASES: usize = 64;

/// How often a key is drawn that the transaction has written itself, before all are looked through.
const TRIES: usize = 16;

/// What is remembered, by namespace.
#[derive(Default)]
pub(super) struct Sparse(Mutex<HashMap<u32, Walk>>);

/// The walk around a database.
#[derive(Default)]
struct Walk {
    /// The cursor, as of `SCAN`.
    at: u64,
    /// Keys that were there.
    known: Vec<Bytes>,
}

/// What an attempt found.
enum Sought {
    Key(Bytes),
    /// Nothing up to this cursor.
    Nothing(u64),
    /// Nothing up to the end.
    End,
}

impl Sparse {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Walk>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cursor(&self, namespace: u32) -> u64 {
        self.lock().get(&namespace).map_or(0, |walk| walk.at)
    }

    /// The walk got to `at`, and met `key` on its way; `roll` chooses what that key replaces.
    fn note(&self, namespace: u32, at: u64, key: Option<&Bytes>, roll: u64) {
        let mut walks = self.lock();
        if walks.len() >= KNOWN_DATABASES && !walks.contains_key(&namespace) {
            walks.clear();
        }
        let walk = walks.entry(namespace).or_default();
        walk.at = at;
        if let Some(key) = key
            && !walk.known.contains(key)
        {
            // Not a part of the page that it was read with.
            let key = Bytes::copy_from_slice(key);
            if walk.known.len() < KNOWN_KEYS {
                walk.known.push(key);
            } else {
                walk.known[roll as usize % KNOWN_KEYS] = key;
            }
        }
    }

    /// One of the keys that were met.
    fn known(&self, namespace: u32, roll: u64) -> Option<Bytes> {
        let walks = self.lock();
        let known = &walks.get(&namespace)?.known;
        known.get(roll as usize % known.len().max(1)).cloned()
    }

    fn forget(&self, namespace: u32, key: &Bytes) {
        if let Some(walk) = self.lock().get_mut(&namespace) {
            walk.known.retain(|known| known != key);
        }
    }
}

impl Tx<'_> {
    /// A key chosen at random, if there is one. Keys behind a wide gap between hashes come more often.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn random_key(&self, database: u32) -> Result<Option<Bytes>, DataError> {
        let (data, namespace) = (self.data(), self.namespace(database));
        // What this has written, and is a key or was one.
        let mut written = BTreeMap::new();
        for write in self.writes() {
            if let Some(place) = write.key().and_then(|key| Place::from_record_key(key))
                && place.namespace == namespace
            {
                let is_live = match write.value() {
                    Some(value) => is_live(Glimpse::of(value), self.now_ms())?,
                    None => false,
                };
                written.insert(Bytes::copy_from_slice(place.key), is_live);
            }
        }
        if written.is_empty() {
            return data.random_key(namespace, self.now_ms());
        }
        let new: Vec<&Bytes> = written.iter().filter(|(_, is_live)| **is_live).map(|(key, _)| key).collect();
        if data.below(self.size(database)) < new.len() as u64 {
            return Ok(Some(new[data.below(new.len() as u64) as usize].clone()));
        }
        for _ in 0..TRIES {
            match data.random_key(namespace, self.now_ms())? {
                Some(key) if !written.contains_key(&key) => return Ok(Some(key)),
                Some(_) => {}
                None => break,
            }
        }
        // Almost all that is there was written here.
        let mut first = None;
        self.for_each_key(database, |key, _| {
            first = Some(key);
            false
        })?;
        Ok(first)
    }
}

impl Data {
    /// A key chosen at random among those that the store has.
    fn random_key(&self, namespace: u32, now_ms: u64) -> Result<Option<Bytes>, DataError> {
        if self.store.counter(keys_counter(namespace)) <= 0 {
            return Ok(None);
        }
        let mut from = self.roll() >> CURSOR_SHIFT;
        for _ in 0..2 {
            match self.seek(namespace, from, now_ms)? {
                Sought::Key(key) => return Ok(Some(key)),
                Sought::Nothing(_) => return self.random_key_among_few(namespace, now_ms),
                Sought::End => from = 0,
            }
        }
        Ok(None)
    }

    fn random_key_among_few(&self, namespace: u32, now_ms: u64) -> Result<Option<Bytes>, DataError> {
        let (begin, mut ends) = (self.sparse.cursor(namespace), 0);
        let mut at = begin;
        loop {
            let found = match self.seek(namespace, at, now_ms)? {
                Sought::Key(key) => {
                    let behind = (self.hash(&key) >> CURSOR_SHIFT) + 1;
                    at = if behind >> (u64::BITS - CURSOR_SHIFT) == 0 { behind } else { 0 };
                    Some(key)
                }
                Sought::Nothing(upto) => {
                    at = upto;
                    None
                }
                Sought::End => {
                    (at, ends) = (0, ends + 1);
                    None
                }
            };
            self.sparse.note(namespace, at, found.as_ref(), self.roll());
            if found.is_some() {
                return Ok(found);
            }
            while let Some(key) = self.sparse.known(namespace, self.roll()) {
                if self.is_there(namespace, &key, now_ms)? {
                    return Ok(Some(key));
                }
                self.sparse.forget(namespace, &key);
            }
            // All around, and a little more: nothing was left out.
            if ends > 1 || ends == 1 && at > begin {
                return Ok(None);
            }
        }
    }

    /// The first key from `cursor` on, if it is near.
    fn seek(&self, namespace: u32, cursor: u64, now_ms: u64) -> Result<Sought, DataError> {
        let to = layout::records_to(namespace);
        let mut from = layout::records_from(namespace, cursor << CURSOR_SHIFT);
        // More than one only where the first has expired.
        for limit in [1, MOST_LOOKED_AT] {
            let page = self.store.glimpse_some(&from, &to, limit, MOST_LOOKED_AT)?;
            let none = page.records.is_empty();
            for (key, value) in page.records {
                let place =
                    Place::from_record_key(&key).ok_or(DataError::Corrupt("a record key is too short"))?;
                if is_live(value, now_ms)? {
                    return Ok(Sought::Key(key.slice_ref(place.key)));
                }
            }
            let Some(next) = page.next else { return Ok(Sought::End) };
            from = next;
            if none {
                break;
            }
        }
        let next = Place::from_record_key(&from).ok_or(DataError::Corrupt("a record key is too short"))?;
        // Never where it began, or the walk would stand still.
        Ok(Sought::Nothing((next.hash >> CURSOR_SHIFT).max(cursor + 1)))
    }

    fn is_there(&self, namespace: u32, key: &[u8], now_ms: u64) -> Result<bool, DataError> {
        let mut record_key = Vec::new();
        Place { namespace, hash: self.hash(key), key }.record_key(&mut record_key);
        self.store.glimpse(&record_key)?.value.map_or(Ok(false), |value| is_live(value, now_ms))
    }
}

fn is_live(record: Glimpse, now_ms: u64) -> Result<bool, DataError> {
    let record = Outline::decode(record).ok_or(DataError::Corrupt("a key record has an unknown tag"))?;
    Ok(record.head.expires_at_ms.is_none_or(|at| at > now_ms))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::data::{Head, Tally};
    use crate::store::{OpenOptions, open};

    fn write(data: &Data, keys: &[String], set: bool) {
        let (tally, mut buf) = (Tally::default(), Vec::new());
        for part in keys.chunks(500) {
            let held = data.hold_sleeping(crate::data::Need::everything());
            let mut tx = Tx::new(data, &held, &tally, &mut buf, 0);
            for key in part {
                let entry = tx.entry(0, key.as_bytes()).unwrap();
                if set {
                    tx.put(&entry, Head::STRING, &[b"v"], None).unwrap();
                } else {
                    tx.remove(&entry);
                }
            }
            tx.commit().unwrap();
        }
    }

    #[test]
    fn the_few_that_are_left_are_all_found_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let data = Data::open(open(&OpenOptions::new(dir.path())).unwrap(), 16, false).unwrap();
        assert_eq!(data.random_key(0, 0).unwrap(), None);
        let keys: Vec<String> = (0..20_000).map(|n| format!("k{n}")).collect();
        write(&data, &keys, true);
        let drawn: BTreeSet<Bytes> = (0..100).map(|_| data.random_key(0, 0).unwrap().unwrap()).collect();
        assert!(drawn.len() > 80, "{drawn:?}");

        let (left, gone) = keys.split_at(3);
        write(&data, gone, false);
        let expected: BTreeSet<Bytes> = left.iter().map(|key| Bytes::from(key.clone())).collect();
        let draw = |n| (0..n).map(|_| data.random_key(0, 0).unwrap().unwrap()).collect::<BTreeSet<_>>();
        assert_eq!(draw(500), expected);
        // Also by the walk that remembered them.
        write(&data, &left[..2], false);
        assert_eq!(draw(100), [Bytes::from(left[2].clone())].into());
        data.store.compact().unwrap();
        assert_eq!(draw(100), [Bytes::from(left[2].clone())].into());
        write(&data, &left[2..], false);
        assert_eq!(data.random_key(0, 0).unwrap(), None);
    }
}
