//! Keys that stand by their hash: to go through all of them, a leaf a step. To find one is in `leaf`.
//!
//! Invariant: what is there from the first step of a scan to the last is returned exactly once, however the tree is cut and
//! joined meanwhile: a step ends at a hash, not at a node, and returns what stands before it and has not been passed.

use bytes::Bytes;

use super::order::{Hashed, Slot};
use super::{Ground, Pages, Tree};

impl Tree<Hashed> {
    /// Steps of a scan from `cursor` on, a number of 53 bits, until `count` entries are found; and where to go on, 0 at the end.
    ///
    /// # Errors
    /// As [`Tree::scan`].
    pub(in crate::data) fn scan_some<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        cursor: u64,
        count: usize,
    ) -> Result<(Vec<Bytes>, u64), P::Error> {
        let mut found = Vec::new();
        let mut from = Slot(cursor);
        loop {
            let (entries, next) = self.scan(ground, from)?;
            found.extend(entries);
            match next {
                None => return Ok((found, 0)),
                Some(next) if found.len() >= count => return Ok((found, next.0)),
                Some(next) => from = next,
            }
        }
    }

    /// One step of a scan: the entries from `from` to the end of a leaf, and where the next step begins, if there is one.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged.
    pub(in crate::data) fn scan<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        from: Slot,
    ) -> Result<(Vec<Bytes>, Option<Slot>), P::Error> {
        let cursor = self.seek(ground, &from)?;
        let whole = Slot::of_separator(cursor.start_of_leaf()) >= from;
        let next = cursor.end_of_leaf().map(Slot::of_separator);
        let mut cursor = cursor.at(0);
        let mut entries = Vec::new();
        while let Some(entry) = cursor.entry_bytes() {
            if whole || self.order.slot_of(&entry) >= from {
                entries.push(entry);
            }
            let at = cursor.leaf.at + 1;
            cursor = cursor.at(at);
        }
        Ok((entries, next))
    }
}
