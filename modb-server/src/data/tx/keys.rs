//! Writing keys: the record of one, and what goes with it: what is written beside it (`account`), graves of collections, and the events
//! that tell of it (`telling`).
//!
//! Invariant: whoever changes the record of a key changes all of that here, with it, so that nothing of it can be forgotten.

use bytes::Bytes;

use super::{Entry, Tx};
use crate::data::layout::{CollectionId, Head, Kind, MAX_VALUE_BYTES, Record, Stored};
use crate::data::{DataError, collection, ensure_memory};
use crate::messages::Event;
use crate::store::Write;

impl Tx<'_> {
    /// Sets the key of `entry` to `head` and the payload that `parts` make, and tells of it with `event`. An expiry that has passed
    /// removes it.
    ///
    /// # Errors
    /// [`DataError::ValueTooLong`], [`DataError::NoMemory`].
    pub fn put(
        &mut self,
        entry: &Entry<'_, impl Stored>,
        head: Head,
        parts: &[&[u8]],
        event: impl Into<Option<Event>>,
    ) -> Result<(), DataError> {
        if self.makes_way(entry, head, parts, event.into())? {
            let record = self.encode(head, parts)?;
            self.write(Write::Put(entry.place.to_record_key(), record));
        }
        Ok(())
    }

    /// A record, which is copied from its parts.
    #[inline(always)]
    fn encode(&mut self, head: Head, parts: &[&[u8]]) -> Result<Bytes, DataError> {
        self.moves(parts.iter().map(|part| part.len()).sum())?;
        Ok(Record::encode(head, parts))
    }

    /// As [`Tx::put`], where what is put differs little from what was there: how it differs may be all that the log has of it.
    ///
    /// # Errors
    /// As [`Tx::put`].
    pub fn edit(
        &mut self,
        entry: &Entry<'_>,
        head: Head,
        parts: &[&[u8]],
        event: impl Into<Option<Event>>,
    ) -> Result<(), DataError> {
        if self.makes_way(entry, head, parts, event.into())? {
            let record = self.encode(head, parts)?;
            self.write(entry.changed(record));
        }
        Ok(())
    }

    /// As [`Tx::edit`], with the record of `head` as it is to be.
    ///
    /// # Errors
    /// As [`Tx::put`].
    pub(in crate::data) fn edit_record(
        &mut self,
        entry: &Entry<'_>,
        head: Head,
        record: Bytes,
        event: Option<Event>,
    ) -> Result<(), DataError> {
        if self.makes_way(entry, head, &[&record[head.bytes()..]], event)? {
            self.write(entry.changed(record));
        }
        Ok(())
    }

    /// Gives a key another expiry, or none; says whether it is there. One that has passed removes it.
    ///
    /// # Errors
    /// As [`Tx::entry`] and [`Tx::put`].
    pub fn set_expiry(
        &mut self,
        database: u32,
        key: &[u8],
        expires_at_ms: Option<u64>,
        event: Event,
    ) -> Result<bool, DataError> {
        let entry = self.entry(database, key)?;
        let Some(record) = entry.live() else { return Ok(false) };
        self.edit(&entry, record.head.expiring(expires_at_ms), &[record.payload()], event)?;
        Ok(true)
    }

    /// Does all that goes with setting the key of `entry` but that itself. `false`: it has expired, and is removed.
    fn makes_way(
        &mut self,
        entry: &Entry<'_, impl Stored>,
        head: Head,
        parts: &[&[u8]],
        event: Option<Event>,
    ) -> Result<bool, DataError> {
        let payload: usize = parts.iter().map(|part| part.len()).sum();
        if payload > MAX_VALUE_BYTES {
            return Err(DataError::ValueTooLong);
        }
        // Once in its record, once in the log's buffer, or what it was.
        ensure_memory(payload.saturating_mul(2))?;
        if head.expires_at_ms.is_some_and(|at| at <= self.now_ms) {
            self.put_expired(entry, event);
            return Ok(false);
        }
        let kept = parts.first().and_then(|payload| collection::number_in(head.kind, payload));
        self.give_way(entry, head, kept.map(|(id, _)| id));
        if self.tells_events() {
            self.notify_of_put(entry, event);
        }
        Ok(true)
    }

    /// What the key of `entry` holds gives way to what has this head, unless that is this collection. Its expiry has not passed.
    #[inline(always)]
    pub(super) fn give_way(
        &mut self,
        entry: &Entry<'_, impl Stored>,
        head: Head,
        kept: Option<CollectionId>,
    ) {
        let before = entry.stored.as_ref().map(|record| record.head().expires_at_ms);
        self.account(&entry.place, before, Some(head.expires_at_ms));
        self.bury(entry, kept);
        if entry.expired {
            self.tally.expired.bump();
        }
    }

    /// What would be there already has no time left.
    fn put_expired(&mut self, entry: &Entry<'_, impl Stored>, event: Option<Event>) {
        if event == Some(Event::EXPIRE) {
            self.remove(entry);
            return;
        }
        self.bury(entry, None);
        self.take(entry);
        event.into_iter().for_each(|event| self.notify_of(event, entry));
    }

    /// Removes the key of `entry` with all that it holds; says whether it was there.
    pub fn remove(&mut self, entry: &Entry<'_, impl Stored>) -> bool {
        self.bury(entry, None);
        let was = self.take(entry);
        if was {
            self.notify_of(Event::DEL, entry);
        }
        was
    }

    /// Gives the key of `entry` the name of `target`, whatever that holds. The two differ. `events`: what is told of either.
    ///
    /// # Errors
    /// As [`Tx::put`].
    pub fn rename(
        &mut self,
        entry: &Entry<'_>,
        target: &Entry<'_, impl Stored>,
        events: [Event; 2],
    ) -> Result<(), DataError> {
        if let Some(record) = entry.live() {
            self.put_again(target, record, None)?;
            self.take(entry);
            self.notify_of(events[0], entry);
            self.notify_of(events[1], target);
        }
        Ok(())
    }

    /// As [`Tx::put`], with what another key holds or held: as in Redis, a key that was there is another one then.
    ///
    /// # Errors
    /// As [`Tx::put`].
    pub fn replace(
        &mut self,
        entry: &Entry<'_, impl Stored>,
        head: Head,
        payload: &[u8],
        event: impl Into<Option<Event>>,
    ) -> Result<(), DataError> {
        if entry.live().is_some() {
            self.notify_of(Event::NEW, entry);
        }
        self.put(entry, head, &[payload], event)
    }

    /// As [`Tx::replace`], with the record that another key has or had, which is not copied.
    ///
    /// # Errors
    /// As [`Tx::put`].
    pub fn put_again(
        &mut self,
        entry: &Entry<'_, impl Stored>,
        record: &Record,
        event: impl Into<Option<Event>>,
    ) -> Result<(), DataError> {
        if entry.live().is_some() {
            self.notify_of(Event::NEW, entry);
        }
        if self.makes_way(entry, record.head, &[record.payload()], event.into())? {
            self.write(Write::Put(entry.place.to_record_key(), record.whole().clone()));
        }
        Ok(())
    }

    /// Removes a collection that has no element left, with its pages. `event`: how it lost the last.
    pub(in crate::data) fn remove_collection(
        &mut self,
        entry: &Entry<'_, impl Stored>,
        pages: Option<(CollectionId, u32)>,
        event: Option<Event>,
    ) -> Result<(), DataError> {
        self.bury(entry, pages.map(|(id, _)| id));
        if let Some((id, next)) = pages {
            self.write(Write::Put(id.grave_key(), Bytes::copy_from_slice(&next.to_be_bytes())));
            self.drops = true;
        }
        if self.take(entry) {
            event.into_iter().for_each(|event| self.notify_of(event, entry));
            self.notify_of(Event::DEL, entry);
        }
        Ok(())
    }

    /// What the key of `entry` holds gives way, unless it is this collection.
    pub(super) fn bury(&mut self, entry: &Entry<'_, impl Stored>, kept: Option<CollectionId>) {
        let Some(stored) = entry.stored.as_ref().filter(|stored| stored.head().kind != Kind::String) else {
            return;
        };
        let number = collection::number_in(stored.head().kind, stored.payload_begin());
        if number.is_some_and(|(id, _)| Some(id) != kept)
            && let Some(grave) = collection::bury(stored)
        {
            self.write(grave);
            self.drops = true;
        }
    }

    /// Removes the key record of `entry`; says whether the key was there.
    fn take(&mut self, entry: &Entry<'_, impl Stored>) -> bool {
        if !self.give_up(entry) {
            return false;
        }
        self.write(Write::Delete(entry.place.to_record_key()));
        !entry.expired
    }

    /// Does all that goes with removing the key record of `entry` but that itself; whether there is one, be it expired.
    pub(super) fn give_up(&mut self, entry: &Entry<'_, impl Stored>) -> bool {
        let Some(stored) = &entry.stored else { return false };
        self.account(&entry.place, Some(stored.head().expires_at_ms), None);
        if entry.expired {
            self.tally.expired.bump();
            self.notify_of(Event::EXPIRED, entry);
        }
        true
    }
}
