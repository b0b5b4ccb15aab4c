//! Very many keys at once: see [`Many`].
//!
//! Invariant: what comes of it is what comes of one key after the other, in the order in which they were given; where that could differ
//! ([`Tx::many`] says so), they are taken one after the other.

use bytes::Bytes;

use super::{Entry, Tx};
use crate::data::DataError;
use crate::data::layout::{Head, Outline};
use crate::data::many::{Many, One};
use crate::store::Write;

/// Room for the counters that go with them.
const COUNTERS: usize = 4;

impl<'a> Tx<'a> {
    /// The keys of the command, brought into order before.
    pub fn set_many(&mut self, many: Option<&'a Many>) {
        self.many = many;
    }

    /// Those keys, if they can be taken in their order: they are all that this is to write, they are in this database still, and nobody
    /// is told of each.
    pub fn many(&self, database: u32) -> Option<&'a Many> {
        let fits = |many: &&Many| {
            many.namespace() == self.namespace(database) && self.writes.is_empty() && !self.tells_events()
        };
        self.many.filter(fits)
    }

    /// Whether any of them is there.
    ///
    /// # Errors
    /// As [`Tx::entry`].
    pub fn has_any_of(&mut self, database: u32, many: &Many) -> Result<bool, DataError> {
        for one in many.iter() {
            if self.found(database, &one)?.live().is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sets all of them, whatever they held before, as [`Tx::set`] does.
    ///
    /// # Errors
    /// As [`Tx::entry`].
    pub fn put_all(&mut self, database: u32, many: &Many) -> Result<(), DataError> {
        self.write_all(database, many, |tx, entry, store_key, record| {
            tx.give_way(entry, Head::STRING, None);
            record.map(|record| Write::Put(store_key.into(), record))
        })
    }

    /// Removes all of them; how many were there.
    ///
    /// # Errors
    /// As [`Tx::entry`].
    pub fn delete_all(&mut self, database: u32, many: &Many) -> Result<u64, DataError> {
        let mut removed = 0;
        self.write_all(database, many, |tx, entry, store_key, _| {
            removed += u64::from(entry.live().is_some());
            tx.bury(entry, None);
            tx.give_up(entry).then(|| Write::Delete(store_key.into()))
        })?;
        Ok(removed)
    }

    fn write_all(
        &mut self,
        database: u32,
        many: &Many,
        mut write: impl FnMut(&mut Self, &Entry<'_, Outline>, &[u8], Option<Bytes>) -> Option<Write>,
    ) -> Result<(), DataError> {
        let mut writes = Vec::with_capacity(many.len() + COUNTERS);
        for one in many.iter() {
            let entry = self.found(database, &one)?;
            writes.extend(write(self, &entry, one.store_key, one.record));
        }
        self.writes.append(writes);
        Ok(())
    }

    /// What the key of one of them holds, of a string that is there for good no more than that it is.
    #[inline]
    fn found<'m>(&mut self, database: u32, one: &One<'m>) -> Result<Entry<'m, Outline>, DataError> {
        let got = self.data.store.glimpse_first(one.store_key, Outline::is_lasting_string)?;
        self.read = self.read.max(got.seq);
        self.entry_of(one.place, Some(database), got, Outline::decode)
    }
}
