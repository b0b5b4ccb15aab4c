//! The end of a collection: its pages are removed later, by name, some at a time.
//!
//! Invariants: a grave is written in the batch that takes the last key record with its number away, and goes with the last
//! page; so however often a crash comes in between, each page has an owner, and none but its own are removed.

use bytes::Bytes;

use super::payload::number_in;
use crate::data::layout::{self, CollectionId, Stored};
use crate::data::{Data, DataError};
use crate::store::{Batch, Write};

/// Pages removed in one batch.
const PAGES_PER_BATCH: u32 = 512;

/// Graves looked at in one go.
const GRAVES_PER_GO: usize = 1024;

/// The grave that a record leaves, if it has pages.
pub(in crate::data) fn bury(record: &impl Stored) -> Option<Write> {
    let (id, next) = number_in(record.head().kind, record.payload_begin())?;
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
        let (mut from, mut swept) = (Some(from.to_vec()), 0);
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
                if !self.sweep_pages(id, next, &mut swept, pause)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Pauses each time that `swept` records are a batch, of however many collections they were: many small ones are as much as a large one.
    fn sweep_pages(
        &self,
        id: CollectionId,
        mut next: u32,
        swept: &mut usize,
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
            *swept += writes.len();
            self.store().apply_freeing(Batch { writes })?;
            self.store().settle()?;
            if *swept >= PAGES_PER_BATCH as usize {
                *swept = 0;
                if !self.pause_sweeping(pause)? {
                    return Ok(false);
                }
            }
            if left == 1 {
                return Ok(true);
            }
            next = left;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::PAGES_PER_BATCH;
    use crate::data::layout::{self, CollectionId};
    use crate::data::{Data, DataError, Need, SortedSet, Tally, Tx, check};
    use crate::messages::Event;
    use crate::store::{EngineKind, OpenOptions, Store, open};

    fn left(store: &dyn Store) -> usize {
        store.scan(&[0x11], &[0x13], 1_000_000).unwrap().records.len()
    }

    fn fill(tx: &mut Tx<'_>, key: &[u8], members: u32) {
        let mut set = SortedSet::open(tx, 0, key).unwrap();
        for number in 0..members {
            set.set(tx, format!("member {number}").as_bytes(), f64::from(number)).unwrap();
        }
        set.save(tx, Event::SET).unwrap();
    }

    #[test]
    fn a_sweep_that_is_interrupted_leaves_a_grave_for_what_is_left() {
        let store = open(&OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") }).unwrap();
        let data = Data::open(Arc::clone(&store), 16, false).unwrap();
        data.keep_pages_small(true);
        let (held, tally) = (data.hold_sleeping(Need::everything()), Tally::default());
        let mut buf = Vec::new();
        let mut tx = Tx::new(&data, &held, &tally, &mut buf, 1000);
        fill(&mut tx, b"key", 3000);
        assert!(tx.delete(0, b"key").unwrap());
        tx.commit().unwrap();
        assert!(left(&*store) > 600, "more than one batch of the sweep");
        assert_eq!(check(&*store, &mut |_, _| {}).unwrap().described, [""; 0]);
        let interrupted = data.sweep_ended(&mut || Err(DataError::Corrupt("on purpose")));
        assert!(interrupted.is_err() && left(&*store) > 1, "some pages, and the grave");
        assert_eq!(check(&*store, &mut |_, _| {}).unwrap().described, [""; 0]);
        assert!(data.sweep_ended(&mut || Ok(())).unwrap());
        assert_eq!(left(&*store), 0);
    }

    #[test]
    fn a_sweep_of_many_small_collections_pauses_as_one_of_a_large_one_does() {
        let store = open(&OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") }).unwrap();
        let data = Data::open(Arc::clone(&store), 16, false).unwrap();
        data.keep_pages_small(true);
        let (held, tally) = (data.hold_sleeping(Need::everything()), Tally::default());
        let mut buf = Vec::new();
        for number in 0..100 {
            let (mut tx, key) = (Tx::new(&data, &held, &tally, &mut buf, 1000), number.to_string());
            fill(&mut tx, key.as_bytes(), 30);
            assert!(tx.delete(0, key.as_bytes()).unwrap());
            tx.commit().unwrap();
        }
        let (swept, mut pauses) = (left(&*store), 0);
        let one = swept / 100;
        assert!((10..PAGES_PER_BATCH as usize / 4).contains(&one), "{one} records of each");
        let swept_all = data.sweep_ended(&mut || {
            pauses += 1;
            Ok(())
        });
        assert!(swept_all.unwrap() && left(&*store) == 0);
        assert!(
            (swept / (PAGES_PER_BATCH as usize + one)..).contains(&pauses),
            "{pauses} pauses, {swept} records"
        );
    }

    #[test]
    fn a_sweep_leaves_a_number_alone_that_a_key_has_since_it_read_the_grave() {
        let store = open(&OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") }).unwrap();
        let data = Data::open(Arc::clone(&store), 16, false).unwrap();
        data.keep_pages_small(true);
        let (held, tally) = (data.hold_sleeping(Need::everything()), Tally::default());
        let (mut buf, mut other_buf) = (Vec::new(), Vec::new());
        let graves = || {
            let (from, to) = layout::graves_range();
            store.scan(&from, &to, 10).unwrap().records
        };
        let mut tx = Tx::new(&data, &held, &tally, &mut buf, 1000);
        fill(&mut tx, b"ended", 3000);
        assert!(tx.delete(0, b"ended").unwrap());
        tx.commit().unwrap();
        let [(ended, _)] = &graves()[..] else { panic!("one grave") };
        // What is built comes behind it in the sweep.
        let mut last = CollectionId::from_grave_key(ended).unwrap();
        while CollectionId(last.0 + 1).grave_key()[..] < ended[..] {
            last = data.new_collection().unwrap();
        }
        let mut tx = Tx::new(&data, &held, &tally, &mut other_buf, 1000);
        fill(&mut tx, b"built", 10_000);
        assert_eq!(graves().len(), 2, "the pages of what is built are there, and its key is not");
        let mut pauses = 0;
        let sweep = data.sweep_ended(&mut || {
            pauses += 1;
            if pauses == 1 { tx.commit().map(drop) } else { Ok(()) }
        });
        assert!(sweep.unwrap() && pauses > 0, "its key came while the other was swept");
        assert_eq!((graves().len(), data.sizes(0).0), (0, 1));
        assert_eq!(check(&*store, &mut |_, _| {}).unwrap().described, [""; 0]);
    }
}
