//! The commits in a chunk, byte by byte. Pure.
//!
//! ```text
//! commit  writes u32, then that many:
//!         1 u8 | key_bytes u16 | value_bytes u32 | key | value      put
//!         2 u8 | key_bytes u16 | key                                delete
//!         3 u8 | counter u32 | by i64                               add
//!         4 u8 | key_bytes u16 | splices u32 | key | splices        patch; splice: at u32 | remove u32 | insert_bytes u32 | insert
//! ```
//!
//! A patch changes a record that was put whole behind the position from which a replay starts, so that a replay never
//! has to look for it in the tables. Nothing writes patches yet; whatever reads the log applies them.
//!
//! Invariant: a tag that is not known is said to be newer than this program, which is no damage: nothing is cut off for it.

use bytes::Bytes;

use super::chunk::{u32_at, u64_at};
use crate::store::{Counter, Write};

const PUT: u8 = 1;
const DELETE: u8 = 2;
const ADD: u8 = 3;
const PATCH: u8 = 4;

/// One write as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Logged {
    Whole(Write),
    /// Changes the record of a key: each splice what the one before it left.
    Patch(Bytes, Vec<Splice>),
}

/// At `at`, takes out `remove` bytes and puts `insert` in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Splice {
    at: u32,
    remove: u32,
    insert: Bytes,
}

impl Splice {
    /// `None` where the value ends before the place.
    fn apply(&self, value: &mut Vec<u8>) -> Option<()> {
        let from = self.at as usize;
        let to = from.checked_add(self.remove as usize)?;
        value.get(from..to)?;
        value.splice(from..to, self.insert.iter().copied());
        Some(())
    }
}

/// What a record is after `splices`; `None` where they do not fit it.
pub(crate) fn patched(value: &[u8], splices: &[Splice]) -> Option<Bytes> {
    let mut value = value.to_vec();
    splices.iter().try_for_each(|splice| splice.apply(&mut value))?;
    Some(Bytes::from(value))
}

/// Why commits cannot be read, though their checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// They were written wrong.
    Malformed,
    /// A program that knows more has written them: this tag.
    Newer(u8),
}

/// Bytes that `writes` take in a chunk's body.
pub(crate) fn commit_bytes(writes: &[Write]) -> usize {
    let write_bytes = |write: &Write| match write {
        Write::Put(key, value) => 7 + key.len() + value.len(),
        Write::Delete(key) => 3 + key.len(),
        Write::Add(..) => 13,
    };
    4 + writes.iter().map(write_bytes).sum::<usize>()
}

/// Appends a commit. Keys fit 16 bits and the commit fits a chunk, by the checks in `apply`.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn encode(out: &mut Vec<u8>, writes: &[Write]) {
    out.extend_from_slice(&(writes.len() as u32).to_le_bytes());
    for write in writes {
        match write {
            Write::Put(key, value) => {
                let mut head = [PUT, 0, 0, 0, 0, 0, 0];
                head[1..3].copy_from_slice(&(key.len() as u16).to_le_bytes());
                head[3..7].copy_from_slice(&(value.len() as u32).to_le_bytes());
                out.extend_from_slice(&head);
                out.extend_from_slice(key);
                out.extend_from_slice(value);
            }
            Write::Delete(key) => {
                out.push(DELETE);
                out.extend_from_slice(&(key.len() as u16).to_le_bytes());
                out.extend_from_slice(key);
            }
            Write::Add(counter, by) => {
                out.push(ADD);
                out.extend_from_slice(&counter.0.to_le_bytes());
                out.extend_from_slice(&by.to_le_bytes());
            }
        }
    }
}

/// Takes one commit off the front of a chunk's body.
pub(crate) fn decode(body: &mut &[u8]) -> Result<Vec<Logged>, Unreadable> {
    let count = u32_at(take(body, 4)?, 0);
    (0..count).map(|_| decode_write(body)).collect()
}

fn decode_write(body: &mut &[u8]) -> Result<Logged, Unreadable> {
    Ok(match take(body, 1)?[0] {
        PUT => {
            let head = take(body, 6)?;
            let (key_bytes, value_bytes) = (u16_at(head, 0) as usize, u32_at(head, 2) as usize);
            let key = bytes(body, key_bytes)?;
            Logged::Whole(Write::Put(key, bytes(body, value_bytes)?))
        }
        DELETE => {
            let key_bytes = u16_at(take(body, 2)?, 0) as usize;
            Logged::Whole(Write::Delete(bytes(body, key_bytes)?))
        }
        ADD => {
            let rest = take(body, 12)?;
            Logged::Whole(Write::Add(Counter(u32_at(rest, 0)), u64_at(rest, 4).cast_signed()))
        }
        PATCH => {
            let head = take(body, 6)?;
            let (key_bytes, splices) = (u16_at(head, 0) as usize, u32_at(head, 2));
            let key = bytes(body, key_bytes)?;
            let splices = (0..splices).map(|_| {
                let head = take(body, 12)?;
                let insert = bytes(body, u32_at(head, 8) as usize)?;
                Ok(Splice { at: u32_at(head, 0), remove: u32_at(head, 4), insert })
            });
            Logged::Patch(key, splices.collect::<Result<_, Unreadable>>()?)
        }
        tag => return Err(Unreadable::Newer(tag)),
    })
}

fn take<'a>(body: &mut &'a [u8], n: usize) -> Result<&'a [u8], Unreadable> {
    let (taken, rest) = body.split_at_checked(n).ok_or(Unreadable::Malformed)?;
    *body = rest;
    Ok(taken)
}

fn bytes(body: &mut &[u8], n: usize) -> Result<Bytes, Unreadable> {
    Ok(Bytes::copy_from_slice(take(body, n)?))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// A commit of one patch, as a later version will write it.
#[cfg(test)]
pub(super) fn encode_patch(out: &mut Vec<u8>, key: &[u8], splices: &[(u32, u32, &[u8])]) {
    out.extend_from_slice(&1u32.to_le_bytes());
    out.push(PATCH);
    out.extend_from_slice(&u16::try_from(key.len()).unwrap().to_le_bytes());
    out.extend_from_slice(&u32::try_from(splices.len()).unwrap().to_le_bytes());
    out.extend_from_slice(key);
    for (at, remove, insert) in splices {
        for number in [*at, *remove, u32::try_from(insert.len()).unwrap()] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(insert);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write() -> impl Strategy<Value = Write> {
        let bytes = |max| prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from);
        prop_oneof![
            (bytes(40), bytes(300)).prop_map(|(k, v)| Write::Put(k, v)),
            bytes(40).prop_map(Write::Delete),
            (any::<u32>(), any::<i64>()).prop_map(|(c, by)| Write::Add(Counter(c), by)),
        ]
    }

    proptest! {
        #[test]
        fn commits_read_back_as_they_were_written(
            commits in prop::collection::vec(prop::collection::vec(write(), 0..5), 0..5),
        ) {
            let mut body = Vec::new();
            for writes in &commits {
                let before = body.len();
                encode(&mut body, writes);
                prop_assert_eq!(body.len() - before, commit_bytes(writes));
            }
            let mut body = &body[..];
            for writes in commits {
                let whole: Vec<_> = writes.into_iter().map(Logged::Whole).collect();
                prop_assert_eq!(decode(&mut body), Ok(whole));
            }
            prop_assert!(body.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(0u8..6, 0..200)) {
            let _ = decode(&mut &bytes[..]);
        }
    }

    #[test]
    fn a_patch_reads_back_and_is_applied_splice_by_splice() {
        let mut body = Vec::new();
        encode_patch(&mut body, b"key", &[(2, 3, b"XY"), (0, 0, b">"), (5, 2, b"")]);
        let commit = decode(&mut &body[..]).unwrap();
        let [Logged::Patch(key, splices)] = &commit[..] else { panic!("one patch, not {commit:?}") };
        assert_eq!((&key[..], patched(b"abcdefg", splices).as_deref()), (&b"key"[..], Some(&b">abXY"[..])));
        assert_eq!(patched(b"abcd", splices), None, "it ends before the place");
    }

    #[test]
    fn an_unknown_tag_is_newer_and_a_short_body_is_malformed() {
        assert_eq!(decode(&mut &[1, 0, 0, 0, 5, 0][..]), Err(Unreadable::Newer(5)));
        assert_eq!(decode(&mut &[2, 0, 0, 0, 2, 1, 0, 7][..]), Err(Unreadable::Malformed));
    }
}
