//! The end of a collection: its pages are removed later, by name, some at a time.
//!
//! Invariants: a grave is written in the batch that takes the last key record with its number away, and goes with the last
//! page; so however often a crash comes in between, each page has an owner, and none but its own are removed.

use bytes::Bytes;

use super::payload::number_in;
use crate::data::layout::{self, CollectionId, Record};
use crate::data::{Data, DataError};
use crate::store::{Batch, Write};

/// Pages removed in one batch.
const PAGES_PER_BATCH: u32 = 512;

/// Graves looked at in one go.
const GRAVES_PER_GO: usize = 1024;

/// The grave that a record leaves, if it has pages.
pub(in crate::data) fn bury(record: &Record) -> Option<Write> {
    let (id, next) = number_in(record.head.kind, &record.payload)?;
    Some(grave(id, next))
}

/// The grave of a collection whose nodes have numbers below `next`.
pub(in crate::data) fn grave(id: CollectionId, next: u32) -> Write {
    Write::Put(id.grave_key(), Bytes::copy_from_slice(&next.to_be_bytes()))
}

impl Data {
    /// Removes the pages of all collections that have ended, with `pause` in between. `false`: it was told to stop. May be
    /// interrupted and begun again at any point.
    pub fn sweep_ended(&self, pause: &mut dyn FnMut() -> Result<(), DataError>) -> Result<bool, DataError> {
        let (from, to) = layout::graves_range();
        let mut from = Some(from.to_vec());
        while let Some(begin) = from {
            let graves = self.store().scan(&begin, &to, GRAVES_PER_GO)?;
            from = graves.next;
            for (key, _) in &graves.records {
                let corrupt = || DataError::Corrupt("the grave of a collection");
                let id = CollectionId::from_grave_key(key).ok_or_else(corrupt)?;
                if self.sites().has(id) {
                    continue;
                }
                // What was built until a moment ago has no grave any more: it was read before.
                let Some(value) = self.store().get(key)?.value else { continue };
                let next = u32::from_be_bytes(value.as_ref().try_into().map_err(|_| corrupt())?);
                if !self.sweep_pages(id, next, pause)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn sweep_pages(
        &self,
        id: CollectionId,
        mut next: u32,
        pause: &mut dyn FnMut() -> Result<(), DataError>,
    ) -> Result<bool, DataError> {
        loop {
            let left = next.saturating_sub(PAGES_PER_BATCH).max(1);
            let mut writes: Vec<Write> = (left..next)
                .map(|node| {
                    let mut key = Vec::with_capacity(13);
                    id.page_key(node, &mut key);
                    Write::Delete(key.into())
                })
                .collect();
            writes.push(match left {
                1 => Write::Delete(id.grave_key()),
                _ => grave(id, left),
            });
            self.store().apply_freeing(Batch { writes })?;
            self.store().settle()?;
            if left == 1 {
                return Ok(true);
            }
            next = left;
            if self.is_stopping() {
                return Ok(false);
            }
            pause()?;
        }
    }
}
