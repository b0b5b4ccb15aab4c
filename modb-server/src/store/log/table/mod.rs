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

mod flush_run;
mod records;
mod routing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use self::records::{Marks, Record as Kept, Records, fits_beside};
use self::routing::{ROUTED_SHARDS, routed_shards, shard_of};
use super::cold::Record;
use crate::store::group::lock;

/// What a record's place in the index or in the queue takes beside a copy of its key: half-full nodes of a B-tree, and the
/// allocator's share.
const INDEX_BYTES: usize = 120;
/// Clean records looked at for eviction per write or fill.
const EVICTION_STEPS: usize = 8;
/// Dirty records taken per hold of a shard's lock.
const PAGE_RECORDS: usize = 128;

/// A key as the index orders it: its first bytes as a number, so that most comparisons touch no other memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OrderedKey {
    head: u128,
    key: Bytes,
}

impl OrderedKey {
    fn new(key: Bytes) -> Self {
        let mut head = [0; 16];
        let n = key.len().min(16);
        head[..n].copy_from_slice(&key[..n]);
        Self { head: u128::from_be_bytes(head), key }
    }
}

/// In this order, so that a read finds the lock and the map's own fields on one cache line.
#[derive(Default)]
#[repr(C)]
struct Shard {
    records: Records,
    dirty: BTreeSet<OrderedKey>,
    /// Clean records, next to be looked at first.
    queue: VecDeque<Bytes>,
    /// Grows with each write.
    version: u64,
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
}

impl Table {
    /// Drops clean records above `budget_bytes`.
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self {
            shards: (0..=ROUTED_SHARDS).map(|_| Guarded::default()).collect(),
            bytes: AtomicUsize::new(0),
            dirty_bytes: AtomicUsize::new(0),
            budget_bytes,
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
    pub(crate) fn write(&self, key: Bytes, value: Option<Bytes>, seq: u64) {
        let mut guard = self.shards[shard_of(&key)].lock();
        let shard = &mut *guard;
        shard.version += 1;
        let bytes = match shard.records.get_mut(&key) {
            Some(record) => {
                let was = *record.marks();
                if was.seq > seq {
                    return;
                }
                let before = memory_bytes(record);
                record.set_value(value.as_ref());
                *record.marks_mut() = Marks { seq, dirty: true, in_flush: false, ..was };
                if was.dirty {
                    self.dirty_bytes.fetch_sub(before, Ordering::Relaxed);
                } else {
                    shard.dirty.insert(OrderedKey::new(key));
                }
                self.bytes.fetch_sub(before, Ordering::Relaxed);
                memory_bytes(record)
            }
            None => {
                let bytes = memory_bytes(shard.records.insert_new(&key, value.as_ref(), Marks::dirty(seq)));
                shard.dirty.insert(OrderedKey::new(key));
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
        let bytes = memory_bytes(shard.records.insert_new(key, Some(value), Marks::clean_and_queued()));
        shard.queue.push_back(Bytes::copy_from_slice(key));
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.evict(shard);
    }

    /// Up to `limit` dirty records with `from <= key < to`, ascending. If there are more, their keys are above the
    /// last one's.
    pub(crate) fn dirty_range(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<Record> {
        let (first, last) =
            (OrderedKey::new(Bytes::copy_from_slice(from)), OrderedKey::new(Bytes::copy_from_slice(to)));
        let mut records = Vec::new();
        if first >= last {
            return records;
        }
        self.page_of_shard(0, &first, &last, limit, &mut records);
        match routed_shards(from, to) {
            // One common prefix: the shards are consecutive parts of the range.
            Some(shards) => {
                let unrouted = records.len();
                for shard in shards {
                    let left = (limit + unrouted).saturating_sub(records.len());
                    if left == 0 {
                        break;
                    }
                    self.page_of_shard(shard, &first, &last, left, &mut records);
                }
                if unrouted > 0 {
                    records.sort_by(|a, b| a.0.cmp(&b.0));
                }
            }
            None => {
                for shard in 1..self.shards.len() {
                    self.page_of_shard(shard, &first, &last, limit, &mut records);
                }
                records.sort_by(|a, b| a.0.cmp(&b.0));
            }
        }
        records.truncate(limit);
        records
    }

    fn page_of_shard(
        &self,
        shard: usize,
        from: &OrderedKey,
        to: &OrderedKey,
        limit: usize,
        out: &mut Vec<Record>,
    ) {
        let shard = self.shards[shard].lock();
        for key in shard.dirty.range(from..to).take(limit) {
            if let Some(record) = shard.records.get(&key.key) {
                out.push((key.key.clone(), record.value()));
            }
        }
    }

    /// The run is in the cold store: its records are clean now, unless they were written since.
    pub(crate) fn flushed(&self) {
        for shard in &self.shards {
            let keys: Vec<OrderedKey> = shard.lock().dirty.iter().cloned().collect();
            for page in keys.chunks(PAGE_RECORDS) {
                let mut guard = shard.lock();
                for key in page {
                    self.make_clean(&mut guard, key);
                }
                self.evict(&mut guard);
            }
        }
    }

    fn make_clean(&self, shard: &mut Shard, key: &OrderedKey) {
        let Some(record) = shard.records.get_mut(&key.key) else { return };
        if !record.marks().in_flush {
            return;
        }
        let bytes = memory_bytes(record);
        let deleted = record.is_deleted();
        let marks = record.marks_mut();
        let queued = std::mem::replace(&mut marks.queued, true);
        marks.in_flush = false;
        marks.dirty = false;
        shard.dirty.remove(key);
        self.dirty_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if deleted {
            // The cold store says the same.
            shard.records.remove(&key.key);
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        } else if !queued {
            shard.queue.push_back(key.key.clone());
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
            let Some(key) = shard.queue.pop_front() else { return };
            let Some(record) = shard.records.get_mut(&key) else { continue };
            let bytes = memory_bytes(record);
            let marks = record.marks_mut();
            if marks.dirty {
                marks.queued = false;
            } else if std::mem::take(&mut marks.referenced) {
                shard.queue.push_back(key);
            } else {
                shard.records.remove(&key);
                self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
        }
    }
}

/// What a record costs in all.
fn memory_bytes(record: &Kept) -> usize {
    record.memory_bytes() + record.key().len() + INDEX_BYTES
}
