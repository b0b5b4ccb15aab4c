//! The first bytes of a log file: which version wrote it, and the seal of its present use. Pure.
//!
//! ```text
//! crc32c u32 of all that follows | 0 u32 | "modb log" | version u32 | 0 u32 | seal 8 bytes | zeros up to 4096
//! ```
//!
//! All that says something is in the first sector, so a power cut leaves the old head or the new one. Chunks begin behind
//! the whole of it: no write of theirs touches its sector, whatever size the disk's sectors have.
//!
//! Invariant: a head is on the disk, synced, before the first chunk is written behind it. So a file without a head
//! holds nothing but zeros, and one whose head is neither whole nor missing is damaged: its chunks, which may have been
//! synced, can no longer be told from what a client wrote.

use super::chunk::{Seal, u32_at};

/// Bytes of the head; where the first chunk begins.
pub(crate) const HEAD_BYTES: usize = 4096;

const MAGIC: &[u8; 8] = b"modb log";
const VERSION: u32 = 2;

/// What the first bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileHead {
    Sealed(Seal),
    /// Zeros, or no bytes: the file was never ready.
    Blank,
    /// Neither: nobody wrote this.
    Lost,
    /// Written by a later version.
    Newer(u32),
}

impl FileHead {
    /// From a file's first bytes; where it is shorter than a head, zeros are taken for what is missing.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut head = [0; HEAD_BYTES];
        let there = bytes.len().min(HEAD_BYTES);
        head[..there].copy_from_slice(&bytes[..there]);
        if head.iter().all(|byte| *byte == 0) {
            return Self::Blank;
        }
        if crc32c::crc32c(&head[4..]) != u32_at(&head, 0) || head[8..16] != *MAGIC {
            return Self::Lost;
        }
        match (u32_at(&head, 16), head[24..].first_chunk()) {
            (VERSION, Some(seal)) => Self::Sealed(Seal::from_bytes(*seal)),
            (version, _) => Self::Newer(version),
        }
    }
}

/// The head of a file that is used under `seal`.
pub(crate) fn encode(seal: Seal) -> [u8; HEAD_BYTES] {
    encode_as(VERSION, seal)
}

fn encode_as(version: u32, seal: Seal) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[8..16].copy_from_slice(MAGIC);
    head[16..20].copy_from_slice(&version.to_le_bytes());
    head[24..32].copy_from_slice(&seal.to_bytes());
    let crc = crc32c::crc32c(&head[4..]);
    head[..4].copy_from_slice(&crc.to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_and_every_flipped_bit_of_it_is_noticed() {
        let seal = Seal::random().unwrap();
        let mut head = encode(seal);
        assert_eq!(FileHead::read(&head), FileHead::Sealed(seal));
        assert_eq!(FileHead::read(&head[..512]), FileHead::Sealed(seal), "one sector says it all");
        for bit in 0..HEAD_BYTES * 8 {
            head[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FileHead::read(&head), FileHead::Lost, "bit {bit}");
            head[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn zeros_are_no_head_and_a_later_version_is_no_damage() {
        assert_eq!(FileHead::read(&[]), FileHead::Blank);
        assert_eq!(FileHead::read(&[0; 9000]), FileHead::Blank);
        let newer = encode_as(3, Seal::random().unwrap());
        assert_eq!(FileHead::read(&newer), FileHead::Newer(3));
    }
}
