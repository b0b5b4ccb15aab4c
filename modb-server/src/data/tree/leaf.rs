//! A leaf alone: it is found without a copy of any node on the way down, and in a tree by hash it is changed without them.
//!
//! The nodes above a leaf are read once and left, so they are looked at where the store has them. Only a leaf that is cut, joined with
//! another or removed changes those, and one that is alone below the root may take its place: then the way is gone once more.
//!
//! Invariant: a place is good for the tree that made it until that is changed; what changes it takes it away.

use std::ops::Deref;

use bytes::Bytes;

use super::cursor::{Step, number_of_child_in};
use super::edit::{Edit, Fate};
use super::order::{Hashed, HashedKey};
use super::page::{self, Node, fixed_bytes, put_entry, varint_bytes};
use super::{Cursor, Fault, Ground, NodeNumber, Order, Pages, Probe, Tree};
use crate::store::Splices;

/// A place in a leaf of a tree by hash: that of an entry, or its end.
#[derive(Debug)]
pub(in crate::data) struct Place {
    pub(super) leaf: Step,
}

impl Place {
    /// The entry here; `None` at the end.
    pub(in crate::data) fn entry(&self) -> Option<&[u8]> {
        (self.leaf.at < self.leaf.node.count()).then(|| self.leaf.node.entry(self.leaf.at))
    }

    /// As [`Place::entry`], sharing the page's memory.
    pub(in crate::data) fn entry_bytes(&self) -> Option<Bytes> {
        self.leaf.entry_bytes()
    }
}

impl<O: Order> Tree<O> {
    /// The leaf that a probe leads to, 0 if that is the root. In a tree by hash it is that leaf for sure; in others a
    /// separator that was cut off does not tell, and it may be the one behind it.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged.
    pub(in crate::data) fn leaf_towards<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        probe: &impl Probe,
    ) -> Result<NodeNumber, P::Error> {
        if self.height == 0 {
            return Ok(0);
        }
        let mut number = Self::child_in(&self.root[..], 0, probe)?;
        for _ in 1..self.height {
            number = ground.pages.look(number, |page| Self::child_in(page, number, probe))??;
        }
        Ok(number)
    }

    /// The child that a probe leads to, in the page of an inner node.
    fn child_in(
        page: impl Deref<Target = [u8]>,
        number: NodeNumber,
        probe: &impl Probe,
    ) -> Result<NodeNumber, Fault> {
        let node = Node::read(page, Self::INNER, number)?;
        let may = |at: usize, raw: &[u8]| {
            let separator = raw.get(fixed_bytes(O::COUNTED)..);
            at == 0 || separator.is_some_and(|separator| probe.reaches(separator) != Some(false))
        };
        let behind = node.count_passed(may);
        number_of_child_in(&node, number, behind.saturating_sub(1))
    }
}

impl Tree<Hashed> {
    /// The place of a key, or the end of a leaf, where it is to be put.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged; so in all that follow.
    pub(in crate::data) fn find<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        key: &HashedKey<'_>,
    ) -> Result<Place, P::Error> {
        let leaf = self.leaf_towards(ground, &key.slot())?;
        self.find_in(ground, leaf, key)
    }

    /// As [`Tree::find`], in the leaf that [`Tree::leaf_towards`] found for it.
    pub(in crate::data) fn find_in<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        leaf: NodeNumber,
        key: &HashedKey<'_>,
    ) -> Result<Place, P::Error> {
        let mut leaf = self.read_step(ground, leaf, 0)?;
        leaf.at = leaf.node.find(|entry| key.is(entry)).unwrap_or_else(|| leaf.node.count());
        Ok(Place { leaf })
    }

    /// As [`Tree::find`], with the way down.
    pub(super) fn find_way<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        key: &HashedKey<'_>,
    ) -> Result<Cursor, P::Error> {
        let cursor = self.seek(ground, &key.slot())?;
        let found = cursor.leaf.node.find(|entry| key.is(entry));
        Ok(cursor.at(found.unwrap_or(usize::MAX)))
    }

    /// Puts an entry of that key where it was looked for: in the place of the one that it has, or as a new one. `None`: takes it away.
    ///
    /// # Errors
    /// As [`Tree::splice`].
    pub(in crate::data) fn put_at<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        place: Place,
        key: &HashedKey<'_>,
        entry: Option<&[u8]>,
    ) -> Result<(), P::Error> {
        let Place { leaf } = place;
        let gone = leaf.at..(leaf.at + 1).min(leaf.node.count()).max(leaf.at);
        let (remove, inserted) = (gone.len(), usize::from(entry.is_some()));
        if remove + inserted == 0 {
            return Ok(());
        }
        if self.height > 0 && page::count_in(&self.root) > 1 {
            let mut bytes =
                Vec::with_capacity(entry.map_or(0, |entry| varint_bytes(entry.len()) + entry.len()));
            entry.into_iter().for_each(|entry| put_entry(entry, &mut bytes));
            let edit = Edit::new(&leaf.node, gone, bytes, inserted);
            if edit.fate(&leaf.node, ground.limits) == Fate::Stays {
                self.grow(inserted as i64 - remove as i64)?;
                return self.write_edited(ground, leaf, &edit);
            }
        }
        let cursor = self.find_way(ground, key)?;
        self.splice(ground, cursor, remove, entry.as_slice())
    }

    /// In the entry at a place the bytes from `at` on give way to as many others, with which it is that of the same key.
    ///
    /// # Errors
    /// As [`Tree::splice`].
    pub(in crate::data) fn overwrite<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        Place { leaf }: Place,
        at: usize,
        bytes: &[u8],
    ) -> Result<(), P::Error> {
        let mut splices = Splices::default();
        let at = leaf.node.place(leaf.at).start + at;
        let before = leaf.node.page.get(at..at + bytes.len()).ok_or(leaf.damaged("an entry is too short"))?;
        splices.replace(at, before, bytes);
        self.write(ground, leaf, splices)
    }
}
