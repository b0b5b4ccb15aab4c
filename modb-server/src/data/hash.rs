//! The hash of user keys: SipHash-1-3 (Aumasson, Bernstein 2012; one compression, three finalisation rounds).
//!
//! Part of the data format: records are ordered by it, so it must never change for a data folder. Each folder
//! has its own random seed, so that nobody outside can choose keys that share a hash. Pure.

use std::hash::{BuildHasher, Hasher};

/// The key of the hash, 128 bits, chosen once per data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed {
    k0: u64,
    k1: u64,
}

impl Seed {
    /// How many bytes a stored seed has.
    pub(super) const BYTES: usize = 16;

    /// A seed from the randomness of the operating system, by way of the standard library's hash maps.
    pub(super) fn random() -> Self {
        let word = || std::hash::RandomState::new().build_hasher().finish();
        Self { k0: word(), k1: word() }
    }

    /// Reads a stored seed: two little-endian words.
    pub(super) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Self { k0: word(0), k1: word(8) }
    }

    /// The form to store.
    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.k0.to_le_bytes());
        bytes[8..].copy_from_slice(&self.k1.to_le_bytes());
        bytes
    }

    /// SipHash-1-3 of `data` under this seed.
    pub(super) fn hash(&self, data: &[u8]) -> u64 {
        let mut v = [
            self.k0 ^ 0x736f_6d65_7073_6575,
            self.k1 ^ 0x646f_7261_6e64_6f6d,
            self.k0 ^ 0x6c79_6765_6e65_7261,
            self.k1 ^ 0x7465_6462_7974_6573,
        ];
        let (words, rest) = data.as_chunks::<8>();
        for word in words {
            compress(&mut v, u64::from_le_bytes(*word));
        }
        compress(&mut v, last_word(data, rest) | (data.len() as u64) << 56);
        v[2] ^= 0xff;
        round(&mut v);
        round(&mut v);
        round(&mut v);
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

/// The number that the up to seven bytes are with which `data` ends, the first of them the lowest.
#[inline]
fn last_word(data: &[u8], rest: &[u8]) -> u64 {
    match (data.last_chunk(), rest.first_chunk(), rest.last_chunk()) {
        _ if rest.is_empty() => 0,
        // Eight bytes are read at once, of which those at the front are not meant.
        (Some(eight), ..) => u64::from_le_bytes(*eight) >> (64 - 8 * rest.len()),
        // Both halves have what is in the middle.
        (_, Some(first), Some(last)) => {
            let last = u64::from(u32::from_le_bytes(*last)) << (8 * (rest.len() - 4));
            u64::from(u32::from_le_bytes(*first)) | last
        }
        _ => rest.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

fn compress(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    v[0] ^= word;
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_siphash_1_3_of_the_standard_library() {
        // `DefaultHasher::new()` is SipHash-1-3 with a zero key.
        let zero = Seed { k0: 0, k1: 0 };
        let data: Vec<u8> = (0..=255).collect();
        for len in 0..data.len() {
            let mut theirs = std::hash::DefaultHasher::new();
            theirs.write(&data[..len]);
            assert_eq!(zero.hash(&data[..len]), theirs.finish(), "length {len}");
        }
    }

    #[test]
    fn a_seed_survives_being_stored() {
        let seed = Seed::random();
        assert_eq!(Seed::from_bytes(seed.to_bytes()), seed);
        assert_ne!(Seed::random().hash(b"key"), Seed::random().hash(b"key"));
    }
}
