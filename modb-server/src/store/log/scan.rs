//! A range of all records, in ascending order, streamed: what is dirty in memory laid over the tree, while flushes go on.
//!
//! Invariant: of the two, the tree was looked at later. A flush takes records out of the dirty ones only after
//! the tree has them, and says so (`Table::flushes`), so a page of dirty records that was read after such a word is
//! merged with a tree that is looked at again. Whoever is there throughout is thus seen once, in one or in both.

use std::cmp::Ordering;

use bytes::Bytes;

use super::cold::Cold;
use super::merge::{Merge, Record};
use super::table::{Table, Walk};
use crate::store::StoreError;
use crate::store::glimpse::Portion;

/// See the top of this file. Deleted records are among what it gives.
pub(crate) struct Scan<'a> {
    table: &'a Table,
    cold: &'a dyn Cold,
    to: &'a [u8],
    dirty: Walk<'a>,
    next_dirty: Option<Record>,
    /// [`Table::flushes`] before the tree was looked at.
    flushes: u64,
    tree: Merge,
    /// What the trees before have cost.
    looked_at: u64,
    next_in_tree: Option<Record>,
    /// Below it all has been given.
    at: Vec<u8>,
}

impl<'a> Scan<'a> {
    /// Of `from <= key < to`. `wanted`: how many the caller is likely to read.
    pub(crate) fn new(
        table: &'a Table,
        cold: &'a dyn Cold,
        from: &[u8],
        to: &'a [u8],
        wanted: usize,
    ) -> Result<Self, StoreError> {
        let flushes = table.flushes();
        let mut scan = Self {
            table,
            cold,
            to,
            dirty: table.walk(from, to, wanted),
            next_dirty: None,
            flushes,
            tree: cold.range(from, to),
            looked_at: 0,
            next_in_tree: None,
            at: from.to_vec(),
        };
        scan.next_in_tree = scan.tree.read()?;
        scan.advance_dirty()?;
        Ok(scan)
    }

    /// What it has cost: records that were read, deleted and older ones too, and looks into shards.
    pub(crate) fn looked_at(&self) -> u64 {
        self.looked_at + self.tree.looked_at() + self.dirty.looked_at()
    }

    fn advance_dirty(&mut self) -> Result<(), StoreError> {
        self.next_dirty = self.dirty.next();
        if self.dirty.flushes() != self.flushes {
            self.flushes = self.table.flushes();
            self.looked_at += self.tree.looked_at();
            self.tree = self.cold.range(&self.at, self.to);
            self.next_in_tree = self.tree.read()?;
        }
        Ok(())
    }

    /// The next record, with as much of its value as is wanted.
    pub(crate) fn read<P: Portion>(&mut self) -> Result<Option<(Bytes, Option<P>)>, StoreError> {
        let order = match (&self.next_dirty, &self.next_in_tree) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((dirty, _)), Some((in_tree, _))) => dirty.cmp(in_tree),
        };
        let taken = match order {
            Ordering::Greater => {
                self.next_in_tree.take().map(|record| self.tree.portion(record)).transpose()?
            }
            _ => self.next_dirty.take().map(|(key, value)| (key, value.map(P::of))),
        };
        if let Some((key, _)) = &taken {
            // The least key behind it.
            self.at.clear();
            self.at.extend_from_slice(key);
            self.at.push(0);
        }
        if order != Ordering::Less {
            self.next_in_tree = self.tree.read()?;
        }
        if order != Ordering::Greater {
            self.advance_dirty()?;
        }
        Ok(taken)
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::cold::PinnedTables;
    use super::super::sim::{SimCold, SimDisk};
    use super::super::writer::Position;
    use super::*;

    /// A tree that counts how often it is looked at.
    struct Counting {
        tree: SimCold,
        looks: AtomicUsize,
    }

    impl Counting {
        fn new() -> Self {
            Self { tree: SimCold::new(SimDisk::default()), looks: AtomicUsize::new(0) }
        }
    }

    impl Cold for Counting {
        fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
            self.tree.get(key)
        }

        fn range(&self, from: &[u8], to: &[u8]) -> Merge {
            self.looks.fetch_add(1, Ordering::Relaxed);
            self.tree.range(from, to)
        }

        fn position(&self) -> Result<Position, StoreError> {
            self.tree.position()
        }

        fn ingest(
            &self,
            position: &Position,
            records: &mut dyn Iterator<Item = Result<Record, StoreError>>,
            before_publish: &mut dyn FnMut() -> Result<(), StoreError>,
        ) -> Result<(), StoreError> {
            self.tree.ingest(position, records, before_publish)
        }

        fn compact_step(&self) -> Result<bool, StoreError> {
            self.tree.compact_step()
        }

        fn compact_all(&self) -> Result<(), StoreError> {
            self.tree.compact_all()
        }

        fn runs(&self) -> usize {
            0
        }

        fn files(&self) -> Vec<String> {
            self.tree.files()
        }

        fn pin(&self) -> Result<PinnedTables, StoreError> {
            self.tree.pin()
        }

        fn disk_bytes(&self) -> u64 {
            0
        }
    }

    const RECORDS: u64 = 3000;

    fn key(n: u64) -> Bytes {
        let mut key = vec![0x10, 0, 0, 0, 1];
        key.extend_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        Bytes::from(key)
    }

    fn flush(table: &Table, cold: &dyn Cold) {
        let mut run = table.flush_run().map(Ok);
        cold.ingest(&Position::default(), &mut run, &mut || Ok(())).unwrap();
        table.flushed();
    }

    fn filled() -> (Table, Counting) {
        let (table, cold) = (Table::new(1 << 30), Counting::new());
        for n in 0..RECORDS {
            table.write(&key(n), Some(&Bytes::from_static(b"v")), n + 1);
        }
        (table, cold)
    }

    #[test]
    fn a_scan_over_many_deletions_looks_at_the_tree_once() {
        let (table, cold) = filled();
        flush(&table, &cold);
        for n in 1..RECORDS {
            table.write(&key(n), None, RECORDS + n);
        }
        cold.looks.store(0, Ordering::Relaxed);
        let scan = Scan::new(&table, &cold, &[1], &[0xff], 1).unwrap();
        let live: Vec<_> = scan.map(Result::unwrap).filter(|(_, value)| value.is_some()).collect();
        assert_eq!(live.len(), 1);
        assert_eq!(cold.looks.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_is_flushed_while_a_scan_is_under_way_is_seen_once() {
        for read_before in [0, 1, 100, 2000] {
            let (table, cold) = filled();
            let mut scan = Scan::new(&table, &cold, &[1], &[0xff], 10).unwrap();
            let mut seen: Vec<Bytes> =
                scan.by_ref().take(read_before).map(|record| record.unwrap().0).collect();
            flush(&table, &cold);
            seen.extend(scan.map(|record| record.unwrap().0));
            let mut expected: Vec<Bytes> = (0..RECORDS).map(key).collect();
            expected.sort();
            assert!(seen == expected, "{} of {RECORDS} after {read_before}", seen.len());
        }
    }
}
