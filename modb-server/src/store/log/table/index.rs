//! The dirty records of a shard in the order of their keys, without copies of the keys: what scans and flushes walk
//! along. Blocks of entries, each sorted, and all of them in order: a B-tree of two levels, since a shard is small.
//!
//! An entry has the first bytes of its key as a number, so that most comparisons touch no other memory; only keys
//! that begin alike are looked up.
//!
//! Invariant: the record of each entry is in the shard's map; it leaves the index first.

use std::cmp::Ordering;
use std::ops::Bound;

use super::records::{Handle, Records};

/// Entries of a full block: what one insertion moves at most, 3 KiB. Few in tests, so that blocks split.
const BLOCK_ENTRIES: usize = if cfg!(test) { 6 } else { 128 };
/// What a record's entry takes, in bytes: blocks are two thirds full.
pub(super) const ENTRY_BYTES: usize = size_of::<Entry>() * 3 / 2;

/// The first bytes of a key, as a number in two halves: in one it would be aligned to its size, and an entry a third larger.
type Head = [u64; 2];

#[derive(Clone, Copy)]
struct Entry {
    head: Head,
    at: Handle,
}

/// See the top of this file. Its methods take the shard's map, where the keys are.
#[derive(Default)]
pub(super) struct Index {
    /// None is empty.
    blocks: Vec<Vec<Entry>>,
}

impl Index {
    /// Puts in a record that is in the map and not here.
    pub(super) fn insert(&mut self, key: &[u8], at: Handle, records: &Records) {
        let entry = Entry { head: head_of(key), at };
        let (mut block, mut place) = self.place(Bound::Included(key), records);
        if block == self.blocks.len() {
            // Above all: into the last block, or a new one, so that ascending keys leave full blocks behind them.
            match self.blocks.last() {
                Some(last) if last.len() < BLOCK_ENTRIES => (block, place) = (block - 1, last.len()),
                _ => self.blocks.push(Vec::new()),
            }
        } else if self.blocks[block].len() == BLOCK_ENTRIES {
            let upper = self.blocks[block].split_off(BLOCK_ENTRIES / 2);
            self.blocks.insert(block + 1, upper);
            if place > BLOCK_ENTRIES / 2 {
                (block, place) = (block + 1, place - BLOCK_ENTRIES / 2);
            }
        }
        self.blocks[block].insert(place, entry);
    }

    /// Takes out the record with that key, if it is here.
    pub(super) fn remove(&mut self, key: &[u8], records: &Records) {
        let (block, place) = self.place(Bound::Included(key), records);
        let Some(entries) = self.blocks.get_mut(block) else { return };
        if compare(&entries[place], head_of(key), key, records) == Ordering::Equal {
            entries.remove(place);
            if entries.is_empty() {
                self.blocks.remove(block);
            }
        }
    }

    /// The records from there on, ascending.
    pub(super) fn iter_from<'i>(
        &'i self,
        from: Bound<&[u8]>,
        records: &Records,
    ) -> impl Iterator<Item = Handle> + use<'i> {
        let (block, place) = self.place(from, records);
        self.blocks[block..].iter().flatten().skip(place).map(|entry| entry.at)
    }

    /// The block of the first entry from there on, and its place in it; behind the last block if there is none.
    fn place(&self, from: Bound<&[u8]>, records: &Records) -> (usize, usize) {
        let (key, first_after) = match from {
            Bound::Unbounded => return (0, 0),
            Bound::Included(key) => (key, Ordering::Equal),
            Bound::Excluded(key) => (key, Ordering::Greater),
        };
        let head = head_of(key);
        let is_before = |entry: &Entry| compare(entry, head, key, records) < first_after;
        let block = self.blocks.partition_point(|entries| entries.last().is_some_and(is_before));
        let place = self.blocks.get(block).map_or(0, |entries| entries.partition_point(is_before));
        (block, place)
    }
}

fn compare(entry: &Entry, head: Head, key: &[u8], records: &Records) -> Ordering {
    entry.head.cmp(&head).then_with(|| {
        // The invariant says that it is there.
        records.at(entry.at).map_or(Ordering::Less, |record| record.key().cmp(key))
    })
}

/// The first bytes of a key as a number, zeros behind a shorter one: never in another order than the keys are.
fn head_of(key: &[u8]) -> Head {
    let mut head = [0; 16];
    let n = key.len().min(16);
    head[..n].copy_from_slice(&key[..n]);
    let (halves, _) = head.as_chunks::<8>();
    [u64::from_be_bytes(halves[0]), u64::from_be_bytes(halves[1])]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    use proptest::prelude::*;

    use super::super::records::Marks;
    use super::*;

    /// Keys that often begin alike, also beyond what a head holds, or are the beginning of another.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        (prop_oneof![Just(0), Just(14), Just(16), Just(40)], proptest::collection::vec(0u8..3, 0..5))
            .prop_map(|(shared, tail)| [vec![0; shared], tail].concat())
    }

    proptest! {
        #[test]
        fn it_behaves_as_the_standard_map(
            steps in proptest::collection::vec((key(), 0u8..3), 0..300),
            froms in proptest::collection::vec(key(), 10),
        ) {
            let (mut records, mut index, mut model) = (Records::default(), Index::default(), BTreeMap::new());
            for (key, step) in steps {
                if step == 0 {
                    index.remove(&key, &records);
                    if let Some(at) = model.remove(&key) {
                        records.remove_at(at);
                    }
                } else if let Entry::Vacant(place) = model.entry(key) {
                    let at = records.insert_new(place.key(), None, Marks::dirty(1), None).0;
                    index.insert(place.key(), at, &records);
                    place.insert(at);
                }
            }
            for key in &froms {
                for from in [Bound::Unbounded, Bound::Included(&key[..]), Bound::Excluded(&key[..])] {
                    let found: Vec<Handle> = index.iter_from(from, &records).collect();
                    let range = (from, Bound::<&[u8]>::Unbounded);
                    let model = model.iter().map(|(key, at)| (key.as_slice(), *at)).collect::<BTreeMap<_, _>>();
                    prop_assert_eq!(found, model.range::<[u8], _>(range).map(|(_, at)| *at).collect::<Vec<_>>());
                }
            }
            prop_assert!(index.blocks.iter().all(|entries| (1..=BLOCK_ENTRIES).contains(&entries.len())));
        }
    }

    #[test]
    fn ascending_keys_leave_full_blocks() {
        let (mut records, mut index) = (Records::default(), Index::default());
        for n in 0..10 * BLOCK_ENTRIES as u32 {
            let at = records.insert_new(&n.to_be_bytes(), None, Marks::dirty(1), None).0;
            index.insert(&n.to_be_bytes(), at, &records);
        }
        assert_eq!(index.blocks.len(), 10);
    }
}
