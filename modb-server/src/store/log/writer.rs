//! The log: commits go into a buffer at its head, whole chunks leave it at its tail.
//!
//! Two locks, each held shortly: `head` while a commit is numbered and copied into the buffer, `tail` while the
//! buffer is handed to the operating system. Whoever ends a turn writes for everybody who committed before; who
//! comes while that write runs waits for it and usually finds its own commits written. A sync holds neither.
//!
//! The files are a pool. A file is one segment: chunks from its start, each beginning where the last ended, their
//! numbers without gaps. What a file holds says what it is, its name does not, so a file is used again by writing
//! over it: nothing is allocated, renamed or deleted while the log runs, and syncs stay cheap.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use modb_net::Seq;

use super::chunk::{self, HEADER_BYTES, MAX_BODY_BYTES};
use super::disk::{self, Disk, DiskFile};
use crate::store::group::lock;
use crate::store::{Counter, StoreError, Write};

/// Unused files that are kept for the next segments: about as many as a flush frees.
const SPARE_FILES: usize = 8;
/// The buffer is handed over within a turn once it holds this much, so that a turn is bounded in memory.
const BUFFER_BYTES: usize = 1 << 20;
/// A buffer that grew beyond this is given back after use.
const KEPT_BUFFER_BYTES: usize = 4 << 20;
/// How much is zeroed per write when a file is prepared or a torn end erased.
pub(crate) static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Counters and the commit up to which they count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) seq: u64,
    pub(crate) counters: HashMap<Counter, i64>,
}

/// One file of the log, in use.
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the next chunk goes.
    pub(crate) bytes: u64,
    /// The last commit in it, 0 while it is empty.
    pub(crate) last_seq: u64,
}

/// What recovery found, for [`Log::new`].
pub(crate) struct Found {
    /// Segments with commits that the cold store does not hold, oldest first.
    pub(crate) live: VecDeque<Segment>,
    /// Names of the files with nothing of worth.
    pub(crate) free: Vec<String>,
    /// The last commit and the counters there.
    pub(crate) position: Position,
}

struct Head {
    /// Room for a header, then commits.
    buffer: Vec<u8>,
    commits: u32,
    position: Position,
    epoch: usize,
}

struct Sealed {
    bytes: Vec<u8>,
    upto: u64,
}

struct Tail {
    current: Option<Segment>,
    live: VecDeque<Segment>,
    free: Vec<String>,
    /// A chunk that the disk had no room for; it goes first, to the same place.
    waiting: Option<Sealed>,
    /// Since when one waits.
    waiting_since: Option<Instant>,
    spare_buffer: Vec<u8>,
    unsynced: Vec<Arc<dyn DiskFile>>,
    names_changed: bool,
    next_name: u64,
    /// A write or sync has failed: what the files hold is unknown, so nothing is written behind it any more.
    failed: bool,
}

impl Tail {
    fn check(&self) -> Result<(), StoreError> {
        let reason = "an earlier write to the log failed";
        if self.failed { Err(StoreError::ReadOnly(reason.to_owned())) } else { Ok(()) }
    }
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
    /// The buffer should be handed over before the turn ends.
    pub(crate) buffer_is_large: bool,
}

/// The log of one store.
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    head: Mutex<Head>,
    tail: Mutex<Tail>,
    /// Held while syncing: by nobody who commits or reads.
    syncing: Mutex<()>,
    in_flight: [AtomicUsize; 2],
    committed: AtomicU64,
    written: AtomicU64,
    synced: AtomicU64,
    full: AtomicBool,
    /// Was full since [`Log::take_was_full`] was last asked.
    was_full: AtomicBool,
    live_bytes: AtomicU64,
    total_bytes: AtomicU64,
}

impl Log {
    /// Goes on after `found`, in a file of its own.
    pub(crate) fn new(disk: Arc<dyn Disk>, segment_bytes: u64, found: Found) -> Self {
        let seq = found.position.seq;
        let number = |name: &String| name.strip_prefix("log-").and_then(|n| n.parse::<u64>().ok());
        let names = found.live.iter().map(|segment| &segment.name).chain(&found.free);
        let next_name = names.filter_map(number).max().map_or(1, |n| n + 1);
        // Written before the last end, but perhaps never synced.
        let unsynced = found.live.iter().map(|segment| Arc::clone(&segment.file)).collect();
        let live_bytes = found.live.iter().map(|segment| segment.bytes).sum();
        Self {
            disk,
            segment_bytes,
            head: Mutex::new(Head {
                buffer: vec![0; HEADER_BYTES],
                commits: 0,
                position: found.position,
                epoch: 0,
            }),
            tail: Mutex::new(Tail {
                current: None,
                live: found.live,
                free: found.free,
                waiting: None,
                waiting_since: None,
                spare_buffer: vec![0; HEADER_BYTES],
                unsynced,
                names_changed: false,
                next_name,
                failed: false,
            }),
            syncing: Mutex::new(()),
            in_flight: [AtomicUsize::new(0), AtomicUsize::new(0)],
            committed: AtomicU64::new(seq),
            written: AtomicU64::new(seq),
            synced: AtomicU64::new(0),
            full: AtomicBool::new(false),
            was_full: AtomicBool::new(false),
            live_bytes: AtomicU64::new(live_bytes),
            total_bytes: AtomicU64::new(0),
        }
    }

    /// Numbers a commit of `bytes` (see [`chunk::commit_bytes`]) and puts it into the buffer. The caller makes it
    /// visible and then drops the guard. `None`: there is no room, write the buffer out first.
    pub(crate) fn append(&self, writes: &[Write], bytes: usize) -> Option<Appended<'_>> {
        let mut head = lock(&self.head);
        if head.buffer.len() + bytes > MAX_BODY_BYTES && head.commits > 0 {
            return None;
        }
        chunk::encode_commit(&mut head.buffer, writes);
        head.commits += 1;
        head.position.seq += 1;
        for write in writes {
            if let Write::Add(counter, by) = write {
                let value = head.position.counters.entry(*counter).or_default();
                *value = value.wrapping_add(*by);
            }
        }
        let seq = head.position.seq;
        let in_flight = &self.in_flight[head.epoch];
        in_flight.fetch_add(1, Ordering::Relaxed);
        self.committed.store(seq, Ordering::Release);
        let buffer_is_large = head.buffer.len() > BUFFER_BYTES;
        Some(Appended { seq, in_flight: InFlight(in_flight), buffer_is_large })
    }

    /// The last commit and the counters after it, once all commits up to it are in the table. One caller at a
    /// time.
    pub(crate) fn barrier(&self) -> Position {
        let mut head = lock(&self.head);
        let position = head.position.clone();
        let old = head.epoch;
        head.epoch = 1 - old;
        drop(head);
        // A commit is in flight for the microsecond that the table takes.
        while self.in_flight[old].load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
        position
    }

    pub(crate) fn counter(&self, counter: Counter) -> i64 {
        lock(&self.head).position.counters.get(&counter).copied().unwrap_or(0)
    }

    pub(crate) fn committed(&self) -> Seq {
        Seq(self.committed.load(Ordering::Acquire))
    }

    pub(crate) fn written(&self) -> Seq {
        Seq(self.written.load(Ordering::Acquire))
    }

    /// Whether a chunk waits for space on the disk.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Whether a chunk has waited for space since this was last asked, if only for a moment.
    pub(crate) fn take_was_full(&self) -> bool {
        let full = self.is_full();
        self.was_full.swap(full, Ordering::AcqRel) || full
    }

    /// Whether a chunk has waited for space for at least so long.
    pub(crate) fn is_full_for(&self, patience: Duration) -> bool {
        self.is_full() && lock(&self.tail).waiting_since.is_some_and(|since| since.elapsed() >= patience)
    }

    /// Bytes of segments that the cold store does not cover yet.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes.load(Ordering::Relaxed)
    }

    /// Bytes written since the start.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// Hands everything committed so far to the operating system, unless the disk is full; says up to where it is.
    pub(crate) fn write_out(&self) -> Result<Seq, StoreError> {
        let target = self.committed();
        if self.written() >= target {
            return Ok(self.written());
        }
        let mut tail = lock(&self.tail);
        tail.check()?;
        while self.written() < target {
            let sealed = match tail.waiting.take() {
                Some(sealed) => sealed,
                None => self.seal(&mut tail),
            };
            if !self.write_chunk(&mut tail, sealed)? {
                break;
            }
        }
        Ok(self.written())
    }

    /// Syncs everything written so far.
    pub(crate) fn sync(&self) -> Result<Seq, StoreError> {
        let _alone = lock(&self.syncing);
        let mut tail = lock(&self.tail);
        tail.check()?;
        let upto = self.written();
        let files = std::mem::take(&mut tail.unsynced);
        let names_changed = std::mem::take(&mut tail.names_changed);
        drop(tail);
        let names = if names_changed { self.disk.sync_names() } else { Ok(()) };
        if let Err(error) = names.and_then(|()| files.iter().try_for_each(|file| file.sync())) {
            lock(&self.tail).failed = true;
            return Err(StoreError::unknown("cannot sync the log", error));
        }
        self.synced.fetch_max(upto.0, Ordering::AcqRel);
        Ok(upto)
    }

    /// Frees the segments that hold nothing after `seq`: the cold store has it all, synced.
    pub(crate) fn release(&self, seq: u64) -> Result<(), StoreError> {
        let mut tail = lock(&self.tail);
        let mut surplus = Vec::new();
        // One value can fill a segment many times over.
        let done = |segment: &mut Segment| segment.last_seq <= seq && segment.bytes >= self.segment_bytes;
        if tail.waiting.is_none() {
            let current = tail.current.take_if(done);
            tail.live.extend(current);
        }
        while tail.live.front().is_some_and(|segment| segment.last_seq <= seq) {
            let Some(segment) = tail.live.pop_front() else { break };
            self.live_bytes.fetch_sub(segment.bytes, Ordering::Relaxed);
            if tail.free.len() < SPARE_FILES && segment.bytes <= 2 * self.segment_bytes {
                tail.free.push(segment.name);
            } else {
                surplus.push(segment.name);
            }
        }
        tail.names_changed |= !surplus.is_empty();
        drop(tail);
        for name in surplus {
            self.disk.remove(&name).map_err(|e| StoreError::io(format!("cannot delete {name}"), e))?;
        }
        Ok(())
    }

    /// Makes sure that the next segment has a file that is written through and synced, so that its syncs change
    /// no metadata. Called ahead of need, from a thread that may wait.
    #[allow(clippy::cast_possible_truncation)] // at most the zeros' length
    pub(crate) fn prepare_file(&self) -> Result<(), StoreError> {
        let mut tail = lock(&self.tail);
        if !tail.free.is_empty() {
            return Ok(());
        }
        let name = new_name(&mut tail);
        drop(tail);
        let failed = |e| StoreError::io(format!("cannot prepare {name}"), e);
        let file = self.disk.open(&name).map_err(failed)?;
        let mut at = 0;
        while at < self.segment_bytes {
            let bytes = (self.segment_bytes - at).min(ZEROS.len() as u64);
            file.write_at(at, &ZEROS[..bytes as usize]).map_err(failed)?;
            at += bytes;
        }
        file.sync().and_then(|()| self.disk.sync_names()).map_err(failed)?;
        lock(&self.tail).free.push(name);
        Ok(())
    }

    /// Puts an empty chunk behind all others, which says that they were synced; then syncs it. After this,
    /// damage to any commit is told from a torn end.
    pub(crate) fn seal_clean(&self) -> Result<(), StoreError> {
        self.write_out()?;
        self.sync()?;
        let mut tail = lock(&self.tail);
        tail.check()?;
        if tail.current.is_some() && tail.waiting.is_none() {
            let sealed = self.seal(&mut tail);
            self.write_chunk(&mut tail, sealed)?;
        }
        drop(tail);
        self.sync().map(drop)
    }

    /// The segments with commits up to `seq` and how much of each is in use, oldest first.
    pub(crate) fn live_segments(&self) -> Vec<(String, u64)> {
        let tail = lock(&self.tail);
        let all = tail.live.iter().chain(&tail.current);
        all.map(|segment| (segment.name.clone(), segment.bytes)).collect()
    }

    /// Takes the buffer and makes it a chunk.
    fn seal(&self, tail: &mut Tail) -> Sealed {
        let empty = std::mem::take(&mut tail.spare_buffer);
        let mut head = lock(&self.head);
        let mut bytes = std::mem::replace(&mut head.buffer, empty);
        let commits = std::mem::take(&mut head.commits);
        let upto = head.position.seq;
        drop(head);
        let synced = self.synced.load(Ordering::Acquire);
        chunk::seal(&mut bytes, upto + 1 - u64::from(commits), synced, commits);
        Sealed { bytes, upto }
    }

    /// Writes one chunk; `false` if the disk is full, and the chunk waits then.
    fn write_chunk(&self, tail: &mut MutexGuard<'_, Tail>, sealed: Sealed) -> Result<bool, StoreError> {
        let bytes = sealed.bytes.len() as u64;
        let fits = |segment: &Segment| segment.bytes == 0 || segment.bytes + bytes <= self.segment_bytes;
        let result = match tail.current.take() {
            Some(segment) if fits(&segment) => Ok(segment),
            full => {
                tail.live.extend(full);
                self.next_segment(tail)
            }
        };
        // Nothing was written yet: no descriptor and no memory pass as no space does.
        let nothing_written = result.is_err();
        let result = result.and_then(|segment| {
            let written = segment.file.write_at(segment.bytes, &sealed.bytes);
            let file = Arc::clone(&segment.file);
            tail.current = Some(segment);
            written.map(|()| file)
        });
        match result {
            Ok(file) => {
                if !tail.unsynced.last().is_some_and(|last| Arc::ptr_eq(last, &file)) {
                    tail.unsynced.push(file);
                }
                if let Some(segment) = &mut tail.current {
                    segment.bytes += bytes;
                    segment.last_seq = sealed.upto;
                }
                self.live_bytes.fetch_add(bytes, Ordering::Relaxed);
                self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
                self.full.store(false, Ordering::Release);
                self.written.store(sealed.upto, Ordering::Release);
                tail.spare_buffer = emptied(sealed.bytes);
                Ok(true)
            }
            Err(error) if nothing_written || disk::is_full(&error) => {
                self.was_full.store(true, Ordering::Release);
                if !self.full.swap(true, Ordering::AcqRel) {
                    tracing::error!(%error, "the log cannot be written now: writes are refused until it can");
                    tail.waiting_since = Some(Instant::now());
                }
                tail.waiting = Some(sealed);
                tail.spare_buffer = vec![0; HEADER_BYTES];
                Ok(false)
            }
            Err(error) => {
                tail.failed = true;
                Err(StoreError::unknown("cannot write the log", error))
            }
        }
    }

    fn next_segment(&self, tail: &mut Tail) -> std::io::Result<Segment> {
        let name = tail.free.pop().unwrap_or_else(|| {
            tail.names_changed = true;
            new_name(tail)
        });
        match self.disk.open(&name) {
            Ok(file) => Ok(Segment { name, file, bytes: 0, last_seq: 0 }),
            Err(error) => {
                tail.free.push(name);
                Err(error)
            }
        }
    }
}

fn new_name(tail: &mut Tail) -> String {
    let name = format!("log-{:06}", tail.next_name);
    tail.next_name += 1;
    name
}

fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    if buffer.capacity() > KEPT_BUFFER_BYTES {
        return vec![0; HEADER_BYTES];
    }
    buffer.truncate(HEADER_BYTES);
    buffer
}
