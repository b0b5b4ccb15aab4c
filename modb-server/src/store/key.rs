//! The key of a record that is written.
//!
//! Every write has one, and most are short: a copy of it lies in the write itself, so that none is a piece of memory that is
//! taken and given back for each. Invariant: what compares, orders or hashes it sees its bytes alone, wherever they lie.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{MAX_STORE_KEY_BYTES, StoreError};

/// Keys up to this length lie where they are: a key record's, with a user's key of 27 bytes, and every page's.
const INLINE_BYTES: usize = 40;

/// A key as the store knows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey(SmallVec<[u8; INLINE_BYTES]>);

impl StoreKey {
    /// These pieces, one behind the other.
    #[inline]
    pub(crate) fn concat(pieces: &[&[u8]]) -> Self {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        if len > INLINE_BYTES {
            return Self(SmallVec::from_vec(pieces.concat()));
        }
        let mut bytes = [0; INLINE_BYTES];
        let mut rest = &mut bytes[..];
        for piece in pieces {
            let (here, behind) = rest.split_at_mut(piece.len());
            here.copy_from_slice(piece);
            rest = behind;
        }
        Self(SmallVec::from_buf_and_len(bytes, len))
    }
}

/// Whether a record may have that key.
#[inline]
pub(super) fn is_possible(key: &[u8]) -> bool {
    (1..=MAX_STORE_KEY_BYTES).contains(&key.len()) && (1..0xff).contains(&key[0])
}

/// Refuses bounds of a scan that no engine can compare with.
pub(super) fn check_bounds(from: &[u8], to: &[u8]) -> Result<(), StoreError> {
    match [from, to].into_iter().find(|bound| bound.len() > MAX_STORE_KEY_BYTES) {
        Some(bound) => Err(StoreError::ImpossibleKey(bound.len())),
        None => Ok(()),
    }
}

impl Deref for StoreKey {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for StoreKey {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

impl From<&[u8]> for StoreKey {
    #[inline]
    fn from(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }
}

impl<const N: usize> From<[u8; N]> for StoreKey {
    #[inline]
    fn from(bytes: [u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl<const N: usize> From<&[u8; N]> for StoreKey {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl From<Vec<u8>> for StoreKey {
    #[inline]
    fn from(bytes: Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

impl From<Bytes> for StoreKey {
    fn from(bytes: Bytes) -> Self {
        bytes.as_ref().into()
    }
}

impl From<&str> for StoreKey {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for StoreKey {
    fn from(text: String) -> Self {
        text.as_bytes().into()
    }
}

impl From<StoreKey> for Bytes {
    fn from(key: StoreKey) -> Self {
        Self::copy_from_slice(&key)
    }
}
