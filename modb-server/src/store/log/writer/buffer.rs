//! What the first lock of the log guards: the numbering of commits and the buffer that they are copied into.
//!
//! Held for some ten nanoseconds per commit, and never while anything is written.

use std::collections::HashMap;

use crate::store::log::chunk::{HEADER_BYTES, MAX_BODY_BYTES};
use crate::store::log::commit::{self, Patched};
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
    /// The last commit before the last barrier: a replay may start behind it. Before the first, where this life of the log began.
    pub(super) barrier: u64,
    /// How many commits were logged with a patch.
    pub(super) patched: u64,
    /// Which of two counts of commits in flight is counted up; see [`super::Log::barrier`].
    pub(super) epoch: usize,
}

impl Buffer {
    pub(super) fn new(position: Position) -> Self {
        Self { bytes: empty_bytes(), commits: 0, barrier: position.seq, patched: 0, position, epoch: 0 }
    }

    /// Numbers a commit of `bytes`, or fewer as it is `patched`; the size of what waits then. `None`: there is no room.
    pub(super) fn append(
        &mut self,
        writes: &[Write],
        bytes: usize,
        patched: Option<&Patched>,
    ) -> Option<usize> {
        if self.bytes.len() + bytes > MAX_BODY_BYTES && self.commits > 0 {
            return None;
        }
        match patched {
            // Asked under the lock under which a barrier is set: it may have been set since it was patched.
            Some(patched) if patched.oldest_base > self.barrier => {
                self.bytes.extend_from_slice(&patched.bytes);
                self.patched += 1;
            }
            _ => commit::encode(&mut self.bytes, writes),
        }
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use modb_net::Seq;

    use super::*;
    use crate::store::Patch;
    use crate::store::log::commit::Logged;

    #[test]
    fn a_barrier_that_comes_while_a_commit_is_being_patched_makes_it_whole() {
        let (key, base) = (Bytes::from("key"), Bytes::from(vec![1; 200]));
        let value = Bytes::from([&base[..], b"+"].concat());
        let patch = Patch { key: key.clone(), base, base_seq: Seq(5), value: value.clone() };
        let writes = [Write::Patch(Box::new(patch))];
        let patched = Patched::of(&writes, 4).unwrap();
        let logged = |barrier| {
            let mut buffer = Buffer { barrier, ..Buffer::new(Position { seq: 9, ..Position::default() }) };
            buffer.append(&writes, 1000, Some(&patched)).unwrap();
            let taken = buffer.take(empty_bytes());
            commit::decode(&mut &taken.bytes[HEADER_BYTES..]).unwrap().remove(0)
        };
        assert!(matches!(logged(4), Logged::Patch(..)));
        let whole = Logged::Whole(Write::Put(key, value));
        assert_eq!((logged(5), logged(9)), (whole.clone(), whole));
    }
}
