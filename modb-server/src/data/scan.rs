//! Walking over the keys of a database, in the order of their hashes.
//!
//! The cursor of `SCAN` is the upper 53 bits of a hash: it needs no memory in the server, survives restarts, and
//! fits a JavaScript number and a signed 64-bit integer, which clients keep it in. Invariant: keys that share
//! these bits are returned together, so a key that is there throughout always appears, and appears once.
//!
//! Within a transaction a walk sees what the commands before it have written: it is laid over each page that is read.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::layout::{self, Outline, Place};
use super::{DataError, Tx};
use crate::store::Glimpse;

/// The bits of a hash that a cursor leaves out.
pub(super) const CURSOR_SHIFT: u32 = 11;

/// Records read at once when a whole database is walked.
const PAGE_RECORDS: usize = 1024;

/// Records that were deleted, and that the store still has to pass, after which a page ends with what it has: a
/// millisecond at most.
const MOST_PASSED: usize = 1000;

/// Some keys of a database.
#[derive(Debug, Default)]
pub struct KeyPage {
    /// The keys that have not expired, with what is known of their records.
    pub keys: Vec<(Bytes, Outline)>,
    /// Where to go on; 0: all were seen.
    pub cursor: u64,
}

/// A store key, and a glimpse of its record: a walk reads no large value.
type Found = (Bytes, Glimpse);

impl Tx<'_> {
    /// Reads about `count` keys from `cursor` on (0: from the beginning); fewer, or none, where many were deleted. Takes no
    /// lock: see [`KeyPage`] for what is promised to a walk while others write.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn scan(&self, database: u32, cursor: u64, count: usize) -> Result<KeyPage, DataError> {
        let (namespace, now_ms) = (self.namespace(database), self.now_ms());
        let Some(hash) = cursor.checked_mul(1 << CURSOR_SHIFT) else { return Ok(KeyPage::default()) };
        let to = layout::records_to(namespace);
        let mut from = layout::records_from(namespace, hash);
        let mut page = KeyPage::default();
        let mut group = None;
        loop {
            // One more than asked for: the first key of the next group ends this one.
            let most_looked_at = count.saturating_add(MOST_PASSED);
            let store = self.data().store();
            let mut records = store.glimpse_some(&from, &to, count.saturating_add(1), most_looked_at)?;
            if self.has_writes() {
                let upto = records.next.as_deref().unwrap_or(&to);
                records.records = self.laid_over(records.records, &from, upto);
            }
            for (key, value) in records.records {
                let (user_key, hash) = split(&key)?;
                let at = hash >> CURSOR_SHIFT;
                if page.keys.len() >= count && group != Some(at) {
                    page.cursor = at;
                    return Ok(page);
                }
                group = Some(at);
                let record =
                    Outline::decode(value).ok_or(DataError::Corrupt("a key record has an unknown tag"))?;
                if record.head.expires_at_ms.is_none_or(|at| at > now_ms) {
                    page.keys.push((user_key, record));
                }
            }
            let Some(next) = records.next else { return Ok(page) };
            let at = hash_in(&next)? >> CURSOR_SHIFT;
            if at > cursor && group != Some(at) {
                page.cursor = at;
                return Ok(page);
            }
            from = next;
        }
    }

    /// Calls `visit` with every key that has not expired, until it answers `false`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn for_each_key(
        &self,
        database: u32,
        mut visit: impl FnMut(Bytes, Outline) -> bool,
    ) -> Result<(), DataError> {
        let mut cursor = 0;
        loop {
            let page = self.scan(database, cursor, PAGE_RECORDS)?;
            for (key, record) in page.keys {
                if !visit(key, record) {
                    return Ok(());
                }
            }
            if page.cursor == 0 {
                return Ok(());
            }
            cursor = page.cursor;
        }
    }

    /// What there is in a part of the store, with what this has written there.
    fn laid_over(&self, found: Vec<Found>, from: &[u8], upto: &[u8]) -> Vec<Found> {
        let mut all: BTreeMap<Bytes, Glimpse> = found.into_iter().collect();
        for write in self.writes() {
            let Some(key) = write.key().filter(|key| from <= &key[..] && &key[..] < upto) else { continue };
            match write.value() {
                Some(value) => all.insert(key.clone().into(), Glimpse::of(value)),
                None => all.remove(&key[..]),
            };
        }
        all.into_iter().collect()
    }
}

fn split(store_key: &Bytes) -> Result<(Bytes, u64), DataError> {
    let place = Place::from_record_key(store_key).ok_or(DataError::Corrupt("a record key is too short"))?;
    Ok((store_key.slice_ref(place.key), place.hash))
}

fn hash_in(store_key: &[u8]) -> Result<u64, DataError> {
    Place::from_record_key(store_key)
        .map(|place| place.hash)
        .ok_or(DataError::Corrupt("a record key is too short"))
}
