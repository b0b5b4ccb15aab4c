//! What holds the commits of the log together: chunks, and the seals that make them ours. Pure: no file, no clock.
//!
//! A chunk is what one turn's end writes at once: a header, then commits (see `commit`), then zeros up to the next
//! multiple of [`ALIGN_BYTES`]. All numbers are little-endian.
//!
//! ```text
//! version 2  crc32c u32 of all that follows | body_bytes u32 | seal u64 | first_seq u64 | synced_seq u64 | commits u32 | 0 u32
//! version 1  the same without the seal; read, never written
//! ```
//!
//! `synced_seq` is the last commit that was synced when the chunk was sealed. It is what tells damage from a
//! torn end at recovery: bytes that were synced once must be there, bytes that never were may be torn in any way.
//!
//! Invariant: bytes that a client chose are never taken for a chunk. A chunk carries the secret of its file's use, which
//! is in no reply, and is new each time the file is used again; version 1 had none.

use std::convert::Infallible;
use std::io;

use super::body::Body;

/// Where chunks may begin; a search for chunks behind damage steps by it.
pub(crate) const ALIGN_BYTES: usize = 16;
/// Bytes of the header of a chunk that is written.
pub(crate) const HEADER_BYTES: usize = 40;
/// The most a chunk's body may hold: what its length field can say, less what alignment adds.
pub(crate) const MAX_BODY_BYTES: usize = u32::MAX as usize - 64;

/// The secret of one use of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal(u64);

impl Seal {
    /// A new one, which nobody can guess.
    pub(crate) fn random() -> io::Result<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes)?;
        Ok(Self::from_bytes(bytes))
    }

    pub(crate) fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a seal")
    }
}

/// How the chunks of a file are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sealing {
    /// By their checksum alone, as version 1 of the format had it.
    None,
    With(Seal),
}

/// What a chunk says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) first_seq: u64,
    pub(crate) synced_seq: u64,
    pub(crate) commits: u32,
    body_bytes: u32,
    header_bytes: usize,
}

impl Header {
    /// What the first bytes say, if they bear the seal. Only [`Header::is_whole`] says whether it is true.
    pub(crate) fn read(bytes: &[u8], sealing: Sealing) -> Option<Self> {
        let (header_bytes, rest) = match sealing {
            Sealing::None => (32, 8),
            Sealing::With(_) => (HEADER_BYTES, 16),
        };
        let header = bytes.get(..header_bytes)?;
        if let Sealing::With(seal) = sealing
            && header[8..16] != seal.to_bytes()
        {
            return None;
        }
        let first_seq = u64_at(header, rest);
        (first_seq > 0).then(|| Self {
            body_bytes: u32_at(header, 4),
            first_seq,
            synced_seq: u64_at(header, rest + 8),
            commits: u32_at(header, rest + 16),
            header_bytes,
        })
    }

    /// Whether `chunk`, at whose start the header was read, is as it was written; padding does not count.
    pub(crate) fn is_whole(&self, chunk: &[u8]) -> bool {
        let covered = chunk.get(4..self.header_bytes + self.body_bytes as usize);
        covered.is_some_and(|covered| crc32c::crc32c(covered) == u32_at(chunk, 0))
    }

    /// The number of the commit after the chunk's last.
    pub(crate) fn next_seq(&self) -> u64 {
        self.first_seq.saturating_add(u64::from(self.commits))
    }

    /// Bytes of the whole chunk.
    pub(crate) fn chunk_bytes(&self) -> usize {
        (self.header_bytes + self.body_bytes as usize).next_multiple_of(ALIGN_BYTES)
    }

    /// The commits of a whole chunk.
    pub(crate) fn body<'a>(&self, chunk: &'a [u8]) -> &'a [u8] {
        &chunk[self.header_bytes..self.header_bytes + self.body_bytes as usize]
    }
}

/// Makes `chunk`, [`HEADER_BYTES`] of room and then `body_bytes` of commits, into a chunk. One that was sealed before can be
/// sealed again, for another file.
#[allow(clippy::cast_possible_truncation)] // bounded by MAX_BODY_BYTES
pub(crate) fn seal(
    chunk: &mut Body,
    body_bytes: usize,
    seal: Seal,
    first_seq: u64,
    synced_seq: u64,
    commits: u32,
) {
    chunk.resize(HEADER_BYTES + body_bytes);
    let header = &mut chunk.copied[..HEADER_BYTES];
    header[4..8].copy_from_slice(&(body_bytes as u32).to_le_bytes());
    header[8..16].copy_from_slice(&seal.to_bytes());
    header[16..24].copy_from_slice(&first_seq.to_le_bytes());
    header[24..32].copy_from_slice(&synced_seq.to_le_bytes());
    header[32..36].copy_from_slice(&commits.to_le_bytes());
    header[36..40].fill(0);
    let (mut crc, mut own_bytes) = (0, 4);
    let Ok(()) = chunk.try_each(|piece| {
        crc = crc32c::crc32c_append(crc, &piece[std::mem::take(&mut own_bytes)..]);
        Ok::<_, Infallible>(())
    });
    chunk.copied[..4].copy_from_slice(&crc.to_le_bytes());
    chunk.resize(chunk.len().next_multiple_of(ALIGN_BYTES));
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEAL: Seal = Seal(0x0123_4567_89ab_cdef);

    fn sealed(body: &[u8], first_seq: u64, synced_seq: u64) -> Vec<u8> {
        let mut chunk = Body::from([&[0; HEADER_BYTES], body].concat());
        seal(&mut chunk, body.len(), SEAL, first_seq, synced_seq, 3);
        chunk.copied
    }

    proptest! {
        #[test]
        fn a_chunk_reads_back_as_it_was_written(
            body in prop::collection::vec(any::<u8>(), 0..200),
            first in 1u64..u64::MAX / 2,
            synced: u64,
            behind in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let mut chunk = sealed(&body, first, synced);
            prop_assert_eq!(chunk.len() % ALIGN_BYTES, 0);
            let bytes = chunk.len();
            chunk.extend(behind);
            let header = Header::read(&chunk, Sealing::With(SEAL)).unwrap();
            prop_assert!(header.is_whole(&chunk));
            prop_assert_eq!(header.chunk_bytes(), bytes);
            prop_assert_eq!((header.first_seq, header.synced_seq, header.commits), (first, synced, 3));
            prop_assert_eq!(header.body(&chunk), &body[..]);
        }

        #[test]
        fn any_changed_bit_of_a_chunk_is_noticed(
            body in prop::collection::vec(any::<u8>(), 0..100), at: prop::sample::Index, bit in 0u8..8,
        ) {
            let mut chunk = sealed(&body, 7, 3);
            chunk[at.index(HEADER_BYTES + body.len())] ^= 1 << bit;
            let header = Header::read(&chunk, Sealing::With(SEAL));
            prop_assert!(header.is_none_or(|header| !header.is_whole(&chunk)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(header) = Header::read(&bytes, Sealing::None) {
                prop_assert!(!header.is_whole(&bytes));
            }
            prop_assert_eq!(Header::read(&bytes, Sealing::With(SEAL)), None);
        }
    }

    #[test]
    fn a_chunk_of_another_use_is_none_and_can_be_sealed_anew() {
        let chunk = sealed(b"body", 7, 3);
        let other = Seal::random().unwrap();
        assert_eq!(Header::read(&chunk, Sealing::With(other)), None);
        let mut anew = Body::from(chunk);
        seal(&mut anew, 4, other, 7, 5, 3);
        let chunk = anew.copied;
        let header = Header::read(&chunk, Sealing::With(other)).unwrap();
        assert!(header.is_whole(&chunk) && header.synced_seq == 5 && header.body(&chunk) == b"body");
    }

    #[test]
    fn zeros_are_no_chunk() {
        assert_eq!(Header::read(&[0; 4096], Sealing::None), None);
        assert_eq!(Header::read(&[0; 4096], Sealing::With(Seal(0))), None);
    }
}
