//! The engine without its threads: the log, the table and the cold store put together.
//!
//! A commit is in the log's buffer, then in the table; a read asks the table, then the cold store. A flush moves
//! everything dirty to the cold store as one sorted run, and then the log before it is free.
//!
//! Why a crash at any moment leaves a prefix of the commits: a flush covers the commits up to the number that the log
//! had when it began (`barrier`), but its records are as they are when the run reaches them, so some may be
//! newer. Therefore the log is synced after the run was gathered and before it is published: whatever the cold
//! store then holds, the log after its position leads to a state at least as new, commit by commit.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use modb_net::Seq;

use super::chunk::MAX_BODY_BYTES;
use super::cold::{Cold, Kept};
use super::commit;
use super::disk::Disk;
use super::merge::Record;
use super::pressure::{Filled, Pressure};
use super::recover;
use super::scan::Scan;
use super::table::{Loan, Lookup, Table, Ticket};
use super::writer::Log;
use crate::store::glimpse::Portion;
use crate::store::group::Backing;
use crate::store::locking::lock;
use crate::store::{
    Batch, Change, Counter, Glimpse, Got, MAX_STORE_KEY_BYTES, Page, Soon, StoreError, Write, vast,
};

/// What the tree takes while it writes a record, in sizes of its value: the block that it becomes, which grows to twice its
/// length, and what that is compressed to.
const WRITING_COPIES: usize = 4;

/// A record, or that there is no memory to write it: the tree would end the process.
fn with_memory_to_write(record: Record) -> Result<Record, StoreError> {
    let bytes = record.1.as_ref().map_or(0, Bytes::len);
    if crate::sys::has_memory(bytes.saturating_mul(WRITING_COPIES)) {
        return Ok(record);
    }
    Err(StoreError::io("cannot flush a large value", std::io::ErrorKind::OutOfMemory.into()))
}

/// The most a batch may hold, in bytes: twice the largest value of the protocol.
const MAX_BATCH_BYTES: usize = 1 << 30;
const _: () = assert!(2 * MAX_BATCH_BYTES < MAX_BODY_BYTES);
/// How long the replies of commits that the disk has no room for are held back. Longer than a flush takes, which gives
/// space back, and than most moments of a disk that is only just full; no longer than a client waits before it
/// takes the server for dead.
pub(crate) const FULL_DISK_PATIENCE: Duration = Duration::from_secs(5);
/// Runs above which a flush waits while a merge of all of them takes much memory. A compaction needs a few to be due.
const MAX_LARGE_RUNS: usize = 6;
/// What a merge may take of memory without a loan: with records of some KiB it takes far less.
const UNLENT_BYTES: usize = 32 << 20;
/// Beyond the cache and this much the allocator is asked for what it keeps.
const KEPT_BESIDE_BYTES: u64 = 48 << 20;
/// Records that are swept between two flushes. Each small one takes the room of larger ones that were dropped for it, and an allocator that
/// has a heap for each thread does not give the one's memory to the other: this is 16 MiB or so.
const MOST_SWEPT: usize = if cfg!(test) { 4_096 } else { 128 << 10 };
/// Sizes that follow from the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    /// Size of a log file.
    pub(crate) segment_bytes: u64,
    /// Log behind the last flush that starts the next. Bounds what a restart replays.
    pub(crate) log_bytes: u64,
    /// Memory for recent records.
    pub(crate) table_bytes: usize,
}

impl Tuning {
    /// For `memory_mb` of records in memory.
    pub(crate) fn new(memory_mb: u64) -> Self {
        Self {
            segment_bytes: 32 << 20,
            log_bytes: 256 << 20,
            table_bytes: usize::try_from(memory_mb << 20).unwrap_or(usize::MAX).max(4 << 20),
        }
    }

    /// Dirty records that start a flush.
    pub(super) fn flush_bytes(&self) -> usize {
        self.table_bytes / 8 * 3
    }

    /// Dirty records that stop the writers.
    fn max_dirty_bytes(&self) -> usize {
        self.table_bytes / 4 * 3
    }

    /// Log that stops the writers.
    fn max_log_bytes(&self) -> u64 {
        3 * self.log_bytes
    }
}

/// The three parts.
pub(crate) struct Engine {
    pub(crate) log: Log,
    pub(crate) table: Table,
    pub(crate) cold: Arc<dyn Cold>,
    pub(crate) disk: Arc<dyn Disk>,
    tuning: Tuning,
    pub(crate) pressure: Pressure,
    /// The position of the cold store.
    flushed: AtomicU64,
    /// Single records that were looked for in the cold store.
    pub(crate) cold_reads: AtomicU64,
    /// What ranges have cost: see [`Scan::looked_at`].
    pub(crate) range_reads: AtomicU64,
    /// Records that were swept since the last flush.
    swept: AtomicUsize,
    /// Held by whoever changes what the cold store holds, or needs that it does not change.
    flushing: Mutex<()>,
}

impl Engine {
    /// Of parts that fit each other; see `start`.
    pub(super) fn new(
        log: Log,
        table: Table,
        cold: Arc<dyn Cold>,
        disk: Arc<dyn Disk>,
        tuning: Tuning,
        flushed_seq: u64,
    ) -> Self {
        let flushed = AtomicU64::new(flushed_seq);
        let pressure = Pressure::new(tuning.max_dirty_bytes() as u64, tuning.max_log_bytes());
        let (cold_reads, range_reads) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            log,
            table,
            cold,
            disk,
            tuning,
            pressure,
            flushed,
            cold_reads,
            range_reads,
            swept: AtomicUsize::new(0),
            flushing: Mutex::new(()),
        }
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Got, StoreError> {
        match self.table.get(key) {
            Lookup::Found(value, seq) => Ok(Got { value, seq: Seq(seq) }),
            Lookup::Unknown(ticket) => {
                self.cold_reads.fetch_add(1, Ordering::Relaxed);
                let value = self.cold.get(key)?;
                Ok(self.filled_with(key, value, ticket))
            }
        }
    }

    /// As [`Engine::get`], but for a value that is larger than that and not in memory.
    pub(crate) fn get_soon(&self, key: &[u8], most_bytes: usize) -> Result<Soon, StoreError> {
        match self.table.get(key) {
            Lookup::Found(value, seq) => Ok(Soon::Got(Got { value, seq: Seq(seq) })),
            Lookup::Unknown(ticket) => {
                self.cold_reads.fetch_add(1, Ordering::Relaxed);
                let value = match self.cold.look(key, most_bytes)? {
                    Some(Kept::Apart(glimpse)) => return Ok(Soon::Larger(glimpse.value_bytes())),
                    Some(Kept::Whole(value)) => Some(value),
                    None => None,
                };
                Ok(Soon::Got(self.filled_with(key, value, ticket)))
            }
        }
    }

    /// What the cold store has of a record; kept in memory as well.
    fn filled_with(&self, key: &[u8], value: Option<Bytes>, ticket: Ticket) -> Got {
        if let Some(value) = &value {
            self.table.fill(key, value, ticket);
        }
        Got { value, seq: Seq::ZERO }
    }

    /// As [`Engine::get`], without reading a large value, nor any of which the first byte is known and `suffices`.
    pub(crate) fn glimpse(&self, key: &[u8], suffices: fn(u8) -> bool) -> Result<Got<Glimpse>, StoreError> {
        match self.table.glimpse(key, suffices) {
            Lookup::Found(value, seq) => Ok(Got { value, seq: Seq(seq) }),
            Lookup::Unknown(ticket) => {
                self.cold_reads.fetch_add(1, Ordering::Relaxed);
                let value = self.cold.look(key, 0)?.map(|kept| match kept {
                    Kept::Whole(value) => {
                        self.table.fill(key, &value, ticket);
                        Glimpse::of(&value)
                    }
                    Kept::Apart(glimpse) => glimpse,
                });
                Ok(Got { value, seq: Seq::ZERO })
            }
        }
    }

    /// A page of the records in memory and in the cold store; `most_looked_at` bounds how many it passes, also deleted ones.
    pub(crate) fn scan<P: Portion>(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        most_looked_at: usize,
    ) -> Result<Page<P>, StoreError> {
        let mut page = Page { records: Vec::new(), next: None };
        // One more than the page takes, to know where the next begins.
        let mut scan = Scan::new(&self.table, &*self.cold, from, to, limit.saturating_add(1))?;
        let mut looked_at = 0;
        while let Some((key, value)) = scan.read()? {
            if page.records.len() >= limit.max(1) || looked_at >= most_looked_at.max(1) {
                page.next = Some(key.to_vec());
                break;
            }
            looked_at += 1;
            page.records.extend(value.map(|value| (key, value)));
        }
        self.range_reads.fetch_add(scan.looked_at(), Ordering::Relaxed);
        Ok(page)
    }

    pub(crate) fn counter(&self, counter: Counter) -> i64 {
        self.log.counter(counter)
    }

    /// Commits; the caller has checked the keys and the store's health.
    pub(crate) fn apply(&self, batch: &Batch) -> Result<Seq, StoreError> {
        let bytes = commit::commit_bytes(&batch.writes);
        if bytes > MAX_BATCH_BYTES {
            return Err(StoreError::Unsupported("a batch of more than 1 GiB"));
        }
        debug_assert!(batch.writes.iter().all(|write| self.is_based(write)), "a change of what is not there");
        let appended = loop {
            if let Some(reason) = self.log.why_full() {
                return Err(StoreError::ReadOnly(reason));
            }
            match self.log.append(&batch.writes, bytes) {
                Some(appended) => break appended,
                None => drop(self.log.write_out()?),
            }
        };
        let (seq, large) = (appended.seq, appended.buffer_is_large());
        put_into(&self.table, seq, &batch.writes);
        drop(appended.in_flight);
        if large {
            self.log.write_out()?;
        }
        Ok(Seq(seq))
    }

    /// Whether a change is one of the record as it is; of what was dropped from memory it is believed.
    fn is_based(&self, write: &Write) -> bool {
        let Write::Patch(patch) = write else { return true };
        match self.table.get(&patch.key) {
            // Without a number: it was read from the cold store, perhaps meanwhile.
            Lookup::Found(value, seq) => {
                let is_of = seq == patch.base_seq.0 || seq == 0 || patch.base_seq.0 == 0;
                let makes_it = |was: &Bytes| match &patch.change {
                    Change::From(base) => base == was,
                    Change::By(splices) => splices.apply(was).is_some_and(|made| made == patch.value),
                };
                is_of && value.as_ref().is_some_and(makes_it)
            }
            Lookup::Unknown(_) => true,
        }
    }

    /// Whether a flush is due.
    pub(crate) fn wants_flush(&self) -> bool {
        self.table.dirty_bytes() > self.tuning.flush_bytes()
            || self.log.live_bytes() > self.tuning.log_bytes
            || self.is_much_swept()
    }

    /// So many records more were swept: deleted, and nobody waits for it.
    pub(crate) fn note_swept(&self, records: usize) {
        self.swept.fetch_add(records, Ordering::Relaxed);
    }

    /// Whether a flush is due before more is swept.
    pub(crate) fn is_much_swept(&self) -> bool {
        self.swept.load(Ordering::Relaxed) >= MOST_SWEPT
    }

    /// What fills the memory and the log now.
    pub(crate) fn filled(&self) -> Filled {
        // What is lent is first that part of the memory which is never dirty.
        let lent_bytes =
            self.table.lent_bytes().saturating_sub(self.tuning.table_bytes - self.tuning.max_dirty_bytes());
        Filled {
            dirty_bytes: (self.table.dirty_bytes() + lent_bytes) as u64,
            dirty_bytes_ever: self.table.dirtied_bytes(),
            log_bytes: self.log.live_bytes(),
            log_bytes_ever: self.log.total_bytes(),
        }
    }

    /// Merges some tables of the cold store if that is due; says whether it did.
    pub(crate) fn compact_step(&self) -> Result<bool, StoreError> {
        let _room = self.lend_to_merge()?;
        self.cold.compact_step()
    }

    /// Merges all tables of the cold store.
    pub(crate) fn compact_all(&self) -> Result<(), StoreError> {
        let _room = self.lend_to_merge()?;
        self.cold.compact_all()
    }

    /// A merge holds a block of each run, and a record of many megabytes is a block: the cache makes room for them.
    fn lend_to_merge(&self) -> Result<Loan<'_>, StoreError> {
        let bytes = self.cold.merge_bytes();
        let loan = self.table.lend(bytes.saturating_sub(UNLENT_BYTES));
        if crate::sys::has_memory(bytes) {
            return Ok(loan);
        }
        Err(StoreError::io("cannot merge large values", std::io::ErrorKind::OutOfMemory.into()))
    }

    /// Whether the next flush has to wait for the compaction, also since each run has a block in its merge, which may take no
    /// more memory than the cache can lend.
    pub(crate) fn is_compaction_behind(&self) -> bool {
        let is_merge_large = || self.cold.merge_bytes() > self.tuning.table_bytes / 2 + UNLENT_BYTES;
        self.cold.is_compaction_behind() || (self.cold.runs() > MAX_LARGE_RUNS && is_merge_large())
    }

    /// Gives memory back that the allocator keeps, if the process has more than its cache and half of what it may have beside.
    pub(crate) fn give_memory_back(&self) {
        let cache_bytes = self.tuning.table_bytes as u64 / 3 * 4;
        if crate::sys::memory_bytes().is_some_and(|bytes| bytes > cache_bytes + KEPT_BESIDE_BYTES) {
            crate::sys::give_free_memory_back();
        }
    }

    /// No flush is made while this is kept.
    #[cfg(test)]
    pub(super) fn stop_flushes(&self) -> std::sync::MutexGuard<'_, ()> {
        lock(&self.flushing)
    }

    /// Moves everything dirty to the cold store. Nothing has changed if it fails, unless the outcome is unknown.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        let _alone = lock(&self.flushing);
        let (before, begin) = (self.filled(), Instant::now());
        let position = self.log.barrier();
        // What is swept from here on is left to the next one.
        let swept = self.swept.load(Ordering::Relaxed);
        if position.seq == self.flushed.load(Ordering::Acquire) {
            self.swept.fetch_sub(swept, Ordering::Relaxed);
            return Ok(());
        }
        let mut run = self.table.flush_run().map(with_memory_to_write);
        let ingested = self.cold.ingest(&position, &mut run, &mut || {
            let committed = self.log.committed();
            self.log.write_out()?;
            if self.log.sync()? < committed {
                return Err(StoreError::io(
                    "the log waits for space",
                    std::io::ErrorKind::StorageFull.into(),
                ));
            }
            Ok(())
        });
        if let Err(error) = ingested {
            self.table.flush_failed();
            return Err(error);
        }
        self.flushed.store(position.seq, Ordering::Release);
        self.swept.fetch_sub(swept, Ordering::Relaxed);
        self.table.flushed();
        self.log.release(position.seq);
        self.pressure.note_flush(before, begin.elapsed());
        Ok(())
    }

    /// Verifies the cold store's records, their order, and that the log goes on from its position without a gap. Others
    /// commit, flush and compact meanwhile.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let log = self.log.pin();
        // All before it may have been freed before; nothing behind it is any more.
        let flushed = self.flushed.load(Ordering::Acquire);
        let written = self.log.write_out()?;
        recover::verify(&*self.disk, &log.segments(), flushed, written.0)?;
        drop(log);
        self.check_tables()
    }

    /// Verifies the cold store's records and their order. What memory has of a key goes before: after a crash only that may be whole.
    pub(super) fn check_tables(&self) -> Result<(), StoreError> {
        let mut records = Scan::new(&self.table, &*self.cold, &[1], &[0xff], usize::MAX)?;
        let checked = in_order(&mut records);
        self.range_reads.fetch_add(records.looked_at(), Ordering::Relaxed);
        checked
    }

    /// Writes a copy of everything that is there into tables alone; while nobody commits.
    pub(super) fn merge_into(&self, cold: &dyn Cold) -> Result<(), StoreError> {
        let scan = Scan::new(&self.table, &*self.cold, &[1], &[0xff], usize::MAX)?;
        let mut records = scan.filter(|record| !matches!(record, Ok((_, None))));
        cold.ingest(&self.log.position(), &mut records, &mut || Ok(()))
    }
}

/// Whether all can be read, and follow each other.
fn in_order(records: &mut Scan<'_>) -> Result<(), StoreError> {
    let mut last = Bytes::new();
    for record in records {
        let (key, _) = record?;
        if key <= last || key.len() > MAX_STORE_KEY_BYTES {
            return Err(StoreError::Corrupt {
                place: "table files".to_owned(),
                what: format!("the record {key:?} is out of order"),
            });
        }
        last = key;
    }
    Ok(())
}

impl Backing for Engine {
    fn committed(&self) -> Seq {
        self.log.committed()
    }

    fn sync(&self) -> Result<Seq, StoreError> {
        self.log.write_out()?;
        self.log.sync()
    }

    fn retry(&self) -> Result<bool, StoreError> {
        // Also if a worker has written meanwhile what waited for space: others may wait for it too, and nobody told them.
        if !self.log.take_was_full() {
            return Ok(false);
        }
        self.log.write_out()?;
        Ok(!self.log.is_full() || self.log.is_full_for(FULL_DISK_PATIENCE))
    }

    fn free_bytes(&self) -> std::io::Result<u64> {
        self.disk.free_bytes()
    }
}

/// From so many writes on they are put into a shard together.
const MANY_WRITES: usize = if cfg!(test) { 8 } else { 1_024 };

pub(super) fn put_into(table: &Table, seq: u64, writes: &[Write]) {
    // What is overwritten is dropped where a shard is locked.
    let _later = vast::later();
    if writes.len() >= MANY_WRITES {
        return table.write_all(writes, seq);
    }
    for write in writes {
        if let Some(key) = write.key() {
            table.write(key, write.value(), seq);
        }
    }
}
