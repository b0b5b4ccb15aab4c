//! Watching keys, from when it begins until it ends.

use std::sync::Arc;

use bytes::Bytes;

use super::watcher::{Told, Watcher};
use super::{Interests, Spot};
use crate::data::{DataError, Tx};

/// A key that is watched until this is dropped.
pub struct Watch {
    interests: Interests,
    spot: Spot,
    /// It had expired when this began.
    expired: bool,
}

impl Watch {
    /// The database of the key.
    pub fn database(&self) -> u32 {
        self.spot.database
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.spot.key
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watch").field(&self.spot).finish()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.interests.leave(&self.spot, |at_key, number| at_key.watchers.remove(&number).map(|_| None));
    }
}

impl Tx<'_> {
    /// Has `told` told when a key is changed, until the [`Watch`] is dropped. Its stripe is held, alone or shared.
    ///
    /// # Errors
    /// As [`Tx::entry`].
    pub fn watch(&mut self, database: u32, key: &[u8], told: &Arc<Told>) -> Result<Watch, DataError> {
        let entry = self.outlined(database, key)?;
        let expired = entry.has_expired();
        let (interests, hash) = (self.data().interests.clone(), self.data().hash(key));
        debug_assert!(self.holds(hash), "whoever enters an interest holds its stripe");
        let watcher = Watcher { told: Arc::clone(told), expired };
        let spot = Spot { hash, database, key: Bytes::copy_from_slice(key), number: interests.number() };
        interests.enter(&spot, None, |at_key, number| at_key.watchers.insert(number, watcher).is_none());
        Ok(Watch { interests, spot, expired })
    }

    /// Whether a key that is watched has expired since, be it removed or not: nobody is told of what only time does. Its stripe is
    /// held.
    ///
    /// # Errors
    /// As [`Tx::entry`].
    pub fn has_expired_since(&mut self, watch: &Watch) -> Result<bool, DataError> {
        Ok(!watch.expired && self.outlined(watch.database(), watch.key())?.has_expired())
    }
}
