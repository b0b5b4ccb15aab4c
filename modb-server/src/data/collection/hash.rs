//! Hashes: fields with values.
//!
//! A small one has its fields in the order in which they came, as in Redis; a larger one by hash.

use bytes::Bytes;
use modb_net::resp::{Decimal, parse_i64};

use super::compact::CompactLimit;
use super::hashed::{ByHash, key_of};
use crate::data::layout::Kind;
use crate::data::tree::read_hashed;
use crate::data::{DataError, Tx};
use crate::messages::Event;

/// A hash while a command works on it.
#[derive(Debug)]
pub struct Hash<'k>(ByHash<'k>);

impl<'k> Hash<'k> {
    /// Opens the hash at a key, an empty one if there is no key.
    ///
    /// # Errors
    /// [`DataError::WrongType`], and as [`Tx::entry`].
    pub fn open(tx: &mut Tx<'_>, database: u32, key: &'k [u8]) -> Result<Self, DataError> {
        ByHash::open(tx, database, key, Kind::Hash).map(Self)
    }

    /// As [`Hash::open`], in order to read: counts as a hit or a miss, and is `None` if there is no key.
    ///
    /// # Errors
    /// As [`Hash::open`].
    pub fn find(tx: &mut Tx<'_>, database: u32, key: &'k [u8]) -> Result<Option<Self>, DataError> {
        Ok(ByHash::find(tx, database, key, Kind::Hash)?.map(Self))
    }

    /// How many fields it has.
    pub fn len(&self) -> u64 {
        self.0.elements.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged; so in all that follow.
    pub fn get(&mut self, tx: &mut Tx<'_>, field: &[u8]) -> Result<Option<Bytes>, DataError> {
        self.0.value(tx, field)
    }

    /// That so many fields are about to be set at once.
    pub fn expect(&mut self, tx: &Tx<'_>, fields: usize) {
        if !tx.data().compact().has_room(CompactLimit::HashFields, fields as u64) {
            self.outgrow();
        }
    }

    /// Sets a field; says whether it is new.
    ///
    /// # Errors
    /// As [`Hash::get`], [`DataError::ValueTooLong`], and if no number is left.
    pub fn set(&mut self, tx: &mut Tx<'_>, field: &[u8], value: &[u8]) -> Result<bool, DataError> {
        Ok(self.put(tx, field, value, |_| ())?.is_none())
    }

    /// Sets a field; returns the value that it had.
    ///
    /// # Errors
    /// As [`Hash::set`].
    pub fn insert(
        &mut self,
        tx: &mut Tx<'_>,
        field: &[u8],
        value: &[u8],
    ) -> Result<Option<Bytes>, DataError> {
        self.put(tx, field, value, Bytes::copy_from_slice)
    }

    fn put<W>(
        &mut self,
        tx: &mut Tx<'_>,
        field: &[u8],
        value: &[u8],
        see: impl FnOnce(&[u8]) -> W,
    ) -> Result<Option<W>, DataError> {
        let was = self.0.put(tx, field, value, see)?;
        // Also with the value that it has: whoever watches the key, or listens, hears of it.
        self.0.changed = true;
        let compact = tx.data().compact();
        if !compact.has_room(CompactLimit::HashFields, self.len())
            || !compact.fits(CompactLimit::HashBytes, field.len().max(value.len()))
        {
            self.outgrow();
        }
        Ok(was)
    }

    /// Adds to the integer in a field, which is 0 if there is none; returns the sum.
    ///
    /// # Errors
    /// As [`Hash::set`], [`DataError::NotAnInteger`] of the value that is there, and [`DataError::Overflow`].
    pub fn increment(&mut self, tx: &mut Tx<'_>, field: &[u8], by: i64) -> Result<i64, DataError> {
        let now = match self.get(tx, field)? {
            None => 0,
            Some(value) => parse_i64(&value).ok_or(DataError::NotAnInteger)?,
        };
        let sum = now.checked_add(by).ok_or(DataError::Overflow)?;
        self.set(tx, field, Decimal::of(sum).as_bytes())?;
        Ok(sum)
    }

    fn outgrow(&mut self) {
        self.0.changed |= !self.0.plot.big;
        self.0.plot.big = true;
    }

    /// Removes a field; returns the value that it had.
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn remove(&mut self, tx: &mut Tx<'_>, field: &[u8]) -> Result<Option<Bytes>, DataError> {
        self.0.take(tx, field, Bytes::copy_from_slice)
    }

    /// Visits the fields with their values, until `visit` says `false`.
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn for_each(
        &mut self,
        tx: &mut Tx<'_>,
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), DataError> {
        self.0.for_each_entry(tx, |entry| {
            let (field, value) = read_hashed(entry);
            visit(field, value)
        })
    }

    /// A step of a walk from `cursor` on, over at least `count` fields if there are so many; returns where to go on, 0 at
    /// the end. A field that is there throughout a walk comes exactly once.
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn scan(
        &mut self,
        tx: &mut Tx<'_>,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&[u8], &[u8]),
    ) -> Result<u64, DataError> {
        let (entries, next) = self.0.walk(tx, cursor, count)?;
        for entry in &entries {
            let (field, value) = read_hashed(entry);
            visit(field, value);
        }
        Ok(next)
    }

    /// As [`Hash::scan`], for those who never want all at once, be it compact or not.
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn steps(
        &mut self,
        tx: &mut Tx<'_>,
        cursor: u64,
        count: usize,
    ) -> Result<(Vec<(Bytes, Bytes)>, u64), DataError> {
        let (entries, next) = self.0.steps(tx, cursor, count)?;
        Ok((entries.into_iter().map(field_and_value).collect(), next))
    }

    /// A field chosen at random, with its value.
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn choose(&mut self, tx: &mut Tx<'_>) -> Result<Option<(Bytes, Bytes)>, DataError> {
        Ok(self.0.choose(tx)?.map(field_and_value))
    }

    /// `count` different fields chosen at random, or all, with their values.
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn choose_some(&mut self, tx: &mut Tx<'_>, count: u64) -> Result<Vec<(Bytes, Bytes)>, DataError> {
        Ok(self.0.choose_some(tx, count)?.into_iter().map(field_and_value).collect())
    }

    /// Writes the key record of what was changed, and tells of it; without fields there is no key.
    ///
    /// # Errors
    /// As [`Tx::put`].
    pub fn save(&self, tx: &mut Tx<'_>, event: Event) -> Result<(), DataError> {
        self.0.save(tx, event)
    }
}

fn field_and_value(entry: Bytes) -> (Bytes, Bytes) {
    (key_of(&entry), entry.slice_ref(read_hashed(&entry).1))
}
