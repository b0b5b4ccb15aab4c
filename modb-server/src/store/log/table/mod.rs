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
//! - A record read from the cold store is put here only if its shard took no write since before that read:
//!   otherwise a value that was overwritten, flushed and dropped meanwhile would come back.

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

use self::index::Index;
use self::records::{Handle, Marks, Record as Kept, Records, fits_beside};
use self::routing::{ROUTED_SHARDS, shard_of};
pub(crate) use self::walk::Walk;
use super::cold::Record;
use crate::store::group::lock;

/// What a place in the eviction's queue takes, in bytes: the queue doubles as it grows.
const QUEUE_BYTES: usize = size_of::<Handle>() * 3 / 2;
/// Clean records looked at for eviction per write or fill.
const EVICTION_STEPS: usize = 8;
/// Handles of records that are gone, per shard, that are not worth looking for in the eviction's queue.
const MAX_STALE_HANDLES: usize = 64;
/// Dirty records made clean per hold of a shard's lock.
const PAGE_RECORDS: usize = 128;
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
    /// Grows with each write.
    version: u64,
}

impl Shard {
    /// The next dirty records after that key, as many as are taken per hold of the lock.
    fn dirty_page(&self, after: Option<&[u8]>) -> Vec<Handle> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.dirty.iter_from(from, &self.records).take(PAGE_RECORDS).collect()
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
pub(crate) enum Lookup {
    /// Its value, or that it was deleted, and the commit that said so.
    Found(Option<Bytes>, u64),
    /// Nothing; ask the cold store, then [`Table::fill`] with this.
    Unknown(Ticket),
}

/// A shard's version before a read of the cold store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// All shards.
pub(crate) struct Table {
    shards: Box<[Guarded]>,
    bytes: AtomicUsize,
    dirty_bytes: AtomicUsize,
    budget_bytes: usize,
    flushes: AtomicU64,
}

impl Table {
    /// Drops clean records above `budget_bytes`.
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self {
            shards: (0..=ROUTED_SHARDS).map(|_| Guarded::default()).collect(),
            bytes: AtomicUsize::new(0),
            dirty_bytes: AtomicUsize::new(0),
            budget_bytes,
            flushes: AtomicU64::new(0),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Lookup {
        let mut shard = self.shards[shard_of(key)].lock();
        match shard.records.get_mut(key) {
            Some(record) => {
                // Written only if it changes: another core may be reading the same lines.
                if !record.marks().referenced {
                    record.marks_mut().referenced = true;
                }
                Lookup::Found(record.value(), record.marks().seq)
            }
            None => Lookup::Unknown(Ticket(shard.version)),
        }
    }

    /// Takes the write of commit `seq`; a later commit's is kept.
    pub(crate) fn write(&self, key: &[u8], value: Option<&Bytes>, seq: u64) {
        let mut guard = self.shards[shard_of(key)].lock();
        let shard = &mut *guard;
        let Shard { records, dirty, .. } = shard;
        shard.version += 1;
        let bytes = match records.get_mut(key) {
            Some(record) => {
                let was = *record.marks();
                if was.seq > seq {
                    return;
                }
                let before = memory_bytes(record);
                record.set_value(value);
                *record.marks_mut() = Marks { seq, dirty: true, in_flush: false, ..was };
                let bytes = memory_bytes(record);
                if was.dirty {
                    self.dirty_bytes.fetch_sub(before, Ordering::Relaxed);
                } else {
                    dirty.insert(key, records.handle(key, was), records);
                }
                self.bytes.fetch_sub(before, Ordering::Relaxed);
                bytes
            }
            None => {
                let (at, record) = records.insert_new(key, value, Marks::dirty(seq));
                let bytes = memory_bytes(record);
                dirty.insert(key, at, records);
                bytes
            }
        };
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.dirty_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.evict(shard);
    }

    /// Keeps what the cold store said, if nothing was written to the shard since `ticket`.
    pub(crate) fn fill(&self, key: &[u8], value: &Bytes, ticket: Ticket) {
        if value.len() > self.budget_bytes / 16 {
            return;
        }
        let mut guard = self.shards[shard_of(key)].lock();
        let shard = &mut *guard;
        if Ticket(shard.version) != ticket || shard.records.get(key).is_some() {
            return;
        }
        // A small one is copied into its record anyway; a large one would be shared, and keep a whole block of the cold
        // store alive.
        let value = if fits_beside(key.len(), value.len()) { value } else { &Bytes::copy_from_slice(value) };
        let (at, record) = shard.records.insert_new(key, Some(value), Marks::clean_and_queued());
        self.bytes.fetch_add(memory_bytes(record), Ordering::Relaxed);
        shard.queue.push_back(at);
        self.evict(shard);
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
                self.evict(&mut guard);
            }
        }
    }

    fn make_clean(&self, shard: &mut Shard, at: Handle) {
        let Shard { records, dirty, queue, .. } = shard;
        let Some(record) = records.at(at).filter(|record| record.marks().in_flush) else { return };
        dirty.remove(record.key(), records);
        let Some(record) = records.at_mut(at) else { return };
        let before = memory_bytes(record);
        let marks = record.marks_mut();
        let queued = std::mem::replace(&mut marks.queued, true);
        marks.in_flush = false;
        marks.dirty = false;
        self.dirty_bytes.fetch_sub(before, Ordering::Relaxed);
        if record.is_deleted() {
            // The cold store says the same.
            records.remove_at(at);
            self.bytes.fetch_sub(before, Ordering::Relaxed);
        } else {
            self.bytes.fetch_sub(before - memory_bytes(record), Ordering::Relaxed);
            if !queued {
                queue.push_back(at);
            }
        }
    }

    /// The run did not reach the cold store: its records stay dirty.
    pub(crate) fn flush_failed(&self) {
        for shard in &self.shards {
            for record in shard.lock().records.values_mut() {
                record.marks_mut().in_flush = false;
            }
        }
    }

    /// Bytes of all records here.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of the dirty ones.
    pub(crate) fn dirty_bytes(&self) -> usize {
        self.dirty_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn budget_bytes(&self) -> usize {
        self.budget_bytes
    }

    /// Second chance: drops clean records that were not read since they were last looked at.
    fn evict(&self, shard: &mut Shard) {
        for _ in 0..EVICTION_STEPS {
            if self.bytes() <= self.budget_bytes {
                return;
            }
            let Some(at) = shard.queue.pop_front() else { return };
            let Some(record) = shard.records.at_mut(at) else { continue };
            let bytes = memory_bytes(record);
            let marks = record.marks_mut();
            if marks.dirty {
                marks.queued = false;
            } else if std::mem::take(&mut marks.referenced) {
                shard.queue.push_back(at);
            } else {
                shard.records.remove_at(at);
                self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
        }
    }
}

/// What a record costs in all: nearly each is in the queue sooner or later.
fn memory_bytes(record: &Kept) -> usize {
    let indexed = if record.marks().dirty { index::ENTRY_BYTES } else { 0 };
    record.memory_bytes() + QUEUE_BYTES + indexed
}

fn copy_of(record: &Kept) -> Record {
    (Bytes::copy_from_slice(record.key()), record.value())
}
