//! Strings: what commands and embedding programs do with them.

use bytes::Bytes;
use modb_net::resp::{Decimal, parse_i64};

use super::layout::{Form, Head, Kind, Record, Stored};
use super::long_double::{self, Parsed};
use super::{DataError, Entry, Tx};
use crate::messages::Event;

impl<R: Stored> Entry<'_, R> {
    /// The string of the key, if there is one.
    ///
    /// # Errors
    /// [`DataError::WrongType`].
    pub fn string(&self) -> Result<Option<&R>, DataError> {
        match self.live() {
            Some(record) if record.head().kind != Kind::String => Err(DataError::WrongType),
            record => Ok(record),
        }
    }

    /// A string set as a whole, with the expiry that the key has now.
    pub fn string_head(&self) -> Head {
        Head::STRING.expiring(self.live().and_then(|record| record.head().expires_at_ms))
    }
}

impl Entry<'_> {
    /// The bytes of the string; none if there is no key.
    ///
    /// # Errors
    /// [`DataError::WrongType`].
    pub fn string_bytes(&self) -> Result<Bytes, DataError> {
        Ok(self.string()?.map_or_else(Bytes::new, Record::to_payload))
    }

    /// A string edited in place, with the expiry that the key has now.
    pub fn edited_head(&self) -> Head {
        Head { form: Form::Raw, ..self.string_head() }
    }
}

impl Tx<'_> {
    /// Reads a string.
    ///
    /// # Errors
    /// [`DataError::WrongType`], and as [`Tx::read`].
    pub fn get(&mut self, database: u32, key: &[u8]) -> Result<Option<Bytes>, DataError> {
        match self.read(database, key)? {
            Some(record) if record.head.kind != Kind::String => Err(DataError::WrongType),
            record => Ok(record.map(Record::into_payload)),
        }
    }

    /// Sets a string, whatever the key held before.
    ///
    /// # Errors
    /// As [`Tx::entry`] and [`Tx::put`].
    pub fn set(
        &mut self,
        database: u32,
        key: &[u8],
        value: &[u8],
        expires_at_ms: Option<u64>,
    ) -> Result<(), DataError> {
        let entry = self.replaced(database, key)?;
        self.put(&entry, Head::STRING.expiring(expires_at_ms), &[value], Event::SET)?;
        self.notify_of_expiry(&entry, expires_at_ms);
        Ok(())
    }

    /// Adds to the integer that a string holds (0 if there is no key), and gives the sum.
    ///
    /// # Errors
    /// [`DataError::NotAnInteger`], [`DataError::Overflow`], and as [`Tx::set`].
    pub fn increment(&mut self, database: u32, key: &[u8], by: i64) -> Result<i64, DataError> {
        let entry = self.entry(database, key)?;
        let now = match entry.string()? {
            None => 0,
            Some(record) => parse_i64(record.payload()).ok_or(DataError::NotAnInteger)?,
        };
        let sum = now.checked_add(by).ok_or(DataError::Overflow)?;
        self.put(&entry, entry.string_head(), &[Decimal::of(sum).as_bytes()], Event::string("incrby"))?;
        Ok(sum)
    }

    /// Adds to the number that a string holds (0 if there is no key), as `INCRBYFLOAT` does; gives the sum.
    ///
    /// # Errors
    /// [`DataError::NotAFloat`], [`DataError::NotFinite`], and as [`Tx::set`].
    pub fn increment_float(&mut self, database: u32, key: &[u8], by: &[u8]) -> Result<String, DataError> {
        let entry = self.entry(database, key)?;
        let now = entry.string()?.map_or(&b"0"[..], |record| record.payload());
        let now = long_double::parse(now).ok_or(DataError::NotAFloat)?;
        let by = long_double::parse(by).ok_or(DataError::NotAFloat)?;
        let (Parsed::Finite(now), Parsed::Finite(by)) = (now, by) else { return Err(DataError::NotFinite) };
        let sum = now.plus(by).ok_or(DataError::NotFinite)?.print();
        let head = Head { form: Form::Text, ..entry.string_head() };
        self.put(&entry, head, &[sum.as_bytes()], Event::string("incrbyfloat"))?;
        Ok(sum)
    }

    /// Adds bytes to the end of a string, and gives its new length in bytes.
    ///
    /// # Errors
    /// As [`Tx::set`].
    pub fn append(&mut self, database: u32, key: &[u8], tail: &[u8]) -> Result<usize, DataError> {
        let entry = self.entry(database, key)?;
        let event = Event::string("append");
        match entry.string()? {
            None => self.put(&entry, Head::STRING, &[tail], event)?,
            Some(record) => self.edit(&entry, entry.edited_head(), &[record.payload(), tail], event)?,
        }
        Ok(entry.string_bytes()?.len() + tail.len())
    }

    /// Removes a key of any type; says whether it was there.
    ///
    /// # Errors
    /// As [`Tx::entry`].
    pub fn delete(&mut self, database: u32, key: &[u8]) -> Result<bool, DataError> {
        let entry = self.replaced(database, key)?;
        Ok(self.remove(&entry))
    }
}
