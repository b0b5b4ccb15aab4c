//! How much of a value a reader wants: all of it, or a glimpse, that is what it begins with and how long it is.
//!
//! Whether there is a key, of what type, until when, how long its value is: none of that needs the value, which may be hundreds of
//! megabytes on a disk. Pure.

use bytes::Bytes;

use super::StoreError;

/// So much of a value is in a glimpse of it: what the records of keys have in front, with room for what comes to stand there.
pub const GLIMPSE_BYTES: usize = 32;

/// What a value begins with, and its length.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// Zeros behind what is known.
    begin: [u8; GLIMPSE_BYTES],
    known_bytes: u8,
    value_bytes: usize,
}

impl Glimpse {
    /// That of a value.
    #[inline]
    pub fn of(value: &[u8]) -> Self {
        let mut begin = [0; GLIMPSE_BYTES];
        match value.first_chunk() {
            Some(first) => begin = *first,
            None => begin[..value.len()].copy_from_slice(value),
        }
        Self::of_longer(begin, value.len())
    }

    /// That of a longer value, of which this is known.
    #[inline]
    pub(super) fn of_longer(begin: [u8; GLIMPSE_BYTES], value_bytes: usize) -> Self {
        Self { begin, known_bytes: value_bytes.min(GLIMPSE_BYTES) as u8, value_bytes }
    }

    /// That of a value of which no more than its first byte is known.
    pub(super) fn of_first(first: u8, value_bytes: usize) -> Self {
        let mut begin = [0; GLIMPSE_BYTES];
        begin[0] = first;
        Self { begin, known_bytes: 1, value_bytes }
    }

    /// What the value begins with, as far as it goes; one byte where the caller said that this suffices.
    #[inline]
    pub fn begin(&self) -> &[u8] {
        &self.begin[..usize::from(self.known_bytes).min(GLIMPSE_BYTES)]
    }

    /// The length of the value.
    #[inline]
    pub fn value_bytes(&self) -> usize {
        self.value_bytes
    }
}

impl std::fmt::Debug for Glimpse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {} bytes", Bytes::copy_from_slice(self.begin()), self.value_bytes)
    }
}

/// What is read of a value: itself, or a glimpse.
pub(super) trait Portion: Sized {
    fn of(value: Bytes) -> Self;

    /// Of a value that is not shared.
    fn of_borrowed(value: &[u8]) -> Self;

    /// Of a value that lies elsewhere, where `read` reads it.
    fn of_distant(
        glimpse: Glimpse,
        read: impl FnOnce() -> Result<Bytes, StoreError>,
    ) -> Result<Self, StoreError>;
}

impl Portion for Bytes {
    fn of(value: Bytes) -> Self {
        value
    }

    fn of_borrowed(value: &[u8]) -> Self {
        Self::copy_from_slice(value)
    }

    fn of_distant(_: Glimpse, read: impl FnOnce() -> Result<Bytes, StoreError>) -> Result<Self, StoreError> {
        read()
    }
}

impl Portion for Glimpse {
    fn of(value: Bytes) -> Self {
        Self::of(&value)
    }

    fn of_borrowed(value: &[u8]) -> Self {
        Self::of(value)
    }

    fn of_distant(
        glimpse: Glimpse,
        _: impl FnOnce() -> Result<Bytes, StoreError>,
    ) -> Result<Self, StoreError> {
        Ok(glimpse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glimpse_is_what_a_value_begins_with_and_its_length() {
        let value: Vec<u8> = (1..=100).collect();
        for bytes in [0, 1, GLIMPSE_BYTES - 1, GLIMPSE_BYTES, GLIMPSE_BYTES + 1, 100] {
            let glimpse = Glimpse::of(&value[..bytes]);
            assert_eq!(glimpse.begin(), &value[..bytes.min(GLIMPSE_BYTES)]);
            assert_eq!(glimpse.value_bytes(), bytes);
        }
    }
}
