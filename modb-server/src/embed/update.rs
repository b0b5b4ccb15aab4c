//! What a closure of `update` works with: the keys that were named, and no others.

use std::time::Duration;

use super::ops::{Ops, Ttl};
use super::{Hash, InUpdate, List, Map, Set, SortedSet};
use crate::data::{Kind, Tx};
use crate::error::Error;
use crate::messages::{Frame, Scope};
use crate::value::Value;

/// Up to this many named keys are searched one by one; more are sorted.
const SEARCHED_KEYS: usize = 8;

/// Reads and writes the keys that [`update`](crate::Keyspace::update) was given. What it writes, it reads; others see all of it
/// or nothing. Its calls are those of a [`Keyspace`](crate::Keyspace), and fail with [`Error::KeyNotNamed`] for other keys.
pub struct Update<'a> {
    ops: Ops<'a>,
    /// Sorted, if there are more than are searched one by one.
    named: Vec<&'a [u8]>,
}

impl<'a> Update<'a> {
    pub(super) fn new(tx: Tx<'a>, index: u32, mut named: Vec<&'a [u8]>) -> Self {
        if named.len() > SEARCHED_KEYS {
            named.sort_unstable();
        }
        Self { ops: Ops::new(tx, index), named }
    }

    /// What is to be committed.
    pub(super) fn into_tx(self) -> Result<Tx<'a>, Error> {
        if self.ops.torn {
            return Err(Error::Other("a call failed half way in a closure that went on".into()));
        }
        Ok(self.ops.tx)
    }

    fn on(&mut self, key: &[u8]) -> Result<&mut Ops<'a>, Error> {
        let is_named = if self.named.len() > SEARCHED_KEYS {
            self.named.binary_search(&key).is_ok()
        } else {
            self.named.contains(&key)
        };
        if is_named { Ok(&mut self.ops) } else { Err(Error::KeyNotNamed { key: key.into() }) }
    }

    /// The string at a key.
    ///
    /// # Errors
    /// [`Error::KeyNotNamed`], and as [`Keyspace::get`](crate::Keyspace::get).
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.get(key)?)
    }

    /// Whether the key is there.
    ///
    /// # Errors
    /// As [`Update::get`].
    pub fn exists(&mut self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.exists(key)?)
    }

    /// What a key holds, if it is there.
    ///
    /// # Errors
    /// As [`Update::get`].
    pub fn kind(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Kind>, Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.kind(key)?)
    }

    /// How long the key has.
    ///
    /// # Errors
    /// As [`Update::get`].
    pub fn ttl(&mut self, key: impl AsRef<[u8]>) -> Result<Ttl, Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.ttl(key)?)
    }

    /// Sets a key to a string that does not expire.
    ///
    /// # Errors
    /// [`Error::KeyNotNamed`], and as [`Keyspace::set`](crate::Keyspace::set).
    pub fn set(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.set(key, value.as_ref(), None)?)
    }

    /// Sets a key to a string that expires.
    ///
    /// # Errors
    /// As [`Update::set`].
    pub fn set_for(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<(), Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.set(key, value.as_ref(), Some(time))?)
    }

    /// Sets a key that is not there to a string that does not expire; says whether it did.
    ///
    /// # Errors
    /// As [`Update::set`].
    pub fn set_if_absent(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.set_if_absent(key, value.as_ref())?)
    }

    /// Sets a key that holds `expected`; says whether it did.
    ///
    /// # Errors
    /// As [`Update::set`], and [`Error::WrongType`].
    pub fn compare_and_set(
        &mut self,
        key: impl AsRef<[u8]>,
        expected: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.compare_and_set(key, expected.as_ref(), value.as_ref())?)
    }

    /// Adds bytes to the end of a string; gives its length.
    ///
    /// # Errors
    /// As [`Update::set`], and [`Error::WrongType`].
    pub fn append(&mut self, key: impl AsRef<[u8]>, tail: impl AsRef<[u8]>) -> Result<usize, Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.append(key, tail.as_ref())?)
    }

    /// Adds to the integer at a key (0 if there is none); gives the sum.
    ///
    /// # Errors
    /// [`Error::KeyNotNamed`], and as [`Keyspace::increment`](crate::Keyspace::increment).
    pub fn increment(&mut self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.increment(key, by)?)
    }

    /// The hash at a key, as [`Keyspace::hash`](crate::Keyspace::hash); its calls are a part of this closure's commit.
    ///
    /// # Errors
    /// [`Error::KeyNotNamed`].
    pub fn hash(&mut self, key: impl AsRef<[u8]>) -> Result<Hash<InUpdate<'_, 'a>>, Error> {
        let key = Value::from(key.as_ref());
        Ok(Hash::new(InUpdate::new(self.on(&key)?), key))
    }

    /// The list at a key, as [`Keyspace::list`](crate::Keyspace::list); its calls are a part of this closure's commit.
    ///
    /// # Errors
    /// [`Error::KeyNotNamed`].
    pub fn list(&mut self, key: impl AsRef<[u8]>) -> Result<List<InUpdate<'_, 'a>>, Error> {
        let key = Value::from(key.as_ref());
        Ok(List::new(InUpdate::new(self.on(&key)?), key))
    }

    /// The set at a key, as [`Keyspace::set_at`](crate::Keyspace::set_at); its calls are a part of this closure's commit.
    ///
    /// # Errors
    /// [`Error::KeyNotNamed`].
    pub fn set_at(&mut self, key: impl AsRef<[u8]>) -> Result<Set<InUpdate<'_, 'a>>, Error> {
        let key = Value::from(key.as_ref());
        Ok(Set::new(InUpdate::new(self.on(&key)?), key))
    }

    /// The sorted set at a key, as [`Keyspace::sorted_set`](crate::Keyspace::sorted_set); its calls are a part of this closure's commit.
    ///
    /// # Errors
    /// [`Error::KeyNotNamed`].
    pub fn sorted_set(&mut self, key: impl AsRef<[u8]>) -> Result<SortedSet<InUpdate<'_, 'a>>, Error> {
        let key = Value::from(key.as_ref());
        Ok(SortedSet::new(InUpdate::new(self.on(&key)?), key))
    }

    /// The map at a key, as [`Keyspace::map`](crate::Keyspace::map); its calls are a part of this closure's commit.
    ///
    /// # Errors
    /// [`Error::KeyNotNamed`].
    pub fn map(&mut self, key: impl AsRef<[u8]>) -> Result<Map<InUpdate<'_, 'a>>, Error> {
        let key = Value::from(key.as_ref());
        Ok(Map::new(InUpdate::new(self.on(&key)?), key))
    }

    /// Sends a message to all who listen to a channel, behind the commit of this closure and before that of any other who writes these keys; if the
    /// closure fails, nobody hears of it. Says how many listen now. See [`Database::publish`](crate::Database::publish).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::in_memory()?;
    /// let prices = database.subscribe(&["prices"])?;
    /// database.update(&["tea"], |keys| {
    ///     let price = keys.increment("tea", 1)?;
    ///     keys.publish("prices", format!("tea {price}"))
    /// })?;
    /// assert_eq!(prices.recv()?.payload, "tea 1");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::ValueTooLong`].
    pub fn publish(&mut self, channel: impl AsRef<[u8]>, message: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.send(Scope::Channel, channel.as_ref(), message.as_ref())
    }

    /// As [`Update::publish`], to all who listen to a shard channel. See [`Database::publish_sharded`](crate::Database::publish_sharded).
    ///
    /// # Errors
    /// As [`Update::publish`].
    pub fn publish_sharded(
        &mut self,
        channel: impl AsRef<[u8]>,
        message: impl AsRef<[u8]>,
    ) -> Result<usize, Error> {
        self.send(Scope::Shard, channel.as_ref(), message.as_ref())
    }

    fn send(&mut self, scope: Scope, channel: &[u8], message: &[u8]) -> Result<usize, Error> {
        super::fit_message(channel, message)?;
        let tx = &mut self.ops.tx;
        tx.announce(Frame::new(scope, channel, message));
        Ok(tx.data().exchange().listeners(scope, channel))
    }

    /// Removes a key; says whether it was there.
    ///
    /// # Errors
    /// As [`Update::set`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.delete(key)?)
    }

    /// Lets a key expire; `false` if there is none.
    ///
    /// # Errors
    /// As [`Update::set`].
    pub fn expire(&mut self, key: impl AsRef<[u8]>, time: Duration) -> Result<bool, Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.expire(key, Some(time))?)
    }

    /// Lets a key stay until it is removed; `false` if there is none.
    ///
    /// # Errors
    /// As [`Update::set`].
    pub fn persist(&mut self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref();
        Ok(self.on(key)?.expire(key, None)?)
    }
}

impl std::fmt::Debug for Update<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = self.named.iter().map(|key| Value::from(*key));
        f.debug_list().entries(named).finish()
    }
}
