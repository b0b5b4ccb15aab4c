//! Recent records in memory: what was written and is not in the cold store yet (dirty), and what was read or
//! flushed lately (clean). It is the write-back buffer and the cache in one.
//!
//! A record lies in a shard, chosen by the bytes that are uniformly distributed (see [`crate::store::Store`]): shard
//! 0 holds what has none. Records with a common prefix are thus ordered across shards as well as within them. Each
//! shard has a hash map for reads and an ordered index of its dirty records for scans and for the flusher; clean
//! records need no order, since the cold store has them.
//!
//! Invariants:
//! - What the table says of a record is newer than or equal to what the cold store says.
//! - A dirty record, deleted ones included, is never dropped; it becomes clean once the cold store has it.
//! - Of a record that is here there is no ghost (see [`ghosts`]).
//! - A record read from the cold store is put here only if its shard took no write since before that read:
//!   otherwise a value that was overwritten, flushed and dropped meanwhile would come back.

mod accounts;
mod buckets;
mod dropped;
mod ghosts;
mod index;
mod records;
mod routing;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use self::accounts::{Accounts, Cost};
use self::dropped::Dropped;
use self::ghosts::Ghosts;
use self::index::Index;
use self::records::{Handle, Marks, Record as Kept, Records, State, fits_beside, room_needed};
use self::routing::{ROUTED_SHARDS, shard_of};
pub(crate) use self::walk::Walk;
use super::merge::Record;
use crate::store::glimpse::Portion;
use crate::store::locking::lock;
use crate::store::{Fetch, Glimpse, TELLING_BYTES, Write, vast};

/// Clean records looked at for eviction per hold of a shard's lock.
const EVICTION_STEPS: usize = 64;
/// Handles of records that are gone, per shard, that are not worth looking for in the eviction's queue.
const MAX_STALE_HANDLES: usize = 64;
/// Dirty records made clean per hold of a shard's lock.
const PAGE_RECORDS: usize = 128;
/// What a core's own caches hold, as a rule.
const CACHE_BYTES: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };
const SHARDS: usize = ROUTED_SHARDS + 1;
/// The part of the budget that the memory of dropped records may take, beside it: some times what is dropped at once, so that each
/// class of rooms lasts until more comes.
const DROPPED_PART: usize = 64;
/// But no more than so much: that is beside the budget.
const MOST_DROPPED_BYTES: usize = 8 << 20;
/// In place of the commit of what the cold store has.
const IN_COLD_STORE: u64 = 0;
/// Above every key.
const AFTER_ALL_KEYS: &[u8] = &[0xff];

/// In this order, so that a read finds the lock and the map's own fields on one cache line.
#[derive(Default)]
#[repr(C)]
struct Shard {
    records: Records,
    dirty: Index,
    /// Clean records, next to be looked at first.
    queue: VecDeque<Handle>,
    /// How many of them the eviction's hand still has to look at before it goes on to the next shard.
    left_to_look_at: usize,
    /// Grows with each write.
    version: u64,
    /// Of records that were here.
    ghosts: Ghosts,
}

/// With the lock's own eight bytes.
const _: () = assert!(size_of::<Records>() <= 56);

impl Shard {
    /// The record of a key, if it is here; it was used now.
    #[inline(always)]
    fn used(&mut self, key: &[u8]) -> Option<&Kept> {
        let record = self.records.get_mut(key)?;
        // Written only if it changes: another core may be reading the same lines.
        if !record.marks().referenced {
            record.marks_mut().referenced = true;
        }
        Some(record)
    }

    /// What the record of a key says, if it is here.
    #[inline(always)]
    fn find<P: Portion>(&mut self, key: &[u8]) -> Option<Lookup<P>> {
        let record = self.used(key)?;
        Some(Lookup::Found(record.value(), record.marks().seq))
    }

    fn ticket(&self) -> Ticket {
        Ticket(self.version)
    }

    /// See [`Table::write`].
    #[inline(always)]
    fn write(&mut self, key: &[u8], value: Option<&Bytes>, seq: u64, accounts: &Accounts, dropped: &Dropped) {
        let Self { records, dirty, version, ghosts, .. } = self;
        *version += 1;
        match records.get_mut(key) {
            Some(record) => {
                let was = *record.marks();
                if was.seq > seq {
                    return;
                }
                let before = Cost::of(record);
                record.set_value(value);
                *record.marks_mut() = Marks { seq, state: State::Dirty, ..was };
                accounts.change(before, Cost::of(record));
                if was.state == State::Clean {
                    dirty.insert(key, records.handle(key, was), records);
                }
            }
            None => {
                ghosts.take_away(key);
                let room = dropped.take(|| room_needed(key, value));
                let (at, record) = records.insert_new(key, value, Marks::dirty(seq), room);
                accounts.change(Cost::NOTHING, Cost::of(record));
                dirty.insert(key, at, records);
            }
        }
    }

    /// The next dirty records after that key, as many as are taken per hold of the lock.
    fn dirty_page(&self, after: Option<&[u8]>) -> Vec<Handle> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.dirty.iter_from(from, &self.records).take(PAGE_RECORDS).collect()
    }

    /// Looks at some clean records and drops those that were not read since they were last looked at; true once the hand is
    /// through with this shard.
    fn evict_some(&mut self, accounts: &Accounts, dropped: &Dropped) -> bool {
        let Self { records, queue, left_to_look_at, ghosts, .. } = self;
        if *left_to_look_at == 0 {
            *left_to_look_at = queue.len();
        }
        for _ in 0..EVICTION_STEPS {
            if *left_to_look_at == 0 || queue.is_empty() {
                *left_to_look_at = 0;
                return true;
            }
            if !accounts.wants_more_room() {
                return false;
            }
            *left_to_look_at -= 1;
            let Some(at) = queue.pop_front() else { return true };
            let Some(record) = records.at_mut(at) else { continue };
            let cost = Cost::of(record);
            let marks = record.marks_mut();
            if marks.state != State::Clean {
                marks.queued = false;
            } else if std::mem::take(&mut marks.referenced) {
                queue.push_back(at);
            } else {
                let (before, most) = (ghosts.memory_bytes(), accounts.most_ghost_bytes() / SHARDS);
                record.value().into_iter().for_each(|value| ghosts.add(record.key(), &value, most));
                accounts.change_ghosts(before, ghosts.memory_bytes());
                records.remove_at(at).into_iter().for_each(|room| dropped.put(room));
                accounts.change(cost, Cost::NOTHING);
            }
        }
        false
    }

    /// Takes from the queue what names a record that is gone, once that is the greater part: below the budget nobody else does,
    /// and records that come and go would let it grow without end.
    fn tidy_queue(&mut self) {
        let Self { records, queue, .. } = self;
        if queue.len() > 2 * records.len() + MAX_STALE_HANDLES {
            queue.retain(|at| records.at(*at).is_some());
            queue.shrink_to(2 * queue.len());
        }
    }
}

/// A shard on cache lines of its own, so that cores that use neighbours do not slow each other.
#[derive(Default)]
#[repr(align(64))]
struct Guarded(Mutex<Shard>);

impl Guarded {
    fn lock(&self) -> MutexGuard<'_, Shard> {
        lock(&self.0)
    }
}

/// What the table knows of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup<P = Bytes> {
    /// Its value, or what of it was wanted, or that it was deleted, and the commit that said so, if that is known.
    Found(Option<P>, u64),
    /// Nothing; ask the cold store, then [`Table::fill`] with this.
    Unknown(Ticket),
}

/// A shard's version before a read of the cold store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// A part of the budget that somebody else uses; see [`Table::lend`].
pub(crate) struct Loan<'a> {
    accounts: &'a Accounts,
    bytes: usize,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.accounts.change_lent(self.bytes, 0);
    }
}

/// All shards.
pub(crate) struct Table {
    shards: Box<[Guarded]>,
    accounts: Accounts,
    dropped: Dropped,
    /// The shard that is looked at for eviction.
    hand: AtomicUsize,
    flushes: AtomicU64,
    /// How many records were fetched before they were asked for.
    #[cfg(test)]
    fetched: AtomicU64,
}

impl Table {
    /// Drops clean records above `budget_bytes`.
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Guarded::default()).collect(),
            accounts: Accounts::new(budget_bytes),
            dropped: Dropped::new((budget_bytes / DROPPED_PART).min(MOST_DROPPED_BYTES)),
            hand: AtomicUsize::new(0),
            flushes: AtomicU64::new(0),
            #[cfg(test)]
            fetched: AtomicU64::new(0),
        }
    }

    /// Whether what it holds is so much that the processor has to wait for nearly each record.
    pub(crate) fn is_worth_fetching_for(&self) -> bool {
        crate::sys::CAN_PREFETCH && self.accounts.bytes() > CACHE_BYTES
    }

    /// See [`crate::store::Store::fetch`].
    pub(crate) fn fetch(&self, beginning: &[u8; TELLING_BYTES], fetch: Fetch) {
        // Whoever writes there has it in the cache now.
        if let Ok(shard) = self.shards[shard_of(beginning)].0.try_lock() {
            let _is_here = shard.records.fetch(beginning, fetch);
            #[cfg(test)]
            self.fetched.fetch_add(u64::from(_is_here && fetch == Fetch::Record), Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub(crate) fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn get<P: Portion>(&self, key: &[u8]) -> Lookup<P> {
        let mut shard = self.shards[shard_of(key)].lock();
        shard.find(key).unwrap_or_else(|| Lookup::Unknown(shard.ticket()))
    }

    /// Shows `see` the value of a record where it lies; the commit that wrote it. `None`: there is none here.
    pub(crate) fn look(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Option<u64> {
        let mut shard = self.shards[shard_of(key)].lock();
        let record = shard.used(key)?;
        see(record.bytes()?);
        Some(record.marks().seq)
    }

    /// As [`Table::get`], and where only a ghost is left of the record what that tells, if its first byte `suffices`.
    pub(crate) fn glimpse(&self, key: &[u8], suffices: fn(u8) -> bool) -> Lookup<Glimpse> {
        let mut shard = self.shards[shard_of(key)].lock();
        if let Some(found) = shard.find(key) {
            return found;
        }
        let is_enough = |ghost: &Glimpse| ghost.begin().first().is_some_and(|first| suffices(*first));
        match shard.ghosts.get(key).filter(is_enough) {
            Some(ghost) => Lookup::Found(Some(ghost), IN_COLD_STORE),
            None => Lookup::Unknown(shard.ticket()),
        }
    }

    /// Takes the write of commit `seq`; a later commit's is kept.
    pub(crate) fn write(&self, key: &[u8], value: Option<&Bytes>, seq: u64) {
        self.shards[shard_of(key)].lock().write(key, value, seq, &self.accounts, &self.dropped);
        self.make_room();
    }

    /// As [`Table::write`], of very many: those that follow each other in a shard are put there together.
    pub(crate) fn write_all(&self, writes: &[Write], seq: u64) {
        let shard = |write: &Write| write.key().map(|key| shard_of(key));
        for run in writes.chunk_by(|left, right| shard(left) == shard(right)) {
            let Some(shard) = shard(&run[0]) else { continue };
            // Others may want the shard.
            for (at, page) in run.chunks(PAGE_RECORDS).enumerate() {
                let mut guard = self.shards[shard].lock();
                if at == 0 {
                    // Where there are as many it grows once at most.
                    let more = run.len().saturating_sub(guard.records.len());
                    guard.records.expect(more);
                }
                for write in page {
                    if let Some(key) = write.key() {
                        guard.write(key, write.value(), seq, &self.accounts, &self.dropped);
                    }
                }
                drop(guard);
                self.make_room();
            }
        }
    }

    /// Keeps what the cold store said, if nothing was written to the shard since `ticket`.
    pub(crate) fn fill(&self, key: &[u8], value: &Bytes, ticket: Ticket) {
        if value.len() > self.budget_bytes() / 16 {
            return;
        }
        let mut guard = self.shards[shard_of(key)].lock();
        let Shard { records, queue, version, ghosts, .. } = &mut *guard;
        if Ticket(*version) != ticket || records.get(key).is_some() {
            return;
        }
        // A small one is copied into its record anyway; a large one would be shared, and keep a whole block of the cold
        // store alive.
        let value = if fits_beside(key.len(), value.len()) { value } else { &vast::copy(value) };
        ghosts.take_away(key);
        let room = self.dropped.take(|| room_needed(key, Some(value)));
        let (at, record) = records.insert_new(key, Some(value), Marks::clean_and_queued(), room);
        self.accounts.change(Cost::NOTHING, Cost::of(record));
        queue.push_back(at);
        drop(guard);
        self.make_room();
    }

    /// How many runs that reached the cold store had their records made clean here, that of one on its way included: a
    /// reader of both that sees it grow has to look at the cold store again.
    pub(crate) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Acquire)
    }

    /// The run is in the cold store: its records are clean now, unless they were written since.
    pub(crate) fn flushed(&self) {
        self.flushes.fetch_add(1, Ordering::AcqRel);
        for shard in &self.shards {
            let mut last = None;
            loop {
                let mut guard = shard.lock();
                let page = guard.dirty_page(last.as_deref());
                let Some(record) = page.last().and_then(|at| guard.records.at(*at)) else {
                    guard.tidy_queue();
                    break;
                };
                last = Some(record.key().to_vec());
                for at in page {
                    self.make_clean(&mut guard, at);
                }
                drop(guard);
                self.make_room();
            }
        }
    }

    fn make_clean(&self, shard: &mut Shard, at: Handle) {
        let Shard { records, dirty, queue, .. } = shard;
        let Some(record) = records.at(at).filter(|record| record.marks().state == State::Flushing) else {
            return;
        };
        let before = Cost::of(record);
        dirty.remove(record.key(), records);
        let Some(record) = records.at_mut(at) else { return };
        if record.is_deleted() {
            // The cold store says the same.
            records.remove_at(at).into_iter().for_each(|room| self.dropped.put(room));
            self.accounts.change(before, Cost::NOTHING);
            return;
        }
        let marks = record.marks_mut();
        marks.state = State::Clean;
        if !std::mem::replace(&mut marks.queued, true) {
            queue.push_back(at);
        }
        self.accounts.change(before, Cost::of(record));
    }

    /// The run did not reach the cold store: its records stay dirty.
    pub(crate) fn flush_failed(&self) {
        for shard in &self.shards {
            for record in shard.lock().records.values_mut() {
                if record.marks().state == State::Flushing {
                    record.marks_mut().state = State::Dirty;
                }
            }
        }
    }

    /// Bytes of all records here.
    pub(crate) fn bytes(&self) -> usize {
        self.accounts.bytes()
    }

    /// Bytes of the dirty ones.
    pub(crate) fn dirty_bytes(&self) -> usize {
        self.accounts.dirty_bytes()
    }

    /// By how many bytes they ever grew.
    pub(crate) fn dirtied_bytes(&self) -> u64 {
        self.accounts.dirtied_bytes()
    }

    pub(crate) fn budget_bytes(&self) -> usize {
        self.accounts.budget_bytes()
    }

    /// Lends so many bytes of the budget until the loan is dropped, at most half of all; drops clean records until they are free.
    pub(crate) fn lend(&self, bytes: usize) -> Loan<'_> {
        self.accounts.change_lent(0, bytes);
        self.make_room();
        Loan { accounts: &self.accounts, bytes }
    }

    /// What is lent, in bytes.
    pub(crate) fn lent_bytes(&self) -> usize {
        self.accounts.lent_bytes()
    }

    /// Drops clean records that were not read since they were last looked at, until there is room: as many as it takes,
    /// whatever the size of what came. One hand goes round all shards, so that the room of one is not bought by its own
    /// records. No lock is held when this is called.
    fn make_room(&self) {
        if !self.accounts.is_over() {
            return;
        }
        let _later = vast::later();
        // Twice around: on the first the hand may only have taken marks away.
        for _ in 0..=2 * self.shards.len() {
            let hand = self.hand.load(Ordering::Relaxed);
            let mut shard = self.shards[hand % self.shards.len()].lock();
            while !shard.evict_some(&self.accounts, &self.dropped) {
                if !self.accounts.wants_more_room() {
                    return;
                }
                // Others may want the shard.
                drop(shard);
                shard = self.shards[hand % self.shards.len()].lock();
            }
            let _ =
                self.hand.compare_exchange(hand, hand.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

fn copy_of(record: &Kept) -> Record {
    (Bytes::copy_from_slice(record.key()), record.value())
}
