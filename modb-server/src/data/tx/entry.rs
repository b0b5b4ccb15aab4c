//! A key as a [`Tx`](super::Tx) found it.

use bytes::Bytes;
use modb_net::Seq;

use crate::data::layout::{Head, Kind, Place, Record, Stored};
use crate::store::{Change, Patch, Write};

/// Payloads of fewer bytes are written whole: a patch would hardly be shorter.
const LEAST_PATCHED_BYTES: usize = 64;
/// And so are those of more, since what there was is copied to be compared.
const MOST_PATCHED_BYTES: usize = 4 << 20;

/// A key as a `Tx` found it, with its record, or with an outline of that. Stale once the same key was written.
#[derive(Debug)]
pub struct Entry<'k, R = Record> {
    pub(super) place: Place<'k>,
    /// The database that the key is in, unless it is in one that was flushed.
    pub(super) database: Option<u32>,
    pub(super) stored: Option<R>,
    /// The commit that the read of it named.
    pub(super) seq: Seq,
    pub(super) expired: bool,
}

impl<'k, R: Stored> Entry<'k, R> {
    /// The record, unless there is none or it has expired.
    pub fn live(&self) -> Option<&R> {
        if self.expired { None } else { self.stored.as_ref() }
    }

    /// As [`Entry::live`], taken out.
    pub fn into_live(self) -> Option<R> {
        if self.expired { None } else { self.stored }
    }

    /// Whether it is stored, and as good as absent.
    pub(in crate::data) fn has_expired(&self) -> bool {
        self.expired
    }

    /// Where it is.
    pub(in crate::data) fn place(&self) -> &Place<'k> {
        &self.place
    }

    /// The database that the key is in, unless it is in one that was flushed.
    pub(super) fn database(&self) -> Option<u32> {
        self.database
    }

    /// The expiry of what is stored, expired or not.
    pub(in crate::data) fn expires_at_ms(&self) -> Option<u64> {
        self.stored.as_ref()?.head().expires_at_ms
    }

    /// A collection, with the expiry that the key has now if it `expires`.
    pub(in crate::data) fn collection_head(&self, kind: Kind, expires: bool) -> Head {
        let expires_at_ms = self.live().filter(|_| expires).and_then(|record| record.head().expires_at_ms);
        Head { kind, ..Head::STRING }.expiring(expires_at_ms)
    }

    /// The key.
    pub fn key(&self) -> &'k [u8] {
        self.place.key
    }
}

impl Entry<'_> {
    /// What writes its record, as one that differs little from what is stored.
    pub(super) fn changed(&self, value: Bytes) -> Write {
        let store_key = self.place.to_record_key();
        let patched = LEAST_PATCHED_BYTES..=MOST_PATCHED_BYTES;
        match self.stored.as_ref().filter(|stored| patched.contains(&stored.payload().len())) {
            Some(stored) => Write::Patch(Box::new(Patch {
                key: store_key,
                base_seq: self.seq,
                value,
                change: Change::From(stored.whole().clone()),
            })),
            None => Write::Put(store_key, value),
        }
    }
}
