//! What a batch touches: found before it is applied; those interested are told of it after.
//!
//! A key is touched if its record is written or removed, or if only a page of what it holds is; and by a change of the map
//! of databases, if it is there before or after.

use bytes::Bytes;

use super::AtKey;
use super::watch::Watcher;
use crate::data::layout::{Place, Record};
use crate::data::writes::key_of;
use crate::data::{Data, Tx};
use crate::store::Write;

/// What a batch touches of what somebody is interested in.
pub(in crate::data) struct Touched {
    /// In the order in which they were touched first.
    keys: Vec<Key>,
    remapped: Vec<Remap>,
    now_ms: u64,
}

/// A key that may have something for those who wait for it.
#[derive(Debug)]
pub(in crate::data) struct Ready {
    pub(super) hash: u64,
    pub(super) database: u32,
    pub(super) key: Bytes,
}

/// A key record, and whether the batch removes it.
struct Key {
    record_key: Bytes,
    removed: bool,
}

/// A database that gets another namespace.
struct Remap {
    database: u32,
    old: u32,
    new: u32,
}

impl Tx<'_> {
    /// What it is to tell of, once it was applied. It is asked before.
    #[inline]
    pub(in crate::data) fn touches(&self) -> Option<Touched> {
        if self.data().interests.are_any() { self.find_touched() } else { None }
    }

    #[cold]
    fn find_touched(&self) -> Option<Touched> {
        let interests = &self.data().interests;
        let is_met = |record_key: &Bytes| {
            Place::from_record_key(record_key).is_some_and(|place| interests.are_in(place.hash, place.key))
        };
        let written = self.writes().filter_map(|write| {
            let record_key = key_of(write).filter(|key| is_met(key))?.clone();
            Some(Key { record_key, removed: matches!(write, Write::Delete(_)) })
        });
        let inside = self.touched_inside.iter().filter(|key| is_met(key));
        let inside = inside.map(|record_key| Key { record_key: record_key.clone(), removed: false });
        let keys: Vec<Key> = written.chain(inside).collect();
        let remapped: Vec<Remap> = self.remaps().collect();
        let any = !keys.is_empty() || !remapped.is_empty();
        any.then_some(Touched { keys, remapped, now_ms: self.now_ms() })
    }

    /// Notes that a page of what a key holds is changed, and its key record is not.
    #[inline]
    pub(in crate::data) fn touch_inside(&mut self, place: &Place<'_>) {
        // Nobody becomes interested until the stripe is given back.
        if self.data().interests.are_any() {
            let mut record_key = Vec::new();
            place.record_key(&mut record_key);
            self.touched_inside.push(record_key.into());
        }
    }

    /// The databases that get another namespace, each once.
    fn remaps(&self) -> impl Iterator<Item = Remap> {
        self.remapped.iter().enumerate().filter_map(|(at, &(database, _))| {
            let first = self.remapped[..at].iter().all(|(other, _)| *other != database);
            let old = self.data().catalog.namespace(database);
            first.then(|| Remap { database, old, new: self.namespace(database) })
        })
    }
}

impl Touched {
    /// Tells those who watch, and says which keys have something for those who wait. The batch was applied, and its stripes are
    /// held.
    #[cold]
    pub(super) fn tell(&self, data: &Data) -> Vec<Ready> {
        let mut ready = Vec::new();
        for key in &self.keys {
            let Some(place) = Place::from_record_key(&key.record_key) else { continue };
            data.interests.visit(place.hash, place.key, |at_key| {
                if self.is_of(data, at_key.database, place.namespace) {
                    at_key.watchers.values_mut().for_each(|watcher| watcher.see(key.removed));
                    if !key.removed && !at_key.waiting.is_empty() {
                        let (hash, key) = (place.hash, Bytes::copy_from_slice(place.key));
                        ready.push(Ready { hash, database: at_key.database, key });
                    }
                }
            });
        }
        if !self.remapped.is_empty() {
            data.interests.visit_all(|key, at_key| {
                if let Some(remap) = self.remapped.iter().find(|remap| remap.database == at_key.database) {
                    self.tell_of_remap(data, key, at_key, remap);
                    if !at_key.waiting.is_empty() {
                        ready.push(Ready {
                            hash: data.hash(key),
                            database: remap.database,
                            key: key.clone(),
                        });
                    }
                }
            });
        }
        ready
    }

    /// Whether a namespace is, or was before the batch, that of a database.
    fn is_of(&self, data: &Data, database: u32, namespace: u32) -> bool {
        let was = self.remapped.iter().any(|remap| remap.database == database && remap.old == namespace);
        was || data.catalog.namespace(database) == namespace
    }

    fn tell_of_remap(&self, data: &Data, key: &Bytes, at_key: &mut AtKey, remap: &Remap) {
        let before = self.state(data, remap.old, key);
        let after = self.state(data, remap.new, key);
        for watcher in at_key.watchers.values_mut() {
            watcher.see_other_database(before, after);
        }
    }

    fn state(&self, data: &Data, namespace: u32, key: &Bytes) -> State {
        let mut record_key = Vec::new();
        Place { namespace, hash: data.hash(key), key }.record_key(&mut record_key);
        // Where it cannot be read it may be there.
        let Ok(got) = data.store.get(&record_key) else { return State::There };
        match got.value.map(Record::decode) {
            None => State::Absent,
            Some(Some(record)) if record.head.expires_at_ms.is_some_and(|at| at <= self.now_ms) => {
                State::Expired
            }
            Some(_) => State::There,
        }
    }
}

/// What is of a key in one namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    /// As good as absent, and not removed yet.
    Expired,
    There,
}

impl Watcher {
    /// The key was written or removed.
    fn see(&mut self, removed: bool) {
        if self.expired && removed {
            self.expired = false;
        } else {
            self.told.tell();
        }
    }

    /// Another namespace has come into the place of the key's.
    fn see_other_database(&mut self, before: State, after: State) {
        match (before, after) {
            (State::Absent, State::Absent) => {}
            // What was gone already for who watches it is gone, or still there and expired.
            (_, State::Absent) if self.expired => self.expired = false,
            (_, State::Expired) if self.expired => {}
            (State::Absent, State::Expired) => self.expired = true,
            _ => self.told.tell(),
        }
    }
}
