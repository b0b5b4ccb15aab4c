//! What can be done with one key, once for single calls and for closures of `update`.

use std::time::Duration;

use crate::data::{DataError, Kind, Tx};
use crate::messages::Event;
use crate::value::Value;

/// When a key ceases to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// There is no such key.
    NoKey,
    /// It stays until it is removed.
    Forever,
    /// It has so long.
    Left(Duration),
}

/// One command's view of one keyspace.
pub struct Ops<'a> {
    pub(super) tx: Tx<'a>,
    pub(super) index: u32,
    /// A call of a closure failed half way: what was written is not to be seen.
    pub(super) torn: bool,
}

impl<'a> Ops<'a> {
    pub(super) fn new(tx: Tx<'a>, index: u32) -> Self {
        Self { tx, index, torn: false }
    }

    pub(super) fn get(&mut self, key: &[u8]) -> Result<Option<Value>, DataError> {
        Ok(self.tx.get(self.index, key)?.map(Value::from))
    }

    pub(super) fn exists(&mut self, key: &[u8]) -> Result<bool, DataError> {
        Ok(self.tx.read_outline(self.index, key)?.is_some())
    }

    pub(super) fn kind(&mut self, key: &[u8]) -> Result<Option<Kind>, DataError> {
        Ok(self.tx.read_outline(self.index, key)?.map(|record| record.head.kind))
    }

    pub(super) fn ttl(&mut self, key: &[u8]) -> Result<Ttl, DataError> {
        let now_ms = self.tx.now_ms();
        Ok(match self.tx.read_outline(self.index, key)?.map(|record| record.head.expires_at_ms) {
            None => Ttl::NoKey,
            Some(None) => Ttl::Forever,
            Some(Some(at)) => Ttl::Left(Duration::from_millis(at.saturating_sub(now_ms))),
        })
    }

    pub(super) fn set(&mut self, key: &[u8], value: &[u8], time: Option<Duration>) -> Result<(), DataError> {
        let at = time.map(|time| self.after(time));
        self.tx.set(self.index, key, value, at)
    }

    pub(super) fn set_if_absent(&mut self, key: &[u8], value: &[u8]) -> Result<bool, DataError> {
        let absent = self.tx.outlined(self.index, key)?.live().is_none();
        if absent {
            self.tx.set(self.index, key, value, None)?;
        }
        Ok(absent)
    }

    pub(super) fn compare_and_set(
        &mut self,
        key: &[u8],
        expected: &[u8],
        value: &[u8],
    ) -> Result<bool, DataError> {
        let entry = self.tx.entry(self.index, key)?;
        if entry.string()?.is_none_or(|record| record.payload() != expected) {
            return Ok(false);
        }
        self.tx.put(&entry, entry.string_head(), &[value], Event::SET)?;
        Ok(true)
    }

    pub(super) fn append(&mut self, key: &[u8], tail: &[u8]) -> Result<usize, DataError> {
        self.tx.append(self.index, key, tail)
    }

    pub(super) fn increment(&mut self, key: &[u8], by: i64) -> Result<i64, DataError> {
        self.tx.increment(self.index, key, by)
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> Result<bool, DataError> {
        self.tx.delete(self.index, key)
    }

    pub(super) fn expire(&mut self, key: &[u8], time: Option<Duration>) -> Result<bool, DataError> {
        let at = time.map(|time| self.after(time));
        let event = if at.is_some() { Event::EXPIRE } else { Event::PERSIST };
        self.tx.set_expiry(self.index, key, at, event)
    }

    /// Rounded up: what is to live for a moment lives for a moment.
    fn after(&self, time: Duration) -> u64 {
        let ms = u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.tx.now_ms().saturating_add(ms)
    }
}
