//! One command's view of the data: reads go through to the store, writes are gathered and applied as one batch.
//!
//! It borrows the stripes that the rule in docs/ARCHITECTURE.md asks for, from before the first read until
//! [`Tx::commit`] has returned, and makes its batch visible through them alone ([`Held::publish`]). Where it reads a
//! key without its stripe it looks at the mark; if that is set it fails, and is to be run again with the stripe. Invariants: a `Tx`
//! sees its own writes; a key is written at most once per batch (the last write counts); dropped uncommitted, it has changed nothing, and
//! counted nothing that is counted of commands: the run was in vain, and is done again.

mod account;
mod databases;
mod entry;
mod events;
mod keys;
mod many;
mod rare;
mod room;
mod savepoint;
#[cfg(test)]
mod savepoint_tests;
mod telling;
mod touching;
mod writes;

use modb_net::Seq;

pub use entry::Entry;
use rare::Rare;
use room::MOST_READ_BYTES;
use savepoint::Saved;
use telling::Telling;
use writes::Writes;

use super::layout::{self, CollectionId, MAX_KEY_BYTES, Outline, Place, Record, Stored};
use super::many::Many;
use super::tally::Looks;
use super::{Committed, Data, DataError, Held, Missed, Tally, collection};
use crate::store::{Batch, Counter, Fetch, Glimpse, Got, Soon, StoreError, TELLING_BYTES, Write};

/// So many pages of collections are read by one command of those who serve others, before it is left to a thread: some
/// milliseconds' work.
const MOST_PAGES: u32 = 4_096;

/// One command's view of the data.
pub struct Tx<'a> {
    data: &'a Data,
    pub(super) held: &'a Held<'a>,
    tally: &'a Tally,
    /// For the tally, once this is over.
    looks: Looks,
    key_buf: &'a mut Vec<u8>,
    /// A key of which the hash is known.
    hashed: Option<(&'a [u8], u64)>,
    /// Its keys, if they are very many.
    many: Option<&'a Many>,
    now_ms: u64,
    writes: Writes,
    added: Vec<(Counter, i64)>,
    drops: bool,
    /// A whole database is emptied, or another: whatever is tracked may have changed.
    pub(super) flushed: bool,
    /// Those who track what it changes will be told.
    pub(super) told_trackers: bool,
    /// The earliest expiry that was set, in milliseconds since 1970.
    soonest: u64,
    read: Seq,
    missed: Option<Missed>,
    /// What is told to those who listen once this is applied.
    telling: Telling,
    rare: Option<Box<Rare>>,
    /// Where the last of several commands began.
    saved: Option<Saved>,
    /// What cannot be run again waits at a mark: whoever set it waits for nothing.
    waits: bool,
    /// Less is kept after it.
    frees: bool,
    /// Whoever commits it serves others: he may not read pages without end.
    pub(super) at_once: bool,
    /// Pages of collections that were read.
    pages: u32,
    /// The store key of one that will be.
    announced: Option<[u8; TELLING_BYTES]>,
    /// Bytes of values that were copied, or are to be answered.
    moved_bytes: usize,
    /// Bytes of large values that were read from the disk, and are held.
    read_bytes: usize,
    /// Room for either, in bytes.
    room_bytes: usize,
    /// What was applied: freed with this, so whoever applies very much drops it once the stripes are given back.
    applied: Batch,
}

impl<'a> Tx<'a> {
    /// Begins, at `now_ms` milliseconds since 1970, with the stripes `held`; `key_buf` is scratch space.
    pub fn new(
        data: &'a Data,
        held: &'a Held<'a>,
        tally: &'a Tally,
        key_buf: &'a mut Vec<u8>,
        now_ms: u64,
    ) -> Self {
        Self {
            data,
            held,
            tally,
            looks: Looks::default(),
            key_buf,
            hashed: None,
            many: None,
            now_ms,
            writes: Writes::default(),
            added: Vec::new(),
            drops: false,
            flushed: false,
            told_trackers: false,
            soonest: u64::MAX,
            read: Seq::ZERO,
            missed: None,
            telling: Telling::default(),
            rare: None,
            saved: None,
            waits: false,
            frees: false,
            at_once: false,
            pages: 0,
            announced: None,
            moved_bytes: 0,
            read_bytes: 0,
            room_bytes: usize::MAX,
            applied: Batch::default(),
        }
    }

    /// For a command after which less is to be kept, or no more: it is also taken when the disk is nearly full.
    pub fn freeing(self, frees: bool) -> Self {
        Self { frees, ..self }
    }

    /// The hash of a key that will be looked up: it is not made once more then.
    #[inline]
    pub fn set_hash(&mut self, key: &'a [u8], hash: u64) {
        debug_assert_eq!(self.data.hash(key), hash, "it is that of another key");
        self.hashed = Some((key, hash));
    }

    /// As [`Tx::freeing`], for several commands together.
    pub fn set_freeing(&mut self, frees: bool) {
        self.frees = frees;
    }

    /// What was read includes all that there is: every stripe is held.
    pub fn has_seen_all(&mut self) {
        self.read = self.data.store.committed();
    }

    /// For those who serve others: they leave what takes long to a thread.
    pub fn at_once(self, at_once: bool) -> Self {
        Self { at_once, ..self }
    }

    /// For what cannot be run again: it waits where it would miss a stripe. No worker may.
    pub fn waiting(self) -> Self {
        Self { waits: true, ..self }
    }

    /// What was missed: drop this, and do the same again with it: hold the stripe as well ([`Data::need_more`]), or leave it to
    /// a thread.
    pub fn missed(&self) -> Option<Missed> {
        self.missed
    }

    /// The time of this command, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Sets the time of the next command of the same batch.
    pub fn set_now_ms(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// The data that this is a view of.
    pub fn data(&self) -> &'a Data {
        self.data
    }

    /// The counts of the worker that executes this.
    pub fn tally(&self) -> &'a Tally {
        self.tally
    }

    /// The latest commit that wrote what was read so far.
    pub fn read_seq(&self) -> Seq {
        self.read
    }

    /// Whether anything is to be written.
    pub fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// How many records are to be written.
    pub(crate) fn records(&self) -> usize {
        self.writes.len()
    }

    /// What is to be written.
    pub(super) fn writes(&self) -> impl Iterator<Item = &Write> {
        self.writes.iter()
    }

    /// Looks a key up in order to read it; counts as a hit or a miss once this is [over](Tx::commit).
    ///
    /// # Errors
    /// [`DataError::Store`], [`DataError::Corrupt`].
    pub fn read(&mut self, database: u32, key: &[u8]) -> Result<Option<Record>, DataError> {
        Ok(self.read_entry(database, key)?.and_then(Entry::into_live))
    }

    /// As [`Tx::read`], for whoever may write it then. `None`: no key is so long.
    ///
    /// # Errors
    /// As [`Tx::read`].
    #[inline(always)]
    pub fn read_entry<'k>(&mut self, database: u32, key: &'k [u8]) -> Result<Option<Entry<'k>>, DataError> {
        if key.len() > MAX_KEY_BYTES {
            self.looked_up(database, key, false);
            return Ok(None);
        }
        let entry = self.entry(database, key)?;
        self.looked_up(database, key, entry.live().is_some());
        Ok(Some(entry))
    }

    /// As [`Tx::read`], where an outline does.
    ///
    /// # Errors
    /// As [`Tx::read`].
    pub fn read_outline(&mut self, database: u32, key: &[u8]) -> Result<Option<Outline>, DataError> {
        if key.len() > MAX_KEY_BYTES {
            self.looked_up(database, key, false);
            return Ok(None);
        }
        let entry = self.outlined(database, key)?;
        self.looked_up(database, key, entry.live().is_some());
        Ok(entry.into_live())
    }

    /// As [`Tx::read_outline`]; that there is no such key is told nobody.
    ///
    /// # Errors
    /// As [`Tx::read`].
    pub fn look(&mut self, database: u32, key: &[u8]) -> Result<Option<Outline>, DataError> {
        if key.len() > MAX_KEY_BYTES {
            self.looks.count(false);
            return Ok(None);
        }
        let entry = self.outlined(database, key)?;
        self.looks.count(entry.live().is_some());
        Ok(entry.into_live())
    }

    /// Looks a key up in order to write it.
    ///
    /// # Errors
    /// [`DataError::KeyTooLong`], [`DataError::Store`], [`DataError::Corrupt`].
    pub fn entry<'k>(&mut self, database: u32, key: &'k [u8]) -> Result<Entry<'k>, DataError> {
        let place = self.place(database, key)?;
        self.entry_at(place, Some(database))
    }

    /// As [`Tx::entry`], for whoever does not need what the key holds, but whether it is there, or to replace or remove it.
    ///
    /// # Errors
    /// As [`Tx::entry`].
    pub fn outlined<'k>(&mut self, database: u32, key: &'k [u8]) -> Result<Entry<'k, Outline>, DataError> {
        let place = self.place(database, key)?;
        self.outlined_at(place, Some(database))
    }

    /// As [`Tx::outlined`], for whoever replaces what the key holds, or leaves it if there is anything: of a string that is there for good
    /// no more is known than that, and how long it is.
    ///
    /// # Errors
    /// As [`Tx::entry`].
    pub fn replaced<'k>(&mut self, database: u32, key: &'k [u8]) -> Result<Entry<'k, Outline>, DataError> {
        let place = self.place(database, key)?;
        place.record_key(self.key_buf);
        let got = self.glimpse_record(Outline::is_lasting_string)?;
        self.entry_of(place, Some(database), got, Outline::decode)
    }

    /// Where a key is; its mark has been looked at.
    #[inline(always)]
    fn place<'k>(&mut self, database: u32, key: &'k [u8]) -> Result<Place<'k>, DataError> {
        if key.len() > MAX_KEY_BYTES {
            return Err(DataError::KeyTooLong);
        }
        let hash = match self.hashed {
            // Mostly the very same bytes, so that nothing has to be compared.
            Some((hashed, hash)) if std::ptr::eq(hashed, key) || hashed == key => hash,
            _ => self.data.hash(key),
        };
        // Before the namespace, which may change with the batch.
        if self.data.stripes.is_marked(hash) {
            self.miss(hash)?;
        }
        Ok(Place { namespace: self.namespace(database), hash, key })
    }

    /// For what reads several records of keys that it finds on its way: goes on if every stripe is held.
    ///
    /// # Errors
    /// [`DataError::Missed`]: what is to be run again with all of them. Not for what waits ([`Tx::waiting`]).
    pub fn need_all(&mut self) -> Result<(), DataError> {
        if self.held.has_all() {
            return Ok(());
        }
        self.missed = Some(Missed::All);
        Err(DataError::Missed)
    }

    /// Has read as many pages as whoever serves others may, or copies as much. One that serves who waits goes on: it cannot be run again.
    #[cold]
    fn tire(&mut self) -> Result<(), DataError> {
        if self.serves() {
            return Ok(());
        }
        self.missed = Some(Missed::Time);
        Err(DataError::Missed)
    }

    /// Meets a mark in a stripe that is not held.
    #[cold]
    fn miss(&mut self, hash: u64) -> Result<(), DataError> {
        if self.waits {
            while self.data.stripes.is_marked(hash) {
                std::thread::yield_now();
            }
            return Ok(());
        }
        self.missed = Some(Missed::One(hash));
        Err(DataError::Missed)
    }

    fn entry_at<'k>(&mut self, place: Place<'k>, database: Option<u32>) -> Result<Entry<'k>, DataError> {
        place.record_key(self.key_buf);
        let key = std::mem::take(self.key_buf);
        let got = self.get_record(&key);
        *self.key_buf = key;
        self.entry_of(place, database, got?, Record::decode)
    }

    pub(super) fn outlined_at<'k>(
        &mut self,
        place: Place<'k>,
        database: Option<u32>,
    ) -> Result<Entry<'k, Outline>, DataError> {
        place.record_key(self.key_buf);
        let got = self.glimpse_record(|_| false)?;
        self.entry_of(place, database, got, Outline::decode)
    }

    #[inline(always)]
    fn entry_of<'k, V, R: Stored>(
        &self,
        place: Place<'k>,
        database: Option<u32>,
        Got { value, seq }: Got<V>,
        decode: impl FnOnce(V) -> Option<R>,
    ) -> Result<Entry<'k, R>, DataError> {
        let unknown = DataError::Corrupt("a key record has an unknown tag");
        let stored = value.map(|value| decode(value).ok_or(unknown)).transpose()?;
        let expires_at_ms = stored.as_ref().and_then(|record| record.head().expires_at_ms);
        let expired = expires_at_ms.is_some_and(|at| at <= self.now_ms);
        Ok(Entry { place, database, stored, seq, expired })
    }

    /// Whether so much is to be written that what nobody sees yet had better be written before.
    pub(super) fn is_full(&self) -> bool {
        self.writes.is_full()
    }

    /// Takes out the pages of a collection that are to be written, and which came to be with this command.
    pub(super) fn take_pages(&mut self, id: CollectionId) -> Vec<Write> {
        self.writes.take_pages(id)
    }

    /// Keeps what is being built until this is applied, or dropped.
    pub(super) fn keep(&mut self, site: collection::Site) {
        self.rare_mut().sites.push(site);
    }

    /// Reads a page of a collection.
    pub(super) fn read_page(&mut self, id: CollectionId, node: u32) -> Result<Got, DataError> {
        self.count_page()?;
        let got = self.get_record(&id.to_page_key(node))?;
        self.bring_page();
        Ok(got)
    }

    /// What `see` makes of a page of a collection, which is not copied if it lies in the store's memory. `None`: there is none.
    pub(super) fn look_at_page<T>(
        &mut self,
        id: CollectionId,
        node: u32,
        see: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, DataError> {
        self.count_page()?;
        let key = id.to_page_key(node);
        let (mut see, mut seen) = (Some(see), None);
        let mut look = |page: &[u8]| seen = see.take().map(|see| see(page));
        if !self.writes.has(&key)
            && let Some(seq) = self.data.store.look(&key, &mut look)?
        {
            self.read = self.read.max(seq);
        } else if let Some(page) = self.get_record(&key)?.value {
            look(&page);
        }
        self.bring_page();
        Ok(seen)
    }

    /// A page is about to be read.
    fn count_page(&mut self) -> Result<(), DataError> {
        self.tally.pages.bump();
        self.pages += 1;
        if self.pages > MOST_PAGES && self.at_once {
            self.tire()?;
        }
        Ok(())
    }

    /// A page will be read soon, but perhaps not next: has it found out where it is now, and the page fetched when the next one
    /// has been read or changed.
    pub(super) fn announce_page(&mut self, id: CollectionId, node: u32) {
        if self.data.wants_to_know_what_comes() {
            self.bring_page();
            let key = id.to_page_key(node);
            self.data.store.fetch(&key, Fetch::Whereabouts);
            self.announced = Some(key);
        }
    }

    /// Has the page fetched that was announced.
    #[inline]
    pub(super) fn bring_page(&mut self) {
        if let Some(key) = self.announced.take() {
            self.data.store.fetch(&key, Fetch::Record);
        }
    }

    /// Reads the record of a store key. What this is going to write is of no commit.
    fn get_record(&mut self, key: &[u8]) -> Result<Got, DataError> {
        if let Some(value) = self.writes.pending(key) {
            return Ok(Got { value, seq: Seq::ZERO });
        }
        let got = match self.data.store.get_soon(key, MOST_READ_BYTES)? {
            Soon::Got(got) => got,
            Soon::Larger(bytes) => self.get_large(key, bytes)?,
        };
        self.read = self.read.max(got.seq);
        Ok(got)
    }

    /// As `get_record`, for a glimpse, or less if the first byte of the record `suffices`.
    #[inline(always)]
    fn glimpse_record(&mut self, suffices: fn(u8) -> bool) -> Result<Got<Glimpse>, DataError> {
        if let Some(value) = self.writes.pending(self.key_buf) {
            return Ok(Got { value: value.map(|value| Glimpse::of(&value)), seq: Seq::ZERO });
        }
        let got = self.data.store.glimpse_first(self.key_buf, suffices)?;
        self.read = self.read.max(got.seq);
        Ok(got)
    }

    /// Applies what was written, as one batch, of which nobody sees a part. It waits for no room in memory and log, since others wait for
    /// what is held: who writes waits before he holds anything ([`Store::wait_for_room`](crate::store::Store::wait_for_room)), or asks
    /// whether he would have to ([`Store::crowded_until`](crate::store::Store::crowded_until)).
    ///
    /// # Errors
    /// [`DataError::Store`]; nothing was changed then.
    pub fn commit(&mut self) -> Result<Committed, DataError> {
        self.tally.add(std::mem::take(&mut self.looks));
        let mut written = Seq::ZERO;
        let are_any = self.data.interests.are_any();
        if are_any {
            self.tell_trackers(None).into_iter().for_each(|frame| self.announce(frame));
        }
        if !self.writes.is_empty() {
            let touched = if are_any { self.take_touched() } else { None };
            let several = self.changes_several();
            let mut writes = self.writes.take();
            writes.extend(
                self.added.drain(..).filter(|(_, by)| *by != 0).map(|(counter, by)| Write::Add(counter, by)),
            );
            let (data, rare, frees) = (self.data, &mut self.rare, self.frees);
            self.applied.writes = writes;
            let batch = &mut self.applied;
            written = self.held.publish(several, || {
                let written = data.store.apply_at_once(batch, frees)?;
                for (database, namespace) in rare.iter_mut().flat_map(|rare| rare.remapped.drain(..)) {
                    data.catalog.publish(database, namespace);
                }
                Ok::<_, StoreError>(written)
            })?;
            self.data.expiry_floor.lower(self.soonest, self.now_ms);
            self.soonest = u64::MAX;
            if let Some(rare) = &mut self.rare {
                rare.sites.clear();
            }
            self.telling.post(self.data, written); // Before those who wait are served: that tells, too.
            if let Some(touched) = touched {
                self.tell(&touched);
            }
            if std::mem::take(&mut self.drops) {
                self.data.chores.sweep_soon();
            }
        } else if !self.touched_inside().is_empty()
            && let Some(touched) = self.take_touched()
        {
            // It has written what was there already: a change for those who are interested, and nothing to apply.
            self.telling.post(self.data, written);
            self.tell(&touched);
        }
        self.telling.post(self.data, written);
        if self.told_trackers {
            self.has_told_trackers();
        }
        Ok(Committed { written, read: self.read })
    }

    /// What was applied, to be freed once the stripes are given back.
    pub fn take_applied(&mut self) -> Batch {
        std::mem::take(&mut self.applied)
    }

    /// Whether there is more to be seen of this than one key: several keys, or another state of a database.
    fn changes_several(&self) -> bool {
        let keys =
            self.writes.iter().filter(|write| write.key().is_some_and(|key| layout::is_key_record(key)));
        !self.remapped().is_empty() || keys.take(2).count() > 1
    }

    pub(super) fn write(&mut self, write: Write) {
        self.writes.write(write);
    }
}

#[cfg(test)]
mod tests;
