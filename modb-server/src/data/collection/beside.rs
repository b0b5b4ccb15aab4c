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
        let site = self.enter(id);
        data.store().apply(Batch { writes: vec![grave(id, next)] })?;
        Ok(site)
    }

    fn enter(&self, id: CollectionId) -> Site {
        self.lock().insert(id);
        Site { sites: self.clone(), id }
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
    /// Writes the pages of a collection that came to be with this, and whose nodes have numbers below `next`, if they have
    /// become too many for its batch.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn spill(&mut self, id: CollectionId, next: u32) -> Result<(), DataError> {
        if !self.is_full() {
            return Ok(());
        }
        if !self.data().sites().has(id) {
            let site = self.data().sites().enter(id);
            self.keep(site);
        }
        let mut writes = self.take_pages(id);
        writes.push(grave(id, next));
        self.data().store().apply_beside(Batch { writes })?;
        self.write(Write::Delete(id.grave_key()));
        Ok(())
    }

    /// The payload of a copy of what `record` holds, whose pages are written by the time this returns.
    ///
    /// # Errors
    /// If a page cannot be read or written.
    pub fn copy(&mut self, record: &Record) -> Result<Bytes, DataError> {
        let Some((from, next)) = number_in(record.head.kind, record.payload()) else {
            return Ok(record.to_payload());
        };
        let site = self.data().sites().begin(self.data(), next)?;
        let to = site.id;
        self.keep(site);
        let mut writes = Vec::with_capacity(PAGES_PER_BATCH);
        for node in 1..next {
            // A number that was taken and given back before its first page was written has none.
            if let Some(page) = self.read_page(from, node)?.value {
                writes.push(Write::Put(to.to_page_key(node).into(), page));
            }
            if writes.len() == PAGES_PER_BATCH || node + 1 == next {
                self.data().store().apply_beside(Batch { writes: std::mem::take(&mut writes) })?;
            }
        }
        self.write(Write::Delete(to.grave_key()));
        Ok(with_number(record.payload(), to))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::{Set, Tally, check};
    use crate::messages::Event;
    use crate::store::{EngineKind, OpenOptions, Store, open};

    const MEMBERS: u32 = 10_000;

    fn open_data(store: &Arc<dyn Store>) -> Data {
        let data = Data::open(store.clone(), 16, false).unwrap();
        data.keep_pages_small(true);
        data
    }

    /// Builds a large set at `key`, and does `then` before it is committed, if that says so.
    fn build(data: &Data, then: impl FnOnce() -> bool) {
        let (tally, mut buf, held) =
            (Tally::default(), Vec::new(), data.hold_sleeping(crate::data::Need::everything()));
        let mut tx = Tx::new(data, &held, &tally, &mut buf, 0);
        let entry = tx.entry(0, b"key").unwrap();
        let mut set = Set::replacing(&tx, entry);
        for number in 0..MEMBERS {
            assert!(set.add(&mut tx, format!("m{number}").as_bytes()).unwrap());
        }
        set.save(&mut tx, Event::SET).unwrap();
        if then() {
            tx.commit().unwrap();
        }
    }

    /// How many pages and graves there are.
    fn left(store: &Arc<dyn Store>) -> usize {
        store.scan(&[0x11], &[0x13], usize::MAX >> 1).unwrap().records.len()
    }

    fn graves(store: &Arc<dyn Store>) -> usize {
        let (from, to) = crate::data::layout::graves_range();
        store.scan(&from, &to, 10).unwrap().records.len()
    }

    fn assert_whole(store: &Arc<dyn Store>) {
        assert_eq!(check(&**store, &mut |_, _| {}).unwrap().described, [""; 0]);
    }

    #[test]
    fn what_is_large_is_written_before_its_key_and_seen_with_it() {
        let store = open(&OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") }).unwrap();
        let data = open_data(&store);
        build(&data, || {
            assert!(left(&store) > 1000, "only the last pages are in the batch");
            assert_eq!((graves(&store), data.sizes(0).0), (1, 0), "nobody sees half");
            // A crash now leaves a grave.
            assert_whole(&store);
            assert!(data.sweep_ended(&mut || Ok(())).unwrap());
            assert!(left(&store) > 1000, "the housekeeper leaves it alone");
            true
        });
        assert_eq!((graves(&store), data.sizes(0).0), (0, 1));
        assert_whole(&store);
        assert!(data.sweep_ended(&mut || Ok(())).unwrap());
        assert_whole(&store);
        let (tally, mut buf, held) =
            (Tally::default(), Vec::new(), data.hold_sleeping(crate::data::Need::everything()));
        let mut tx = Tx::new(&data, &held, &tally, &mut buf, 0);
        let mut set = Set::find(&mut tx, 0, b"key").unwrap().unwrap();
        assert_eq!(set.len(), u64::from(MEMBERS));
        assert!(set.contains(&mut tx, b"m9999").unwrap());
    }

    #[test]
    fn what_is_given_up_half_built_leaves_nothing() {
        let store = open(&OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") }).unwrap();
        let data = open_data(&store);
        build(&data, || false);
        assert!(left(&store) > 1000);
        assert_whole(&store);
        assert!(data.sites().were_left());
        assert!(data.sweep_ended(&mut || Ok(())).unwrap());
        assert_eq!(left(&store), 0);
        // Also by the process after one that was killed.
        let killed = std::mem::ManuallyDrop::new(open_data(&store));
        build(&killed, || false);
        assert!(open_data(&store).sweep_ended(&mut || Ok(())).unwrap());
        assert_eq!(left(&store), 0);
        assert_whole(&store);
    }
}
