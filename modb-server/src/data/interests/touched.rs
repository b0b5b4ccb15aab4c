//! What a batch touches: those interested are told of it once it was applied.
//!
//! Invariant: what was there before the batch is looked at before it is applied. Afterwards what is left of a database that was
//! flushed is nobody's, and swept at any moment.

use std::collections::HashMap;

use bytes::Bytes;

use super::AtKey;
use super::watcher::State;
use crate::data::Data;
use crate::data::layout::{Outline, Place};

/// What a batch touches of what somebody is interested in.
pub(in crate::data) struct Touched {
    /// In the order in which they were touched first.
    pub(in crate::data) keys: Vec<Key>,
    pub(in crate::data) remapped: Vec<Remap>,
    pub(in crate::data) now_ms: u64,
    /// The client that goes on tracking what it changes, if it is told nothing of what it does itself.
    pub(in crate::data) keeps: Option<u64>,
}

/// A key that may have something for those who wait for it.
#[derive(Debug)]
pub(in crate::data) struct Ready {
    pub(super) hash: u64,
    pub(super) database: u32,
    pub(super) key: Bytes,
}

/// A key record, and whether the batch removes it.
pub(in crate::data) struct Key {
    pub(in crate::data) record_key: Bytes,
    pub(in crate::data) removed: bool,
}

/// A database that gets another namespace.
pub(in crate::data) struct Remap {
    database: u32,
    old: u32,
    new: u32,
    /// What was of the keys that somebody is interested in.
    before: HashMap<Bytes, State>,
}

impl Remap {
    /// Before the batch is applied. Every stripe is held, so that nobody becomes interested until those who are were told.
    pub(in crate::data) fn new(data: &Data, database: u32, old: u32, new: u32, now_ms: u64) -> Self {
        let mut before = HashMap::new();
        data.interests.visit_all(|key, at_key| {
            if at_key.database == database {
                before.insert(key.clone(), state(data, old, key, now_ms));
            }
        });
        Self { database, old, new, before }
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
            if self.is_of_any(data, place.namespace) {
                data.interests.untrack(place.hash, place.key, self.keeps);
            }
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

    /// As `is_of`, whichever database it is.
    pub(super) fn is_of_any(&self, data: &Data, namespace: u32) -> bool {
        (0..data.databases()).any(|database| self.is_of(data, database, namespace))
    }

    fn tell_of_remap(&self, data: &Data, key: &Bytes, at_key: &mut AtKey, remap: &Remap) {
        let before = remap.before.get(key).copied().unwrap_or(State::Absent);
        let after = state(data, remap.new, key, self.now_ms);
        for watcher in at_key.watchers.values_mut() {
            watcher.see_other_database(before, after);
        }
    }
}

/// What is of a key in a namespace.
fn state(data: &Data, namespace: u32, key: &Bytes, now_ms: u64) -> State {
    let mut record_key = Vec::new();
    Place { namespace, hash: data.hash(key), key }.record_key(&mut record_key);
    // Where it cannot be read it may be there.
    let Ok(got) = data.store.glimpse(&record_key) else { return State::There };
    match got.value.map(Outline::decode) {
        None => State::Absent,
        Some(Some(record)) if record.head.expires_at_ms.is_some_and(|at| at <= now_ms) => State::Expired,
        Some(_) => State::There,
    }
}
