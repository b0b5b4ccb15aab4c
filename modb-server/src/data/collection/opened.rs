//! A collection while a command works on it: its key, its number and its elements.

use super::elements::Elements;
use super::payload::Payload;
use super::plot::{Ground, Plot};
use crate::data::layout::{Kind, MAX_KEY_BYTES, MAX_VALUE_BYTES, Record};
use crate::data::tree::{Order, Tree};
use crate::data::{DataError, Entry, Tx};
use crate::messages::Event;

/// A collection: its elements, and what becomes of its key.
///
/// Invariant: what is saved, and told, is decided here, whatever the type.
#[derive(Debug)]
pub(in crate::data) struct Opened<'k, E> {
    entry: Entry<'k>,
    kind: Kind,
    /// It keeps the expiry that the key has.
    keeps_expiry: bool,
    /// There is something to be saved.
    pub(super) changed: bool,
    pub(super) plot: Plot,
    pub(super) elements: E,
}

impl<'k, E: Elements> Opened<'k, E> {
    /// Opens what a key holds; an empty collection if there is none.
    pub(super) fn open(tx: &mut Tx<'_>, database: u32, key: &'k [u8], kind: Kind) -> Result<Self, DataError> {
        let entry = tx.entry(database, key)?;
        let Some(record) = entry.live() else {
            return Ok(Self { keeps_expiry: true, ..Self::replacing(tx, entry, kind) });
        };
        if record.head.kind != kind {
            return Err(DataError::WrongType);
        }
        let unreadable = || DataError::Corrupt("the record of a collection");
        let payload = Payload::decode(record.to_payload()).ok_or_else(unreadable)?;
        let plot = Plot::of(&payload);
        let elements = E::of(payload, tx.data().seed()).ok_or_else(unreadable)?;
        Ok(Self { entry, kind, keeps_expiry: true, changed: false, plot, elements })
    }

    /// As [`Opened::open`], in order to read: counts as a hit, of whatever type, or as a miss, and is `None` if there is no key.
    pub(super) fn find(
        tx: &mut Tx<'_>,
        database: u32,
        key: &'k [u8],
        kind: Kind,
    ) -> Result<Option<Self>, DataError> {
        if key.len() > MAX_KEY_BYTES {
            tx.looked_up(database, key, false);
            return Ok(None);
        }
        let opened = Self::open(tx, database, key, kind);
        let found = match &opened {
            Ok(opened) => opened.elements.len() > 0,
            Err(error) => matches!(error, DataError::WrongType),
        };
        tx.looked_up(database, key, found);
        Ok(Some(opened?).filter(|_| found))
    }

    /// An empty one in the place of whatever the key of `entry` holds, without its expiry.
    pub(super) fn replacing(tx: &Tx<'_>, entry: Entry<'k>, kind: Kind) -> Self {
        let elements = E::none(tx.data().seed());
        Self { entry, kind, keeps_expiry: false, changed: false, plot: Plot::new(), elements }
    }

    /// Removes the key with all that it holds, in the same time whatever that is. The collection is not used any more. `event`: what
    /// that was done by.
    pub(super) fn remove_key(self, tx: &mut Tx<'_>, event: Event) {
        if self.entry.live().is_some() {
            tx.notify_of(event, &self.entry);
        }
        tx.remove(&self.entry);
    }

    /// Writes the key record, if anything was changed, and tells of it; without elements there is no key, and its pages go with it.
    pub(super) fn save(&self, tx: &mut Tx<'_>, event: Event) -> Result<(), DataError> {
        // One that replaces another has changed that, too.
        if !self.changed && self.keeps_expiry {
            return Ok(());
        }
        let (entry, len) = (&self.entry, self.elements.len());
        // Nothing that is put in the place of something is its end.
        let event = (len > 0 || self.keeps_expiry).then_some(event);
        let &Plot { big, integers, id, numbers, .. } = &self.plot;
        if len == 0 {
            return tx.remove_collection(entry, id.map(|id| (id, numbers.next)), event);
        }
        let head = entry.collection_head(self.kind, self.keeps_expiry);
        let payload = Payload { big, integers, id, numbers, len, roots: self.elements.roots(id.is_some()) };
        let record = Record::encode_with(head, payload.bytes(), |out| payload.encode(out));
        // Where only a page was changed the key record is as it was.
        if entry.live().is_some_and(|stored| *stored.whole() == record) {
            tx.touch_inside(entry.place());
            event.into_iter().for_each(|event| tx.notify_of(event, entry));
            return Ok(());
        }
        tx.edit_record(entry, head, record, event)
    }
}

impl<O: Order> Opened<'_, Tree<O>> {
    /// Works on the tree.
    pub(super) fn with<T>(
        &mut self,
        tx: &mut Tx<'_>,
        work: impl FnOnce(&mut Tree<O>, &mut Ground<'_, '_, '_>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        self.plot.with(tx, &mut self.elements, work)
    }
}

/// Whether an element may have so many bytes; asked before anything is changed.
pub(super) fn fits(bytes: usize) -> Result<(), DataError> {
    if bytes > MAX_VALUE_BYTES { Err(DataError::ValueTooLong) } else { Ok(()) }
}
