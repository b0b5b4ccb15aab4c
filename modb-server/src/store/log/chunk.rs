//! The bytes of the log: chunks of commits. Pure: no file, no clock.
//!
//! A chunk is what one turn's end writes at once: a header, then commits, then zeros up to the next multiple of
//! [`ALIGN_BYTES`]. All numbers are little-endian.
//!
//! ```text
//! header  crc32c u32 of all that follows | body_bytes u32 | first_seq u64 | synced_seq u64 | commits u32 | 0 u32
//! commit  writes u32, then that many:
//!         1 u8 | key_bytes u16 | value_bytes u32 | key | value      put
//!         2 u8 | key_bytes u16 | key                                delete
//!         3 u8 | counter u32 | by i64                               add
//! ```
//!
//! `synced_seq` is the last commit that was synced when the chunk was sealed. It is what tells damage from a
//! torn end at recovery: bytes that were synced once must be there, bytes that never were may be torn in any way.

use bytes::Bytes;

use crate::store::{Counter, Write};

/// Bytes of a chunk's header.
pub(crate) const HEADER_BYTES: usize = 32;
/// Where chunks may begin; a search for chunks behind damage steps by it.
pub(crate) const ALIGN_BYTES: usize = 16;
/// The most a chunk's body may hold: what its length field can say, less what alignment adds.
pub(crate) const MAX_BODY_BYTES: usize = u32::MAX as usize - 64;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const ADD: u8 = 3;

/// What a chunk says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) first_seq: u64,
    pub(crate) synced_seq: u64,
    pub(crate) commits: u32,
    pub(crate) body_bytes: u32,
}

impl Header {
    /// The number of the commit after the chunk's last.
    pub(crate) fn next_seq(&self) -> u64 {
        self.first_seq.saturating_add(u64::from(self.commits))
    }

    /// Bytes of the whole chunk.
    pub(crate) fn chunk_bytes(&self) -> usize {
        (HEADER_BYTES + self.body_bytes as usize).next_multiple_of(ALIGN_BYTES)
    }

    /// What the first bytes say, believed by nobody yet.
    pub(crate) fn peek(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER_BYTES)?;
        Some(Self {
            body_bytes: u32_at(header, 4),
            first_seq: u64_at(header, 8),
            synced_seq: u64_at(header, 16),
            commits: u32_at(header, 24),
        })
    }

    /// The header of a whole and undamaged chunk at the start of `bytes`.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let header = Self::peek(bytes)?;
        let end = HEADER_BYTES.checked_add(header.body_bytes as usize)?;
        let covered = bytes.get(4..end)?;
        let good = header.first_seq > 0 && crc32c::crc32c(covered) == u32_at(bytes, 0);
        good.then_some(header)
    }
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

/// Appends a commit. Keys fit 16 bits and the commit fits [`MAX_BODY_BYTES`], by the checks in `apply`.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn encode_commit(out: &mut Vec<u8>, writes: &[Write]) {
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

/// Makes `chunk`, [`HEADER_BYTES`] of room and then commits, into a chunk.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn seal(chunk: &mut Vec<u8>, first_seq: u64, synced_seq: u64, commits: u32) {
    let body_bytes = (chunk.len() - HEADER_BYTES) as u32;
    chunk[4..8].copy_from_slice(&body_bytes.to_le_bytes());
    chunk[8..16].copy_from_slice(&first_seq.to_le_bytes());
    chunk[16..24].copy_from_slice(&synced_seq.to_le_bytes());
    chunk[24..28].copy_from_slice(&commits.to_le_bytes());
    chunk[28..32].fill(0);
    let crc = crc32c::crc32c(&chunk[4..]);
    chunk[..4].copy_from_slice(&crc.to_le_bytes());
    chunk.resize(chunk.len().next_multiple_of(ALIGN_BYTES), 0);
}

/// The commits of a chunk that [`Header::read`] accepted, oldest first. `None` where the body does not say what
/// its checksum vouches for: then it was written wrong.
pub(crate) fn decode_commits(chunk: &[u8], header: Header) -> Option<Vec<Vec<Write>>> {
    let mut body = chunk.get(HEADER_BYTES..HEADER_BYTES + header.body_bytes as usize)?;
    let mut commits = Vec::new();
    for _ in 0..header.commits {
        let count = u32::from_le_bytes(take(&mut body, 4)?.try_into().ok()?);
        let mut writes = Vec::new();
        for _ in 0..count {
            writes.push(decode_write(&mut body)?);
        }
        commits.push(writes);
    }
    body.is_empty().then_some(commits)
}

fn decode_write(body: &mut &[u8]) -> Option<Write> {
    Some(match take(body, 1)?[0] {
        PUT => {
            let head = take(body, 6)?;
            let (key_bytes, value_bytes) = (u16_at(head, 0) as usize, u32_at(head, 2) as usize);
            let key = Bytes::copy_from_slice(take(body, key_bytes)?);
            Write::Put(key, Bytes::copy_from_slice(take(body, value_bytes)?))
        }
        DELETE => {
            let key_bytes = u16_at(take(body, 2)?, 0) as usize;
            Write::Delete(Bytes::copy_from_slice(take(body, key_bytes)?))
        }
        ADD => {
            let rest = take(body, 12)?;
            Write::Add(Counter(u32_at(rest, 0)), u64_at(rest, 4).cast_signed())
        }
        _ => return None,
    })
}

fn take<'a>(body: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (taken, rest) = body.split_at_checked(n)?;
    *body = rest;
    Some(taken)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write() -> impl Strategy<Value = Write> {
        let bytes = |max| proptest::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from);
        prop_oneof![
            (bytes(40), bytes(300)).prop_map(|(k, v)| Write::Put(k, v)),
            bytes(40).prop_map(Write::Delete),
            (any::<u32>(), any::<i64>()).prop_map(|(c, by)| Write::Add(Counter(c), by)),
        ]
    }

    fn sealed(commits: &[Vec<Write>], first_seq: u64, synced_seq: u64) -> Vec<u8> {
        let mut chunk = vec![0; HEADER_BYTES];
        for writes in commits {
            let before = chunk.len();
            encode_commit(&mut chunk, writes);
            assert_eq!(chunk.len() - before, commit_bytes(writes));
        }
        seal(&mut chunk, first_seq, synced_seq, u32::try_from(commits.len()).unwrap());
        chunk
    }

    proptest! {
        #[test]
        fn a_chunk_reads_back_as_it_was_written(
            commits in proptest::collection::vec(proptest::collection::vec(write(), 0..5), 0..5),
            first in 1u64..u64::MAX / 2,
            synced: u64,
            behind in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let mut chunk = sealed(&commits, first, synced);
            prop_assert_eq!(chunk.len() % ALIGN_BYTES, 0);
            let bytes = chunk.len();
            chunk.extend(behind);
            let header = Header::read(&chunk).unwrap();
            prop_assert_eq!(header.chunk_bytes(), bytes);
            prop_assert_eq!((header.first_seq, header.synced_seq), (first, synced));
            prop_assert_eq!(decode_commits(&chunk, header).unwrap(), commits);
        }

        #[test]
        fn any_changed_bit_of_a_chunk_is_noticed(
            writes in proptest::collection::vec(write(), 1..4), at: prop::sample::Index, bit in 0u8..8,
        ) {
            let mut chunk = sealed(&[writes], 7, 3);
            let covered = HEADER_BYTES + Header::read(&chunk).unwrap().body_bytes as usize;
            chunk[at.index(covered)] ^= 1 << bit;
            prop_assert_eq!(Header::read(&chunk), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(header) = Header::peek(&bytes) {
                let _ = decode_commits(&bytes, header);
            }
            prop_assert_eq!(Header::read(&bytes), None);
        }
    }

    #[test]
    fn zeros_are_no_chunk() {
        assert_eq!(Header::read(&[0; 4096]), None);
    }
}
