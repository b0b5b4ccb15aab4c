//! What is written to a store: a batch of writes, which happen together or not at all. Pure.

use bytes::Bytes;

use super::{Patch, StoreError, StoreKey, key};

/// A number that commits add to; kept by the store beside the records, exact through crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Counter(pub u32);

/// One write of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets a record.
    Put(StoreKey, Bytes),
    /// Sets a record that is there: an engine may keep how it differs from what it was, and no more.
    Patch(Box<Patch>),
    /// Removes a record; nothing happens if there is none.
    Delete(StoreKey),
    /// Adds to a counter.
    Add(Counter, i64),
}

impl Write {
    /// The key of the record that is written.
    #[inline]
    pub(crate) fn key(&self) -> Option<&StoreKey> {
        match self {
            Self::Put(key, _) | Self::Delete(key) => Some(key),
            Self::Patch(patch) => Some(&patch.key),
            Self::Add(..) => None,
        }
    }

    /// What the record becomes; `None`: it is removed, or there is none.
    pub(crate) fn value(&self) -> Option<&Bytes> {
        match self {
            Self::Put(_, value) => Some(value),
            Self::Patch(patch) => Some(&patch.value),
            Self::Delete(_) | Self::Add(..) => None,
        }
    }
}

/// Writes that happen together or not at all, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The writes, oldest first; a later write of the same key wins.
    pub writes: Vec<Write>,
}

impl Batch {
    /// Refuses keys that no engine can hold, before anything is changed.
    pub(super) fn check_keys(&self) -> Result<(), StoreError> {
        for write in &self.writes {
            if let Some(key) = write.key()
                && !key::is_possible(key)
            {
                return Err(StoreError::ImpossibleKey(key.len()));
            }
        }
        Ok(())
    }
}
