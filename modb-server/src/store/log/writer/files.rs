//! What the second lock of the log guards: the files, and what is written to them.
//!
//! Held while a chunk is handed to the operating system, never while anything is synced but a file that nobody made ready in
//! time.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::buffer::{Taken, empty_body};
use super::pool::Pool;
use crate::store::StoreError;
use crate::store::log::body::Body;
use crate::store::log::chunk::{self, HEADER_BYTES, Seal};
use crate::store::log::disk::{Disk, DiskFile};
use crate::store::log::file_head::HEAD_BYTES;

/// A buffer that grew beyond this is given back after use.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

/// One file of the log, in use.
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where its chunks end.
    pub(crate) end_at: u64,
    /// The last commit in it, 0 while it is empty.
    pub(crate) last_seq: u64,
}

impl Segment {
    /// Bytes of its chunks.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        self.end_at.saturating_sub(HEAD_BYTES as u64)
    }
}

/// The segment that is written to.
pub(super) struct Current {
    segment: Segment,
    seal: Seal,
}

/// Why a chunk is not written.
pub(super) struct NotWritten {
    pub(super) taken: Taken,
    pub(super) error: io::Error,
    /// Some of it may be in the file; not so if there was no file.
    pub(super) part_may_be: bool,
}

/// See the top of this file.
pub(super) struct Files {
    pub(super) current: Option<Current>,
    /// Full ones that the tables do not cover yet, oldest first.
    pub(super) live: VecDeque<Segment>,
    /// How many readers need that no file is used again.
    pins: usize,
    /// Full ones that the tables cover, and some reader may need still, oldest first.
    pinned: Vec<Segment>,
    pub(super) pool: Pool,
    /// What the disk had no room for, and since when; it goes first.
    pub(super) waiting: Option<(Taken, Instant)>,
    /// The buffer of the last chunk, to be used again.
    spare: Option<Body>,
    pub(super) unsynced: Vec<Arc<dyn DiskFile>>,
    /// Those that an earlier process made and perhaps never synced.
    pub(super) names_are_unsynced: bool,
    /// A write or sync has failed: what the files hold is unknown, so nothing is written behind it any more.
    pub(super) failed: bool,
}

impl Files {
    pub(super) fn new(live: VecDeque<Segment>, free: Vec<String>) -> Self {
        Self {
            current: None,
            pool: Pool::new(live.iter().map(|segment| &segment.name), free),
            // Written before the last end, but perhaps never synced; and so are the names.
            unsynced: live.iter().map(|segment| Arc::clone(&segment.file)).collect(),
            names_are_unsynced: true,
            live,
            pins: 0,
            pinned: Vec::new(),
            waiting: None,
            spare: None,
            failed: false,
        }
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        let reason = "an earlier write to the log failed";
        if self.failed { Err(StoreError::ReadOnly(reason.to_owned())) } else { Ok(()) }
    }

    pub(super) fn take_spare(&mut self) -> Body {
        self.spare.take().unwrap_or_else(empty_body)
    }

    /// Those with commits that the tables do not cover, oldest first.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Segment> {
        self.live.iter().chain(self.current.as_ref().map(|current| &current.segment))
    }

    /// Writes one chunk; the bytes that were written. On an error what was taken is handed back.
    pub(super) fn write(
        &mut self,
        disk: &dyn Disk,
        segment_bytes: u64,
        mut taken: Taken,
        synced_seq: u64,
    ) -> Result<u64, NotWritten> {
        let bytes = (taken.body_bytes + HEADER_BYTES).next_multiple_of(chunk::ALIGN_BYTES) as u64;
        let begin_at = HEAD_BYTES as u64;
        match self.current.take() {
            Some(current)
                if current.segment.end_at == begin_at || current.segment.end_at + bytes <= segment_bytes =>
            {
                self.current = Some(current);
            }
            full => {
                self.live.extend(full.map(|current| current.segment));
                match self.next(disk) {
                    Ok(next) => self.current = Some(next),
                    Err(error) => return Err(NotWritten { taken, error, part_may_be: false }),
                }
            }
        }
        let Some(Current { segment, seal }) = &mut self.current else { return Ok(0) };
        chunk::seal(&mut taken.body, taken.body_bytes, *seal, taken.first_seq, synced_seq, taken.commits);
        let mut at = segment.end_at;
        let written = taken.body.try_each(|piece| {
            segment.file.write_at(at, piece)?;
            at += piece.len() as u64;
            Ok(())
        });
        if let Err(error) = written {
            return Err(NotWritten { taken, error, part_may_be: true });
        }
        segment.end_at += bytes;
        segment.last_seq = taken.last_seq();
        if !self.unsynced.last().is_some_and(|last| Arc::ptr_eq(last, &segment.file)) {
            self.unsynced.push(Arc::clone(&segment.file));
        }
        let mut spare = taken.body.copied;
        if spare.capacity() <= KEPT_BUFFER_BYTES {
            spare.truncate(HEADER_BYTES);
            self.spare = Some(Body::from(spare));
        }
        Ok(bytes)
    }

    fn next(&mut self, disk: &dyn Disk) -> io::Result<Current> {
        let ready = match self.pool.take_ready() {
            Some(ready) => ready,
            None => {
                let raw = self.pool.take_raw();
                match raw.prepare(disk, 0) {
                    Ok(ready) => ready,
                    Err(error) => {
                        self.pool.put_raw(raw);
                        return Err(error);
                    }
                }
            }
        };
        let segment = Segment { name: ready.name, file: ready.file, end_at: HEAD_BYTES as u64, last_seq: 0 };
        Ok(Current { segment, seal: ready.seal })
    }

    /// Takes the segments that hold nothing after `seq` out of use, and says how many bytes of chunks they had.
    pub(super) fn release(&mut self, seq: u64, segment_bytes: u64) -> u64 {
        // One value can fill a segment many times over.
        let done = |current: &mut Current| {
            current.segment.last_seq <= seq && current.segment.end_at >= segment_bytes
        };
        if self.waiting.is_none() {
            self.live.extend(self.current.take_if(done).map(|current| current.segment));
        }
        let mut bytes = 0;
        while self.live.front().is_some_and(|segment| segment.last_seq <= seq) {
            let Some(segment) = self.live.pop_front() else { break };
            bytes += segment.chunk_bytes();
            if self.pins == 0 {
                self.use_again(segment, segment_bytes);
            } else {
                self.pinned.push(segment);
            }
        }
        bytes
    }

    fn use_again(&mut self, segment: Segment, segment_bytes: u64) {
        self.pool.put_used(segment.name, segment.end_at > 2 * segment_bytes);
    }

    /// From now on no file is used again.
    pub(super) fn pin(&mut self) {
        self.pins += 1;
    }

    pub(super) fn unpin(&mut self, segment_bytes: u64) {
        self.pins -= 1;
        if self.pins == 0 {
            for segment in std::mem::take(&mut self.pinned) {
                self.use_again(segment, segment_bytes);
            }
        }
    }

    /// Those that were in use since somebody pinned them, oldest first.
    pub(super) fn pinned_or_in_use(&self) -> impl Iterator<Item = &Segment> {
        self.pinned.iter().chain(self.in_use())
    }
}
