//! Maps: keys in the order of their bytes, each with a value. Only programs that embed the database have them.

use bytes::Bytes;

use super::opened::{Opened, fits};
use crate::data::layout::Kind;
use crate::data::tree::{Among, Bound, Sorted, Tree, read_sorted, sorted_entry};
use crate::data::{DataError, Tx};
use crate::messages::Event;

/// A map while a call works on it.
#[derive(Debug)]
pub struct Map<'k>(Opened<'k, Tree<Sorted>>);

impl<'k> Map<'k> {
    /// Opens the map at a key, an empty one if there is no key.
    ///
    /// # Errors
    /// [`DataError::WrongType`], and as [`Tx::entry`].
    pub fn open(tx: &mut Tx<'_>, database: u32, key: &'k [u8]) -> Result<Self, DataError> {
        Opened::open(tx, database, key, Kind::Map).map(Self)
    }

    /// As [`Map::open`], in order to read: counts as a hit or a miss, and is `None` if there is no key.
    ///
    /// # Errors
    /// As [`Map::open`].
    pub fn find(tx: &mut Tx<'_>, database: u32, key: &'k [u8]) -> Result<Option<Self>, DataError> {
        Ok(Opened::find(tx, database, key, Kind::Map)?.map(Self))
    }

    /// How many keys it has.
    pub fn len(&self) -> u64 {
        self.0.elements.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged; so in all that follow.
    pub fn get(&mut self, tx: &mut Tx<'_>, key: &[u8]) -> Result<Option<Bytes>, DataError> {
        self.0.with(tx, |tree, ground| {
            let mut cursor = tree.seek(ground, &Bound::key(Among::Before(key)))?;
            tree.settle(ground, &mut cursor)?;
            let entry = cursor.entry_bytes().filter(|entry| read_sorted(entry).0 == key);
            Ok(entry.map(|entry| entry.slice_ref(read_sorted(&entry).1)))
        })
    }

    /// Gives a key a value, or takes the key away; returns the value that it had.
    ///
    /// # Errors
    /// As [`Map::get`], [`DataError::ValueTooLong`], and if no number is left.
    pub fn put(
        &mut self,
        tx: &mut Tx<'_>,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Option<Bytes>, DataError> {
        fits(key.len() + value.map_or(0, <[u8]>::len))?;
        let was = self.get(tx, key)?;
        let entry = value.map(|value| sorted_entry(key, value));
        let insert: Vec<&[u8]> = entry.iter().map(|entry| &entry[..]).collect();
        if was.is_none() && insert.is_empty() {
            return Ok(None);
        }
        self.0.with(tx, |tree, ground| {
            let mut cursor = tree.seek(ground, &Bound::key(Among::Before(key)))?;
            if was.is_some() {
                tree.settle(ground, &mut cursor)?;
            }
            tree.splice(ground, cursor, usize::from(was.is_some()), &insert)
        })?;
        self.0.changed = true;
        Ok(was)
    }

    /// How many keys stand before a place.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub fn rank(&mut self, tx: &mut Tx<'_>, place: Among<'_>) -> Result<u64, DataError> {
        self.0.with(tx, |tree, ground| Ok(tree.seek(ground, &Bound::key(place))?.rank()))
    }

    /// Visits `count` keys from the one of a rank on, with their values; backwards with `reverse`.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub fn for_each(
        &mut self,
        tx: &mut Tx<'_>,
        rank: u64,
        count: u64,
        reverse: bool,
        mut visit: impl FnMut(Bytes, Bytes),
    ) -> Result<(), DataError> {
        let mut left = count;
        if left == 0 {
            return Ok(());
        }
        self.0.with(tx, |tree, ground| {
            tree.walk(ground, rank, reverse, |entry| {
                let (key, value) = read_sorted(&entry);
                visit(entry.slice_ref(key), entry.slice_ref(value));
                left -= 1;
                left > 0
            })
        })
    }

    /// Writes the key record, if anything was changed, and tells of it; without keys there is none.
    ///
    /// # Errors
    /// As [`Tx::put`].
    pub fn save(&self, tx: &mut Tx<'_>, event: Event) -> Result<(), DataError> {
        self.0.save(tx, event)
    }
}
