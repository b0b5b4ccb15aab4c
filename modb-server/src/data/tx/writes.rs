//! What a view of the data is going to write: each store key once, the last write counts. Pure.
//!
//! Where several commands share one batch, each begins with a [savepoint](Writes::save), to which those that fail are
//! [taken back](Writes::roll_back). Invariant: what lies before the savepoint is then as it was, in its old places.

use std::cell::OnceCell;
use std::hash::{BuildHasher as _, Hasher as _};

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::data::layout::{CollectionId, TELLING_FROM};
use crate::store::{Write, spare_list};

/// Up to this many pending writes are searched one by one; above, through a map.
const SEARCHED_WRITES: usize = 16;

/// Room that the map begins with.
const MAPPED_WRITES: usize = 2 * SEARCHED_WRITES;

/// Room that is made for the first of them: for one record with an expiry, and the counters.
const FIRST_WRITES: usize = 4;

/// So many pending writes of one command are full.
const FULL_WRITES: usize = 512;

#[derive(Default)]
pub(super) struct Writes {
    list: Vec<Write>,
    /// Once one of more than [`SEARCHED_WRITES`] is looked for.
    places: OnceCell<Box<Places>>,
    /// None where a batch is one command's: that is dropped as a whole.
    saved: Option<Saved>,
}

/// Where each key is in the list, found by what the list has there.
struct Places {
    table: HashTable<usize>,
    hasher: RandomState,
}

impl Places {
    #[cold]
    fn of(list: &[Write]) -> Box<Self> {
        let capacity = list.len().max(MAPPED_WRITES);
        let mut places = Self { table: HashTable::with_capacity(capacity), hasher: RandomState::default() };
        (0..list.len()).for_each(|at| places.add(at, list));
        Box::new(places)
    }

    fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        hasher.finish()
    }

    fn find(&self, key: &[u8], list: &[Write]) -> Option<usize> {
        let sought = Sought::new(key);
        self.table.find(self.hash(key), |at| sought.is_key_of(&list[*at])).copied()
    }

    /// Notes the key of place `at`, which is not noted yet.
    fn add(&mut self, at: usize, list: &[Write]) {
        let Some(key) = list[at].key() else { return };
        let hash = self.hash(key);
        let Self { table, hasher } = self;
        let rehash = |at: &usize| {
            let mut hasher = hasher.build_hasher();
            hasher.write(list[*at].key().map_or(&[], |key| key));
            hasher.finish()
        };
        table.insert_unique(hash, at, rehash);
    }

    /// Place `at` had this key.
    fn remove(&mut self, at: usize, key: &[u8]) {
        if let Ok(found) = self.table.find_entry(self.hash(key), |place| *place == at) {
            found.remove();
        }
    }
}

/// A store key that is looked for among others.
struct Sought<'k> {
    key: &'k [u8],
    /// What nearly always tells it from others: where it names a record's hash, or a page.
    telling: u64,
}

impl<'k> Sought<'k> {
    #[inline]
    fn new(key: &'k [u8]) -> Self {
        Self { key, telling: telling(key) }
    }

    #[inline]
    fn is_key_of(&self, write: &Write) -> bool {
        write.key().is_some_and(|key| telling(key) == self.telling && **key == *self.key)
    }
}

/// Compared without a call. Of shorter keys it tells nothing.
#[inline]
fn telling(key: &[u8]) -> u64 {
    key.get(TELLING_FROM..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

/// The last savepoint.
#[derive(Default)]
struct Saved {
    /// How many there were.
    len: usize,
    /// Those of them that were overwritten since, in the order in which that was done.
    overwritten: Vec<(usize, Write)>,
}

impl Writes {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many store keys are to be written.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Write> {
        self.list.iter()
    }

    pub(super) fn write(&mut self, write: Write) {
        let Some(key) = write.key() else { return };
        match self.find(key) {
            Some(at) => {
                let write = instead_of(&self.list[at], write);
                let before = std::mem::replace(&mut self.list[at], write);
                if let Some(saved) = &mut self.saved
                    && at < saved.len
                {
                    saved.overwritten.push((at, before));
                }
            }
            None => {
                if self.list.capacity() == 0 {
                    self.list = spare_list(FIRST_WRITES);
                }
                self.list.push(write);
                if let Some(places) = self.places.get_mut() {
                    places.add(self.list.len() - 1, &self.list);
                }
            }
        }
    }

    /// Writes of very many store keys that are not among these, each once: where they are is found out if that is asked.
    pub(super) fn append(&mut self, mut writes: Vec<Write>) {
        self.places.take();
        writes.append(&mut self.list);
        self.list = writes;
    }

    /// What is to become of a store key: `None` nothing, `Some(None)` it is removed.
    pub(super) fn pending(&self, key: &[u8]) -> Option<Option<Bytes>> {
        Some(self.list[self.find(key)?].value().cloned())
    }

    /// Whether a store key is to be written.
    #[inline]
    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    /// Whether so much is to be written since the savepoint that what nobody sees yet had better be written before.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() - self.saved_len() >= FULL_WRITES
    }

    /// Takes out the pages of a collection, which came to be after the savepoint.
    pub(super) fn take_pages(&mut self, id: CollectionId) -> Vec<Write> {
        let is_page = |write: &Write| {
            let page = write.key().and_then(|key| CollectionId::from_page_key(key));
            page.is_some_and(|(owner, _)| owner == id)
        };
        let since = self.list.split_off(self.saved_len());
        self.forget_places(&since);
        let (pages, others): (_, Vec<Write>) = since.into_iter().partition(is_page);
        others.into_iter().for_each(|write| self.write(write));
        pages
    }

    /// Takes all of it.
    pub(super) fn take(&mut self) -> Vec<Write> {
        self.places.take();
        self.saved = None;
        std::mem::take(&mut self.list)
    }

    /// From here on it can be taken back.
    pub(super) fn save(&mut self) {
        let saved = self.saved.get_or_insert_default();
        saved.len = self.list.len();
        saved.overwritten.clear();
    }

    /// Takes back what was written since the savepoint.
    pub(super) fn roll_back(&mut self) {
        let since = self.list.split_off(self.saved_len());
        self.forget_places(&since);
        if let Some(saved) = &mut self.saved {
            for (at, before) in saved.overwritten.drain(..).rev() {
                self.list[at] = before;
            }
        }
    }

    fn saved_len(&self) -> usize {
        self.saved.as_ref().map_or(0, |saved| saved.len)
    }

    #[inline]
    fn find(&self, key: &[u8]) -> Option<usize> {
        if self.list.is_empty() { None } else { self.search(key) }
    }

    fn search(&self, key: &[u8]) -> Option<usize> {
        if self.list.len() <= SEARCHED_WRITES {
            let sought = Sought::new(key);
            return self.list.iter().position(|write| sought.is_key_of(write));
        }
        self.places.get_or_init(|| Places::of(&self.list)).find(key, &self.list)
    }

    /// These stood behind what is in the list now.
    fn forget_places(&mut self, gone: &[Write]) {
        if self.list.len() <= SEARCHED_WRITES {
            self.places.take();
        } else if let Some(places) = self.places.get_mut() {
            for (at, write) in (self.list.len()..).zip(gone) {
                write.key().into_iter().for_each(|key| places.remove(at, key));
            }
        }
    }
}

/// A write of a record that was to be written before: a change is one of what the store has, not of what that would have made.
fn instead_of(before: &Write, write: Write) -> Write {
    match (before, write) {
        (Write::Patch(before), Write::Patch(patch)) => match before.then(patch) {
            Ok(both) => Write::Patch(both),
            Err(whole) => Write::Put(whole.key, whole.value),
        },
        (_, Write::Patch(patch)) => Write::Put(patch.key, patch.value),
        (_, write) => write,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use modb_net::Seq;

    use super::*;
    use crate::store::{Change, Patch, Splices, StoreKey};

    fn key(n: u32) -> Bytes {
        Bytes::from(format!("key {n}"))
    }

    fn put(n: u32, value: u32) -> Write {
        Write::Put(key(n).into(), Bytes::from(value.to_string()))
    }

    fn contents(writes: &Writes) -> BTreeMap<StoreKey, Option<Bytes>> {
        let all = writes.iter().filter_map(Write::key).map(|key| (key.clone(), writes.pending(key).unwrap()));
        all.collect()
    }

    #[test]
    fn what_is_taken_back_is_as_if_it_had_never_been_written() {
        // On both sides of the bound from which places are kept in a map.
        for before in [0, 1, SEARCHED_WRITES as u32, 40] {
            for since in [0, 3, 40] {
                let mut writes = Writes::default();
                (0..before).for_each(|n| writes.write(put(n, 1)));
                writes.save();
                let expected = contents(&writes);
                for n in 0..since {
                    writes.write(put(n, 2));
                    writes.write(Write::Delete(key(n + since / 2).into()));
                    writes.write(put(n, 3));
                }
                writes.roll_back();
                assert_eq!(contents(&writes), expected, "{before} {since}");
                // Also where it is looked for, and a second time.
                for n in 0..before + since {
                    let wanted = (n < before).then(|| Some(Bytes::from("1")));
                    assert_eq!(writes.pending(&key(n)), wanted, "{before} {since} {n}");
                }
                writes.write(put(0, 4));
                writes.roll_back();
                assert_eq!(contents(&writes), expected);
                writes.write(put(99, 5));
                writes.save();
                writes.write(put(99, 6));
                writes.roll_back();
                assert_eq!(writes.pending(&key(99)), Some(Some(Bytes::from("5"))));
            }
        }
    }

    #[test]
    fn keys_that_are_told_apart_by_their_ends_alone_are_two() {
        for others in [0, SEARCHED_WRITES as u32] {
            let mut writes = Writes::default();
            (0..others).for_each(|n| writes.write(put(n, 1)));
            for (end, value) in [("a", "1"), ("b", "2"), ("", "3")] {
                writes.write(Write::Put(format!("the same hash {end}").into(), value.into()));
            }
            let pending = |key: &str| writes.pending(key.as_bytes()).flatten();
            assert_eq!(pending("the same hash a"), Some("1".into()));
            assert_eq!(pending("the same hash b"), Some("2".into()));
            assert_eq!(pending("the same hash "), Some("3".into()));
            assert_eq!(pending("the same hash c"), None);
        }
    }

    fn change(base: &'static str, base_seq: u64, value: &'static str) -> Write {
        let patch = Patch {
            key: key(1).into(),
            base_seq: Seq(base_seq),
            value: value.into(),
            change: Change::From(base.into()),
        };
        Write::Patch(Box::new(patch))
    }

    /// The same, by one who knows how it differs: as many bytes give way to these, or all that are there.
    fn splice(base: &str, base_seq: u64, at: usize, added: &str) -> Write {
        let mut splices = Splices::default();
        splices.push(at, added.len().min(base.len() - at), added.as_bytes());
        let value = splices.apply(base.as_bytes()).unwrap().into();
        let patch = Patch { key: key(1).into(), base_seq: Seq(base_seq), value, change: Change::By(splices) };
        Write::Patch(Box::new(patch))
    }

    #[test]
    fn what_changes_twice_is_one_change_of_what_the_store_has() {
        let written = |writes: &[Write]| {
            let mut all = Writes::default();
            writes.iter().for_each(|write| all.write(write.clone()));
            assert_eq!(all.pending(&key(1)), writes.last().map(|write| write.value().cloned()));
            all.take().remove(0)
        };
        let put = Write::Put(key(1).into(), "3".into());
        assert_eq!(written(&[change("1", 7, "2"), change("2", 0, "3")]), change("1", 7, "3"));
        assert_eq!(written(&[change("1", 7, "2"), splice("2", 0, 0, "3")]), change("1", 7, "3"));
        assert_eq!(written(&[Write::Put(key(1).into(), "2".into()), change("2", 0, "3")]), put);
        assert_eq!(written(&[Write::Delete(key(1).into()), change("2", 7, "3")]), put);
        assert_eq!(written(&[change("1", 7, "2"), put.clone()]), put);
        assert_eq!(
            written(&[change("1", 7, "2"), Write::Delete(key(1).into())]),
            Write::Delete(key(1).into())
        );
        let mut writes = Writes::default();
        writes.write(change("1", 7, "2"));
        writes.save();
        writes.write(Write::Delete(key(1).into()));
        writes.roll_back();
        writes.write(change("2", 0, "3"));
        assert_eq!(writes.take(), [change("1", 7, "3")]);
    }

    #[test]
    fn of_two_changes_that_are_known_it_is_known_how_both_differ() {
        let written = |writes: [Write; 2]| {
            let mut all = Writes::default();
            writes.into_iter().for_each(|write| all.write(write));
            all.take().remove(0)
        };
        let [first, second, third] =
            ["--1 and much that stays", "--2 and much that stays", "--3 and much that stays"];
        let Write::Patch(both) = written([splice(first, 7, 2, "2"), splice(second, 0, 2, "3")]) else {
            panic!("a patch")
        };
        let Change::By(splices) = &both.change else { panic!("it is known") };
        assert_eq!((both.base_seq, &both.value[..]), (Seq(7), third.as_bytes()));
        assert_eq!(splices.apply(first.as_bytes()).as_deref(), Some(third.as_bytes()));
        // Where not all is known, or too much changes, it is written whole.
        let put = Write::Put(key(1).into(), third.into());
        assert_eq!(written([splice(first, 7, 2, "2"), change(second, 0, third)]), put);
        let put = Write::Put(key(1).into(), "--2 and much that goes away".into());
        assert_eq!(written([splice(first, 7, 2, "2"), splice(second, 0, 18, "goes away")]), put);
    }

    #[test]
    fn one_command_is_full_whatever_was_written_before_it() {
        let mut writes = Writes::default();
        (0..FULL_WRITES as u32).for_each(|n| writes.write(put(n, 1)));
        assert!(writes.is_full());
        writes.save();
        assert!(!writes.is_full());
        (0..FULL_WRITES as u32).for_each(|n| writes.write(put(1000 + n, 1)));
        assert!(writes.is_full());
    }

    #[test]
    fn pages_are_taken_out_from_among_others() {
        let page = |id, node| {
            let mut key = Vec::new();
            CollectionId(id).page_key(node, &mut key);
            Write::Put(key.into(), Bytes::from("page"))
        };
        let mut writes = Writes::default();
        (0..20).for_each(|n| writes.write(put(n, 1)));
        writes.save();
        for n in 0..20 {
            writes.write(page(7, n + 1));
            writes.write(page(8, n + 1));
            writes.write(put(n + 10, 2));
        }
        assert_eq!(writes.take_pages(CollectionId(7)).len(), 20);
        assert_eq!(writes.iter().count(), 20 + 20 + 10);
        assert_eq!(writes.pending(&key(29)), Some(Some(Bytes::from("2"))));
        writes.roll_back();
        assert_eq!(writes.iter().count(), 20);
        assert_eq!(writes.pending(&key(15)), Some(Some(Bytes::from("1"))));
    }
}
