//! The commits in a chunk, byte by byte. Pure.
//!
//! ```text
//! commit  writes u32, then that many:
//!         1 u8 | key_bytes u16 | value_bytes u32 | key | value      put
//!         2 u8 | key_bytes u16 | key                                delete
//!         3 u8 | counter u32 | by i64                               add
//!         4 u8 | key_bytes u16 | key | difference                   patch; see `difference`
//! ```
//!
//! A record that changes can be logged whole or as a patch. As a patch only where the log has all that it is made of behind the
//! position from which a replay starts, or will start: where the commit that wrote what it was is behind the last
//! [barrier](super::writer::Log::barrier). That one was put whole, or was itself such a patch, and so on back to one that was put whole.
//!
//! Invariant: a tag that is not known is said to be newer than this program, which is no damage: nothing is cut off for it.

use bytes::Bytes;

use super::body::{Body, Out, is_shared};
use super::chunk::{u32_at, u64_at};
use super::difference::{self, Difference};
use crate::store::{Counter, Patch, StoreKey, Write, vast};

const PUT: u8 = 1;
const DELETE: u8 = 2;
const ADD: u8 = 3;
const PATCH: u8 = 4;

/// One write as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Logged {
    Whole(Write),
    /// Changes the record of a key.
    Patch(StoreKey, Difference),
}

/// Why commits cannot be read, though their checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// They were written wrong.
    Malformed,
    /// A program that knows more has written them: this tag.
    Newer(u8),
}

/// Bytes that `writes` take in a chunk's body, each record whole.
pub(crate) fn commit_bytes(writes: &[Write]) -> usize {
    let write_bytes = |write: &Write| match write {
        Write::Put(key, value) => put_bytes(key, value),
        Write::Patch(patch) => put_bytes(&patch.key, &patch.value),
        Write::Delete(key) => 3 + key.len(),
        Write::Add(..) => 13,
    };
    4 + writes.iter().map(write_bytes).sum::<usize>()
}

fn put_bytes(key: &[u8], value: &[u8]) -> usize {
    7 + key.len() + value.len()
}

/// Appends a commit, each record whole. Keys fit 16 bits and the commit fits a chunk, by the checks in `apply`.
pub(crate) fn encode(out: &mut impl Out, writes: &[Write]) {
    put_count(writes, out);
    writes.iter().for_each(|write| encode_write(out, write));
}

/// What takes more of the log is encoded before it has a number, whoever else commits meanwhile.
const LARGE_COMMIT_BYTES: usize = if cfg!(test) { 512 } else { 64 << 10 };

/// A large commit, each record whole. `None`: it is none.
pub(super) fn encode_large(writes: &[Write], bytes: usize) -> Option<Body> {
    // A large value is not copied: there is nothing to be done before.
    if writes.len() == 1 || bytes < LARGE_COMMIT_BYTES {
        return None;
    }
    let copied = writes.iter().map(|write| write.value().map_or(0, |value| value.len()));
    let mut body =
        Body::from(Vec::with_capacity(bytes - copied.filter(|bytes| is_shared(*bytes)).sum::<usize>()));
    encode(&mut body, writes);
    Some(body)
}

/// A commit with patches.
pub(crate) struct Patched {
    pub(super) body: Body,
    /// The oldest of the commits that wrote what they change.
    pub(super) oldest_base: u64,
}

impl Patched {
    /// With a patch for each record that changes, was written after the commit `barrier`, and differs in less than half of what it
    /// takes whole. `None`: there is none.
    pub(super) fn of(writes: &[Write], barrier: u64) -> Option<Self> {
        let mut is_patched =
            |write: &Write| matches!(write, Write::Patch(patch) if patch.base_seq.0 > barrier);
        if !writes.iter().any(&mut is_patched) {
            return None;
        }
        let mut patched = Self { body: Body::from(Vec::with_capacity(256)), oldest_base: u64::MAX };
        put_count(writes, &mut patched.body);
        for write in writes {
            match write {
                Write::Patch(patch) if is_patched(write) && encode_patch(&mut patched.body.copied, patch) => {
                    patched.oldest_base = patched.oldest_base.min(patch.base_seq.0);
                }
                whole => encode_write(&mut patched.body, whole),
            }
        }
        (patched.oldest_base < u64::MAX).then_some(patched)
    }
}

#[allow(clippy::cast_possible_truncation)]
fn put_count(writes: &[Write], out: &mut impl Out) {
    out.put(&(writes.len() as u32).to_le_bytes());
}

/// Appends a patch, or nothing if that takes more than half of what the record takes whole; says whether it did.
#[allow(clippy::cast_possible_truncation)]
fn encode_patch(out: &mut Vec<u8>, patch: &Patch) -> bool {
    let Patch { key, value, .. } = patch;
    let start = out.len();
    let [low, high] = (key.len() as u16).to_le_bytes();
    out.extend_from_slice(&[PATCH, low, high]);
    out.extend_from_slice(key);
    let most = (put_bytes(key, value) / 2).saturating_sub(out.len() - start);
    let is_shorter = difference::encode(patch, most, out);
    if !is_shorter {
        out.truncate(start);
    }
    is_shorter
}

#[allow(clippy::cast_possible_truncation)]
fn encode_write(out: &mut impl Out, write: &Write) {
    match write {
        Write::Put(key, value) => encode_put(out, key, value),
        Write::Patch(patch) => encode_put(out, &patch.key, &patch.value),
        Write::Delete(key) => {
            out.put(&[DELETE]);
            out.put(&(key.len() as u16).to_le_bytes());
            out.put(key);
        }
        Write::Add(counter, by) => {
            out.put(&[ADD]);
            out.put(&counter.0.to_le_bytes());
            out.put(&by.to_le_bytes());
        }
    }
}

#[allow(clippy::cast_possible_truncation)]
fn encode_put(out: &mut impl Out, key: &[u8], value: &Bytes) {
    let mut head = [PUT, 0, 0, 0, 0, 0, 0];
    head[1..3].copy_from_slice(&(key.len() as u16).to_le_bytes());
    head[3..7].copy_from_slice(&(value.len() as u32).to_le_bytes());
    out.put(&head);
    out.put(key);
    out.put_value(value);
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
            let key = take(body, key_bytes)?.into();
            Logged::Whole(Write::Put(key, bytes(body, value_bytes)?))
        }
        DELETE => {
            let key_bytes = u16_at(take(body, 2)?, 0) as usize;
            Logged::Whole(Write::Delete(take(body, key_bytes)?.into()))
        }
        ADD => {
            let rest = take(body, 12)?;
            Logged::Whole(Write::Add(Counter(u32_at(rest, 0)), u64_at(rest, 4).cast_signed()))
        }
        PATCH => {
            let key_bytes = u16_at(take(body, 2)?, 0) as usize;
            let key = take(body, key_bytes)?.into();
            Logged::Patch(key, Difference::decode(body).ok_or(Unreadable::Malformed)?)
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
    take(body, n).map(vast::copy)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Change;

    fn write() -> impl Strategy<Value = Write> {
        let bytes = |max| prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from);
        prop_oneof![
            (bytes(40), bytes(300)).prop_map(|(k, v)| Write::Put(k.into(), v)),
            bytes(40).prop_map(|k| Write::Delete(k.into())),
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

    fn patch(base_seq: u64, base: &[u8], value: &[u8]) -> Write {
        let bytes = Bytes::copy_from_slice;
        let patch = Patch {
            key: b"key".into(),
            base_seq: modb_net::Seq(base_seq),
            value: bytes(value),
            change: Change::From(bytes(base)),
        };
        Write::Patch(Box::new(patch))
    }

    #[test]
    fn a_patch_reads_back_and_makes_of_what_the_record_was_what_it_is() {
        let (base, value) = ([7; 200], [&[7; 100][..], b"more", &[7; 100]].concat());
        let writes = [Write::Delete("gone".into()), patch(6, &base, &value), patch(5, b"", b"new")];
        let patched = Patched::of(&writes, 5).unwrap();
        assert_eq!(patched.oldest_base, 6);
        let mut body = &patched.body.copied[..];
        let commit = decode(&mut body).unwrap();
        let [_, Logged::Patch(key, difference), Logged::Whole(new)] = &commit[..] else {
            panic!("a patch and a put, not {commit:?}")
        };
        assert_eq!((&key[..], difference.apply(&base)), (&b"key"[..], Some(value)));
        assert_eq!(new, &Write::Put("key".into(), Bytes::from("new")), "its base is too old");
        assert!(body.is_empty() && patched.body.len() < 50);
    }

    #[test]
    fn a_record_is_logged_whole_where_what_it_was_is_too_old_or_too_different() {
        let (base, value) = ([7; 200], [8; 200]);
        assert!(Patched::of(&[patch(5, &base, &base)], 5).is_none());
        assert!(Patched::of(&[patch(6, &base, &value)], 5).is_none());
        let mut whole = Vec::new();
        encode(&mut whole, &[patch(6, &base, &value)]);
        let put = Write::Put("key".into(), Bytes::copy_from_slice(&value));
        assert_eq!(decode(&mut &whole[..]), Ok(vec![Logged::Whole(put)]));
    }

    #[test]
    fn an_unknown_tag_is_newer_and_a_short_body_is_malformed() {
        assert_eq!(decode(&mut &[1, 0, 0, 0, 5, 0][..]), Err(Unreadable::Newer(5)));
        assert_eq!(decode(&mut &[2, 0, 0, 0, 2, 1, 0, 7][..]), Err(Unreadable::Malformed));
    }
}
