//! What is too large for a batch is built beside the data: pages of a new number that has a grave from the first batch on,
//! and loses it with the batch that writes the key record. A crash in between leaves a grave, and nobody sees half.
//!
//! Invariant: the housekeeper leaves a number alone while it is being built: it is in [`Sites`] from before its grave until
//! the view of the data that builds it has ended.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::graves::grave;
use super::payload::{number_in, with_number};
use crate::data::layout::{CollectionId, Record};
use crate::data::{Data, DataError, Tx};
use crate::store::{Batch, Write};

/// Pages written in one batch.
const PAGES_PER_BATCH: usize = 256;

/// The numbers that are being built.
#[derive(Clone, Default)]
pub(in crate::data) struct Sites(Arc<Inner>);

#[derive(Default)]
struct Inner {
    numbers: Mutex<BTreeSet<CollectionId>>,
    /// Some number is no longer being built, and may have a grave.
    left: AtomicBool,
}

impl Sites {
    /// Begins a collection whose nodes have numbers below `next`.
    fn begin(&self, data: &Data, next: u32) -> Result<Site, DataError> {
        let id = data.new_collection()?;
        self.lock().insert(id);
        let site = Site { sites: self.clone(), id };
        data.store().apply(Batch { writes: vec![grave(id, next)] })?;
        Ok(site)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<CollectionId>> {
        self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, id: CollectionId) -> bool {
        self.lock().contains(&id)
    }

    /// Whether any were left since this was asked last.
    pub(in crate::data) fn were_left(&self) -> bool {
        self.0.left.load(Ordering::Relaxed) && self.0.left.swap(false, Ordering::Relaxed)
    }
}

/// A number that is being built, until this is dropped.
pub(in crate::data) struct Site {
    sites: Sites,
    id: CollectionId,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.sites.lock().remove(&self.id);
        self.sites.0.left.store(true, Ordering::Relaxed);
    }
}

impl Tx<'_> {
    /// The payload of a copy of what `record` holds, whose pages are written by the time this returns.
    ///
    /// # Errors
    /// If a page cannot be read or written.
    pub fn copy(&mut self, record: &Record) -> Result<Bytes, DataError> {
        let Some((from, next)) = number_in(record.head.kind, &record.payload) else {
            return Ok(record.payload.clone());
        };
        let site = self.data().sites().begin(self.data(), next)?;
        let to = site.id;
        self.keep(site);
        let mut writes = Vec::with_capacity(PAGES_PER_BATCH);
        for node in 1..next {
            // A number that was taken and given back before its first page was written has none.
            if let Some(page) = self.read_page(from, node)? {
                let mut key = Vec::with_capacity(13);
                to.page_key(node, &mut key);
                writes.push(Write::Put(key.into(), page));
            }
            if writes.len() == PAGES_PER_BATCH || node + 1 == next {
                self.data().store().apply(Batch { writes: std::mem::take(&mut writes) })?;
            }
        }
        self.write(Write::Delete(to.grave_key()));
        Ok(with_number(&record.payload, to))
    }
}
