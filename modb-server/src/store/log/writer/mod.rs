//! The log: commits go into a buffer at its head, whole chunks leave it at its tail.
//!
//! Two locks, each held shortly: `buffer` while a commit is numbered and copied, `files` while the buffer is handed to the
//! operating system. Whoever ends a turn writes for everybody who committed before; who comes while that write runs
//! waits for it and usually finds its own commits written. A sync holds neither. What is much is not written in a turn, nor
//! waited for there: on a disk that is behind a write of 16 MB takes tenths of a second ([`Log::has_much_to_write`]).
//!
//! The files are a pool. A file is one segment: a head, then chunks, each beginning where the last ended, their numbers
//! without gaps. What a file holds says what it is, its name does not, so a file is used again by writing over it, under a new
//! seal: nothing is allocated, renamed or deleted while the log runs, and syncs stay cheap.
//!
//! Invariants: after a write or a sync of the log that failed nothing is written or synced any more; running out of space
//! is no such failure, the chunk waits. What happens to files that hold nothing of worth never fails a commit.

mod buffer;
mod files;
mod pool;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use modb_net::Seq;

pub(crate) use self::buffer::Position;
use self::buffer::{Buffer, Taken};
pub(crate) use self::files::Segment;
use self::files::{Files, NotWritten};
pub(crate) use self::pool::is_log_file;
use super::body::Body;
use super::commit::{self, Patched};
use super::disk::{self, Disk};
use crate::store::locking::lock;
use crate::store::{Counter, StoreError, Write};

/// The buffer is handed over within a turn once it holds this much, so that a turn is bounded in memory.
const BUFFER_BYTES: usize = 1 << 20;
/// More than that is not written by who serves others. Small commits never come to so much, unless the disk is behind.
const MUCH_BYTES: usize = 2 << 20;
/// More than that does not wait to be written: who has more to commit waits.
const MAX_UNWRITTEN_BYTES: usize = 16 << 20;

/// What recovery found, for [`Log::new`].
#[derive(Default)]
pub(crate) struct Found {
    /// Segments with commits that the cold store does not hold, oldest first.
    pub(crate) live: VecDeque<Segment>,
    /// Names of the files with nothing of worth.
    pub(crate) free: Vec<String>,
    /// The last commit and the counters there.
    pub(crate) position: Position,
}

/// A commit that has its number but is not in the table yet; see [`Log::barrier`].
pub(crate) struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// A commit in the buffer.
pub(crate) struct Appended<'a> {
    pub(crate) seq: u64,
    pub(crate) in_flight: InFlight<'a>,
    buffered_bytes: usize,
}

impl Appended<'_> {
    /// Whether the buffer should be handed over before the turn ends.
    pub(crate) fn buffer_is_large(&self) -> bool {
        (BUFFER_BYTES + 1..=MUCH_BYTES).contains(&self.buffered_bytes)
    }
}

/// The log of one store.
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    buffer: Mutex<Buffer>,
    files: Mutex<Files>,
    /// Held while syncing: by nobody who commits or reads.
    syncing: Mutex<()>,
    in_flight: [AtomicUsize; 2],
    /// As the buffer has it, or as it had it a moment ago.
    barrier: AtomicU64,
    committed: AtomicU64,
    written: AtomicU64,
    /// What is in the buffer, and what of it is being written.
    buffered_bytes: AtomicUsize,
    writing_bytes: AtomicUsize,
    synced: AtomicU64,
    full: AtomicBool,
    /// What it is full for, while it is.
    lack: Mutex<String>,
    /// Was full since [`Log::take_was_full`] was last asked.
    was_full: AtomicBool,
    /// Fewer files are ready than should be.
    pool_is_short: AtomicBool,
    live_bytes: AtomicU64,
    total_bytes: AtomicU64,
}

impl Log {
    /// Goes on after `found`, in a file of its own.
    pub(crate) fn new(disk: Arc<dyn Disk>, segment_bytes: u64, found: Found) -> Self {
        let seq = found.position.seq;
        let live_bytes = found.live.iter().map(Segment::chunk_bytes).sum();
        Self {
            disk,
            segment_bytes,
            buffer: Mutex::new(Buffer::new(found.position)),
            files: Mutex::new(Files::new(found.live, found.free)),
            syncing: Mutex::new(()),
            in_flight: [AtomicUsize::new(0), AtomicUsize::new(0)],
            barrier: AtomicU64::new(seq),
            committed: AtomicU64::new(seq),
            written: AtomicU64::new(seq),
            buffered_bytes: AtomicUsize::new(0),
            writing_bytes: AtomicUsize::new(0),
            synced: AtomicU64::new(0),
            full: AtomicBool::new(false),
            lack: Mutex::default(),
            was_full: AtomicBool::new(false),
            pool_is_short: AtomicBool::new(true),
            live_bytes: AtomicU64::new(live_bytes),
            total_bytes: AtomicU64::new(0),
        }
    }

    /// Numbers a commit of `bytes` (see [`super::commit::commit_bytes`]) and puts it into the buffer. The caller makes it
    /// visible and then drops the guard. `None`: there is no room, write the buffer out first.
    pub(crate) fn append(&self, writes: &[Write], bytes: usize) -> Option<Appended<'_>> {
        let patched = Patched::of(writes, self.barrier.load(Ordering::Relaxed));
        let mut whole = if patched.is_none() { commit::encode_large(writes, bytes) } else { None };
        let mut buffer = lock(&self.buffer);
        let buffered_bytes = buffer.append(writes, bytes, patched.as_ref(), &mut whole)?;
        self.buffered_bytes.store(buffered_bytes, Ordering::Relaxed);
        let seq = buffer.position.seq;
        let in_flight = &self.in_flight[buffer.epoch];
        in_flight.fetch_add(1, Ordering::Relaxed);
        self.committed.store(seq, Ordering::Release);
        Some(Appended { seq, in_flight: InFlight(in_flight), buffered_bytes })
    }

    /// The last commit and the counters after it, once all commits up to it are in the table. One caller at a
    /// time. A replay may start behind it from now on, so a record that changes is logged whole once more.
    pub(crate) fn barrier(&self) -> Position {
        let mut buffer = lock(&self.buffer);
        let position = buffer.position.clone();
        buffer.barrier = position.seq;
        self.barrier.store(position.seq, Ordering::Relaxed);
        let old = buffer.epoch;
        buffer.epoch = 1 - old;
        drop(buffer);
        // A commit is in flight for the microsecond that the table takes.
        while self.in_flight[old].load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
        position
    }

    /// The last commit and the counters after it.
    pub(crate) fn position(&self) -> Position {
        lock(&self.buffer).position.clone()
    }

    /// How many commits were logged with a patch.
    pub(crate) fn patched(&self) -> u64 {
        lock(&self.buffer).patched
    }

    pub(crate) fn counter(&self, counter: Counter) -> i64 {
        lock(&self.buffer).position.counters.get(&counter).copied().unwrap_or(0)
    }

    pub(crate) fn committed(&self) -> Seq {
        Seq(self.committed.load(Ordering::Acquire))
    }

    pub(crate) fn written(&self) -> Seq {
        Seq(self.written.load(Ordering::Acquire))
    }

    /// Whether a chunk waits for space on the disk, or for a file.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Why no write is taken, if so.
    pub(crate) fn why_full(&self) -> Option<String> {
        self.is_full().then(|| lock(&self.lack).clone())
    }

    /// Whether a chunk has waited for space since this was last asked, if only for a moment.
    pub(crate) fn take_was_full(&self) -> bool {
        let full = self.is_full();
        self.was_full.swap(full, Ordering::AcqRel) || full
    }

    /// Whether a chunk has waited for space for at least so long.
    pub(crate) fn is_full_for(&self, patience: Duration) -> bool {
        let waits_since = || lock(&self.files).waiting.as_ref().map(|(_, since)| *since);
        self.is_full() && waits_since().is_some_and(|since| since.elapsed() >= patience)
    }

    /// Bytes of segments that the cold store does not cover yet.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes.load(Ordering::Relaxed)
    }

    /// Bytes written since the start.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    fn unwritten_bytes(&self) -> usize {
        self.buffered_bytes.load(Ordering::Relaxed) + self.writing_bytes.load(Ordering::Relaxed)
    }

    /// Whether what [`Log::write_out`] would write, or wait for, is too much for who serves others: it is left to a thread.
    pub(crate) fn has_much_to_write(&self) -> bool {
        self.unwritten_bytes() > MUCH_BYTES
    }

    /// Whether so much waits to be written that nothing more should be committed.
    pub(crate) fn is_behind(&self) -> bool {
        self.unwritten_bytes() > MAX_UNWRITTEN_BYTES
    }

    /// Hands everything committed so far to the operating system, unless the disk is full; says up to where it is.
    pub(crate) fn write_out(&self) -> Result<Seq, StoreError> {
        let target = self.committed();
        if self.written() >= target {
            return Ok(self.written());
        }
        let mut files = lock(&self.files);
        files.check()?;
        while self.written() < target {
            let (taken, since) = match files.waiting.take() {
                Some((taken, since)) => (taken, Some(since)),
                None => {
                    let spare = files.take_spare();
                    (self.take_buffer(spare), None)
                }
            };
            let written = self.write_chunk(&mut files, taken, since);
            self.writing_bytes.store(0, Ordering::Relaxed);
            if !written? {
                break;
            }
        }
        Ok(self.written())
    }

    /// Takes what is in the buffer, to write it.
    fn take_buffer(&self, spare: Body) -> Taken {
        let mut buffer = lock(&self.buffer);
        let taken = buffer.take(spare);
        self.writing_bytes.store(taken.body.len(), Ordering::Relaxed);
        self.buffered_bytes.store(0, Ordering::Relaxed);
        taken
    }

    /// Writes one chunk; `false` if the disk is full, and the chunk waits then.
    fn write_chunk(
        &self,
        files: &mut Files,
        taken: Taken,
        since: Option<Instant>,
    ) -> Result<bool, StoreError> {
        let last_seq = taken.last_seq();
        let synced_seq = self.synced.load(Ordering::Acquire);
        let written = files.write(&*self.disk, self.segment_bytes, taken, synced_seq);
        self.pool_is_short.store(files.pool.is_short(), Ordering::Relaxed);
        match written {
            Ok(bytes) => {
                self.live_bytes.fetch_add(bytes, Ordering::Relaxed);
                self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
                self.full.store(false, Ordering::Release);
                self.written.store(last_seq, Ordering::Release);
                Ok(true)
            }
            // No descriptor and no memory pass as no space does.
            Err(NotWritten { taken, error, part_may_be }) if !part_may_be || disk::is_full(&error) => {
                self.was_full.store(true, Ordering::Release);
                *lock(&self.lack) = if disk::is_full(&error) {
                    "the disk is full, no write is taken until there is space".to_owned()
                } else {
                    format!("the log has no file to go on in, no write is taken until it has: {error}")
                };
                if !self.full.swap(true, Ordering::AcqRel) {
                    tracing::error!(%error, "the log cannot be written now: writes are refused until it can");
                }
                files.waiting = Some((taken, since.unwrap_or_else(Instant::now)));
                Ok(false)
            }
            Err(NotWritten { error, .. }) => {
                files.failed = true;
                Err(StoreError::unknown("cannot write the log", error))
            }
        }
    }

    /// Nothing is written while this is kept, as on a disk that stands still.
    #[cfg(test)]
    pub(crate) fn stop_writes(&self) -> impl Sized + '_ {
        lock(&self.files)
    }

    /// Syncs everything written so far; says up to where that is.
    pub(crate) fn sync(&self) -> Result<Seq, StoreError> {
        let _alone = lock(&self.syncing);
        let mut files = lock(&self.files);
        files.check()?;
        let upto = self.written();
        let unsynced = std::mem::take(&mut files.unsynced);
        let names_are_unsynced = std::mem::take(&mut files.names_are_unsynced);
        drop(files);
        let names = if names_are_unsynced { self.disk.sync_names() } else { Ok(()) };
        if let Err(error) = names.and_then(|()| unsynced.iter().try_for_each(|file| file.sync())) {
            lock(&self.files).failed = true;
            return Err(StoreError::unknown("cannot sync the log", error));
        }
        self.synced.fetch_max(upto.0, Ordering::AcqRel);
        Ok(upto)
    }

    /// Frees the segments that hold nothing after `seq`: the cold store has it all, synced.
    pub(crate) fn release(&self, seq: u64) {
        let mut files = lock(&self.files);
        let bytes = files.release(seq, self.segment_bytes);
        self.live_bytes.fetch_sub(bytes, Ordering::Relaxed);
        drop(files);
        self.remove_surplus();
    }

    fn remove_surplus(&self) {
        let surplus = lock(&self.files).pool.take_surplus();
        for name in surplus {
            if let Err(error) = self.disk.remove(&name) {
                // It holds nothing of worth, and costs only its space.
                tracing::warn!(%name, %error, "cannot delete a file that the log needs no more, tried again later");
                lock(&self.files).pool.put_surplus(name);
            }
        }
    }

    /// Lets somebody read the files without a lock: none is used again meanwhile, whatever is flushed.
    pub(crate) fn pin(&self) -> PinnedLog<'_> {
        lock(&self.files).pin();
        PinnedLog(self)
    }

    /// Whether [`Log::prepare_files`] has something to do.
    pub(crate) fn wants_files(&self) -> bool {
        self.pool_is_short.load(Ordering::Relaxed)
    }

    /// Makes files for the next segments ready. Called ahead of need, from a thread that may wait. In `zeroed` ones no sync
    /// changes metadata: they are written through.
    pub(crate) fn prepare_files(&self, zeroed: bool) -> Result<(), StoreError> {
        loop {
            let mut files = lock(&self.files);
            let is_short = files.pool.is_short();
            self.pool_is_short.store(is_short, Ordering::Relaxed);
            if !is_short {
                return Ok(());
            }
            let raw = files.pool.take_raw();
            drop(files);
            match raw.prepare(&*self.disk, if zeroed { self.segment_bytes } else { 0 }) {
                Ok(ready) => lock(&self.files).pool.put_ready(ready),
                Err(error) => {
                    lock(&self.files).pool.put_raw(raw);
                    return Err(StoreError::io("cannot make a file ready for the log", error));
                }
            }
        }
    }

    /// The segments with commits that the cold store does not cover, and where the chunks of each end, oldest first.
    pub(crate) fn segments_in_use(&self) -> Vec<(String, u64)> {
        lock(&self.files).in_use().map(|segment| (segment.name.clone(), segment.end_at)).collect()
    }
}

/// The files of the log, none of which is used again while this is there.
pub(crate) struct PinnedLog<'a>(&'a Log);

impl PinnedLog<'_> {
    /// All that hold a commit which was not in the tables when they were pinned, and where the chunks of each end now; oldest
    /// first.
    pub(crate) fn segments(&self) -> Vec<(String, u64)> {
        let files = lock(&self.0.files);
        files.pinned_or_in_use().map(|segment| (segment.name.clone(), segment.end_at)).collect()
    }
}

impl Drop for PinnedLog<'_> {
    fn drop(&mut self) {
        lock(&self.0.files).unpin(self.0.segment_bytes);
        self.0.remove_surplus();
    }
}
