//! What the first lock of the log guards: the numbering of commits and the buffer that they are copied into.
//!
//! Held for some ten nanoseconds per commit, whatever the size of its values and however many they are, and never while anything is
//! written.

use std::collections::HashMap;

use crate::store::log::body::Body;
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
    body: Body,
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
        Self { body: empty_body(), commits: 0, barrier: position.seq, patched: 0, position, epoch: 0 }
    }

    /// Numbers a commit of `bytes`, or fewer as it is `patched`; the size of what waits then. `whole`: it is encoded already, and taken
    /// from there. `None`: there is no room.
    pub(super) fn append(
        &mut self,
        writes: &[Write],
        bytes: usize,
        patched: Option<&Patched>,
        whole: &mut Option<Body>,
    ) -> Option<usize> {
        if self.body.len() + bytes > MAX_BODY_BYTES && self.commits > 0 {
            return None;
        }
        match patched {
            // Asked under the lock under which a barrier is set: it may have been set since it was patched.
            Some(patched) if patched.oldest_base > self.barrier => {
                self.body.append(&patched.body);
                self.patched += 1;
            }
            _ => match whole.take() {
                Some(whole) => self.body.take_in(whole),
                None => commit::encode(&mut self.body, writes),
            },
        }
        self.commits += 1;
        self.position.seq += 1;
        for write in writes {
            if let Write::Add(counter, by) = write {
                self.position.add(*counter, *by);
            }
        }
        Some(self.body.len())
    }

    /// Takes everything, for one chunk; `spare` is the buffer from now on.
    pub(super) fn take(&mut self, spare: Body) -> Taken {
        let body = std::mem::replace(&mut self.body, spare);
        let commits = std::mem::take(&mut self.commits);
        let body_bytes = body.len() - HEADER_BYTES;
        Taken { body, body_bytes, first_seq: self.position.seq + 1 - u64::from(commits), commits }
    }
}

/// The commits of one chunk to be.
pub(super) struct Taken {
    /// With room for the header.
    pub(super) body: Body,
    pub(super) body_bytes: usize,
    pub(super) first_seq: u64,
    pub(super) commits: u32,
}

impl Taken {
    pub(super) fn last_seq(&self) -> u64 {
        self.first_seq + u64::from(self.commits) - 1
    }
}

/// A buffer with nothing in it but the room for a header.
pub(super) fn empty_body() -> Body {
    Body::from(vec![0; HEADER_BYTES])
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use modb_net::Seq;

    use super::*;
    use crate::store::log::commit::Logged;
    use crate::store::{Change, Patch};

    #[test]
    fn a_barrier_that_comes_while_a_commit_is_being_patched_makes_it_whole() {
        let (key, base) = (Bytes::from("key"), Bytes::from(vec![1; 200]));
        let value = Bytes::from([&base[..], b"+"].concat());
        let patch = Patch {
            key: key.clone().into(),
            base_seq: Seq(5),
            value: value.clone(),
            change: Change::From(base),
        };
        let writes = [Write::Patch(Box::new(patch))];
        let patched = Patched::of(&writes, 4).unwrap();
        let logged = |barrier| {
            let mut buffer = Buffer { barrier, ..Buffer::new(Position { seq: 9, ..Position::default() }) };
            buffer.append(&writes, 1000, Some(&patched), &mut None).unwrap();
            let taken = buffer.take(empty_body());
            let bytes = taken.body.concat();
            commit::decode(&mut &bytes[HEADER_BYTES..]).unwrap().remove(0)
        };
        assert!(matches!(logged(4), Logged::Patch(..)));
        let whole = Logged::Whole(Write::Put(key.into(), value));
        assert_eq!((logged(5), logged(9)), (whole.clone(), whole));
    }

    #[test]
    fn what_is_copied_of_a_commit_does_not_follow_the_size_of_its_values() {
        let copied = |value_bytes: usize| {
            let (key, base) = (Bytes::from("key"), Bytes::from(vec![1; 200]));
            let value = Bytes::from(vec![7; value_bytes]);
            let changed = Bytes::from([&base[..], b"+"].concat());
            let patch =
                Patch { key: key.into(), base_seq: Seq(9), value: changed, change: Change::From(base) };
            let writes = [
                Write::Put("large".into(), value),
                Write::Patch(Box::new(patch)),
                Write::Delete("gone".into()),
            ];
            [Patched::of(&writes, 4), None].map(|patched| {
                let mut buffer = Buffer::new(Position { seq: 4, ..Position::default() });
                let before = buffer.body.copied.len();
                let bytes = commit::commit_bytes(&writes);
                let buffered = buffer.append(&writes, bytes, patched.as_ref(), &mut None).unwrap();
                assert!((before + value_bytes..=before + bytes).contains(&buffered));
                buffer.body.copied.len() - before
            })
        };
        assert_eq!(copied(64 << 10), copied(16 << 20));
    }
}
