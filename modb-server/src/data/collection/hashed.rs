//! What hashes and sets have in common: a tree of keys by hash, each with a value, which is empty in a set.
//!
//! Invariant: a choice is even, and what is chosen together is different: the dice are those of the data, cast anew for each.

use std::collections::HashSet;

use bytes::Bytes;

use super::opened::{Opened, fits};
use crate::data::tree::{Hashed, Tree, read_hashed};
use crate::data::{DataError, Tx};

/// A tree by hash, while a command works on it. An entry of it is read by [`read_hashed`].
pub(super) type ByHash<'k> = Opened<'k, Tree<Hashed>>;

impl ByHash<'_> {
    /// The value of a key.
    pub(super) fn value(&mut self, tx: &mut Tx<'_>, key: &[u8]) -> Result<Option<Bytes>, DataError> {
        self.with(tx, |tree, ground| {
            let entry = tree.find(ground, &tree.order.key(key))?.entry_bytes();
            Ok(entry.map(|entry| entry.slice_ref(read_hashed(&entry).1)))
        })
    }

    /// Gives a key a value; returns what `see` makes of the one that it had. One that is there keeps its place.
    pub(super) fn put<W>(
        &mut self,
        tx: &mut Tx<'_>,
        key: &[u8],
        value: &[u8],
        see: impl FnOnce(&[u8]) -> W,
    ) -> Result<Option<W>, DataError> {
        fits(key.len() + value.len())?;
        let (was, changed) = self.with(tx, |tree, ground| {
            let key = tree.order.key(key);
            let place = tree.find(ground, &key)?;
            let was = place.entry().map(|entry| read_hashed(entry).1);
            let (changed, was) = (was != Some(value), was.map(see));
            if changed {
                tree.put_at(ground, place, &key, Some(&key.entry(value)))?;
            }
            Ok((was, changed))
        })?;
        self.changed |= changed;
        Ok(was)
    }

    /// Removes a key; returns what `see` makes of the value that it had.
    pub(super) fn take<W>(
        &mut self,
        tx: &mut Tx<'_>,
        key: &[u8],
        see: impl FnOnce(&[u8]) -> W,
    ) -> Result<Option<W>, DataError> {
        let was = self.with(tx, |tree, ground| {
            let key = tree.order.key(key);
            let place = tree.find(ground, &key)?;
            let was = place.entry().map(|entry| see(read_hashed(entry).1));
            if was.is_some() {
                tree.put_at(ground, place, &key, None)?;
            }
            Ok(was)
        })?;
        self.changed |= was.is_some();
        Ok(was)
    }

    /// Visits the entries, leaf by leaf, until `visit` says `false`.
    pub(super) fn for_each_entry(
        &mut self,
        tx: &mut Tx<'_>,
        mut visit: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), DataError> {
        self.with(tx, |tree, ground| {
            let mut cursor = tree.first(ground)?;
            loop {
                if !cursor.leaf().all(&mut visit) || !tree.next_leaf(ground, &mut cursor)? {
                    return Ok(());
                }
                cursor = cursor.at(0);
            }
        })
    }

    /// All entries.
    pub(super) fn entries(&mut self, tx: &mut Tx<'_>) -> Result<Vec<Bytes>, DataError> {
        let mut all = Vec::with_capacity(usize::try_from(self.elements.len).unwrap_or(0));
        self.with(tx, |tree, ground| {
            let mut cursor = tree.first(ground)?;
            while let Some(entry) = cursor.entry_bytes() {
                all.push(entry);
                tree.advance(ground, &mut cursor)?;
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Entries from `cursor` on, at least `count` if there are so many, and where to go on, 0 at the end. What is there
    /// throughout a walk comes exactly once. A compact collection is returned as a whole.
    pub(super) fn walk(
        &mut self,
        tx: &mut Tx<'_>,
        cursor: u64,
        count: usize,
    ) -> Result<(Vec<Bytes>, u64), DataError> {
        if !self.plot.big {
            return Ok((self.entries(tx)?, 0));
        }
        self.steps(tx, cursor, count)
    }

    /// As [`ByHash::walk`], and a compact collection is gone through by hash as well: so each comes once also where one becomes the
    /// other on the way.
    pub(super) fn steps(
        &mut self,
        tx: &mut Tx<'_>,
        cursor: u64,
        count: usize,
    ) -> Result<(Vec<Bytes>, u64), DataError> {
        self.with(tx, |tree, ground| tree.scan_some(ground, cursor, count))
    }

    /// An entry chosen at random, all with the same probability.
    pub(super) fn choose(&mut self, tx: &mut Tx<'_>) -> Result<Option<Bytes>, DataError> {
        let data = tx.data();
        self.with(tx, |tree, ground| tree.sample(ground, &mut |n| data.below(n)))
    }

    /// Removes an entry chosen at random, all with the same probability; returns it.
    pub(super) fn take_one(&mut self, tx: &mut Tx<'_>) -> Result<Option<Bytes>, DataError> {
        let data = tx.data();
        let taken = self.with(tx, |tree, ground| {
            let Some(cursor) = tree.sample_place(ground, &mut |n| data.below(n))? else { return Ok(None) };
            let entry = cursor.entry_bytes();
            tree.splice(ground, cursor, 1, &[])?;
            Ok(entry)
        })?;
        self.changed |= taken.is_some();
        Ok(taken)
    }

    /// `count` different entries of more, chosen at random on a walk over all: each is taken with the probability that those still needed
    /// are among those still to come (Knuth, algorithm S).
    fn choose_on_a_walk(&mut self, tx: &mut Tx<'_>, count: u64) -> Result<Vec<Bytes>, DataError> {
        let data = tx.data();
        let mut chosen = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let (mut to_come, mut needed) = (self.elements.len, count);
        self.for_each_entry(tx, |entry| {
            if data.below(to_come) < needed {
                chosen.push(Bytes::copy_from_slice(entry));
                needed -= 1;
            }
            to_come = to_come.saturating_sub(1);
            needed > 0
        })?;
        // In no order, as one choice after the other would bring them.
        for at in (1..chosen.len()).rev() {
            chosen.swap(at, data.below(at as u64 + 1) as usize);
        }
        Ok(chosen)
    }

    /// `count` different entries chosen at random, or all if there are no more: each choice with the same probability.
    pub(super) fn choose_some(&mut self, tx: &mut Tx<'_>, count: u64) -> Result<Vec<Bytes>, DataError> {
        let len = self.elements.len;
        if count >= len {
            return self.entries(tx);
        }
        // Leaves are half full at least, mostly, and none is empty.
        let leaves = (2 * len / u64::from(self.elements.widest.leaf).max(1)).min(len);
        let pages = self.elements.pages_of_choices(&self.plot.numbers, count);
        // Of more than half most choices are of what was chosen before.
        if self.elements.height == 0 || pages > leaves || count > len / 2 {
            return self.choose_on_a_walk(tx, count);
        }
        let mut chosen = Vec::new();
        let mut seen = HashSet::new();
        while (chosen.len() as u64) < count {
            let Some(entry) = self.choose(tx)? else { break };
            if seen.insert(entry.clone()) {
                chosen.push(entry);
            }
        }
        Ok(chosen)
    }
}

/// The key of an entry, in the memory of the entry.
pub(super) fn key_of(entry: &Bytes) -> Bytes {
    entry.slice_ref(read_hashed(entry).0)
}
