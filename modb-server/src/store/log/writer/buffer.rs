//! What the first lock of the log guards: the numbering of commits and the buffer that they are copied into.
//!
//! Held for some ten nanoseconds per commit, and never while anything is written.

use std::collections::HashMap;

use crate::store::log::chunk::{HEADER_BYTES, MAX_BODY_BYTES};
use crate::store::log::commit;
use crate::store::{Counter, Write};

/// Counters and the commit up to which they count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) seq: u64,
    pub(crate) counters: HashMap<Counter, i64>,
}

impl Position {
    pub(crate) fn add(&mut self, counter: Counter, by: i64) {
        let value = self.counters.entry(counter).or_default();
        *value = value.wrapping_add(by);
    }
}

/// Commits that were numbered and are not written yet.
pub(super) struct Buffer {
    /// Room for a chunk's header, then commits.
    bytes: Vec<u8>,
    commits: u32,
    pub(super) position: Position,
    /// Which of two counts of commits in flight is counted up; see [`super::Log::barrier`].
    pub(super) epoch: usize,
}

impl Buffer {
    pub(super) fn new(position: Position) -> Self {
        Self { bytes: empty_bytes(), commits: 0, position, epoch: 0 }
    }

    /// Numbers a commit of `bytes`; the size of what waits then. `None`: there is no room.
    pub(super) fn append(&mut self, writes: &[Write], bytes: usize) -> Option<usize> {
        if self.bytes.len() + bytes > MAX_BODY_BYTES && self.commits > 0 {
            return None;
        }
        commit::encode(&mut self.bytes, writes);
        self.commits += 1;
        self.position.seq += 1;
        for write in writes {
            if let Write::Add(counter, by) = write {
                self.position.add(*counter, *by);
            }
        }
        Some(self.bytes.len())
    }

    /// Takes everything, for one chunk; `spare` is the buffer from now on.
    pub(super) fn take(&mut self, spare: Vec<u8>) -> Taken {
        let bytes = std::mem::replace(&mut self.bytes, spare);
        let commits = std::mem::take(&mut self.commits);
        let body_bytes = bytes.len() - HEADER_BYTES;
        Taken { bytes, body_bytes, first_seq: self.position.seq + 1 - u64::from(commits), commits }
    }
}

/// The commits of one chunk to be.
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    pub(super) body_bytes: usize,
    pub(super) first_seq: u64,
    pub(super) commits: u32,
}

impl Taken {
    pub(super) fn last_seq(&self) -> u64 {
        self.first_seq + u64::from(self.commits) - 1
    }
}

/// A buffer with nothing in it.
pub(super) fn empty_bytes() -> Vec<u8> {
    vec![0; HEADER_BYTES]
}
