//! The bytes of commits on their way to the log, in pieces: what is small is copied, large values are shared with the records in
//! memory.
//!
//! To copy a value of 16 MB took its thread ten milliseconds and as much memory again, under the lock under which commits are
//! numbered; so did a commit of very many small ones, which is now [taken in](Body::take_in) as a piece. Pure.
//!
//! Invariant: the pieces, one after the other, are what was appended, in that order.

use bytes::Bytes;

/// Values from this size on are shared: each is a write of its own.
const SHARED_BYTES: usize = if cfg!(test) { 256 } else { 64 << 10 };

/// Whether a value of so many bytes is not copied.
pub(super) fn is_shared(bytes: usize) -> bool {
    bytes >= SHARED_BYTES
}

/// Where commits are encoded to.
pub(crate) trait Out {
    fn put(&mut self, bytes: &[u8]);
    fn put_value(&mut self, value: &Bytes);
}

impl Out for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_value(&mut self, value: &Bytes) {
        self.extend_from_slice(value);
    }
}

/// See the top of this file.
#[derive(Default)]
pub(crate) struct Body {
    pub(super) copied: Vec<u8>,
    /// Values, each with how much of what was copied is before it; ascending.
    shared: Vec<(usize, Bytes)>,
    shared_bytes: usize,
}

impl Body {
    /// One that goes on from bytes that are there.
    pub(super) fn from(copied: Vec<u8>) -> Self {
        Self { copied, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.copied.len() + self.shared_bytes
    }

    pub(super) fn append(&mut self, other: &Self) {
        let before = self.copied.len();
        self.copied.extend_from_slice(&other.copied);
        self.shared.extend(other.shared.iter().map(|(at, value)| (before + at, value.clone())));
        self.shared_bytes += other.shared_bytes;
    }

    /// As [`Body::append`], of what is needed no more: what is large of it is not copied.
    pub(super) fn take_in(&mut self, other: Self) {
        if other.copied.len() < SHARED_BYTES {
            return self.append(&other);
        }
        let (at, copied) = (self.copied.len(), Bytes::from(other.copied));
        let mut done = 0;
        for (before, value) in other.shared {
            self.share(at, copied.slice(done..before));
            self.share(at, value);
            done = before;
        }
        self.share(at, copied.slice(done..));
    }

    /// A piece behind so many bytes of what was copied, and behind the pieces that are there.
    fn share(&mut self, at: usize, piece: Bytes) {
        if !piece.is_empty() {
            self.shared_bytes += piece.len();
            self.shared.push((at, piece));
        }
    }

    /// Makes it so long: shorter by what was copied last, or longer by zeros.
    pub(super) fn resize(&mut self, bytes: usize) {
        self.copied.resize(bytes - self.shared_bytes, 0);
    }

    /// Shows `see` the pieces, one after the other, until it fails. None is empty.
    #[inline]
    pub(super) fn try_each<E>(&self, mut see: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut done = 0;
        for (at, value) in &self.shared {
            if done < *at {
                see(&self.copied[done..*at])?;
            }
            see(value)?;
            done = *at;
        }
        if done < self.copied.len() { see(&self.copied[done..]) } else { Ok(()) }
    }

    /// All of it as it is written.
    #[cfg(test)]
    pub(super) fn concat(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let Ok(()) = self.try_each(|piece| {
            all.extend_from_slice(piece);
            Ok::<_, std::convert::Infallible>(())
        });
        all
    }
}

impl Out for Body {
    fn put(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }

    fn put_value(&mut self, value: &Bytes) {
        if !is_shared(value.len()) {
            return self.put(value);
        }
        self.share(self.copied.len(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_appended_comes_back_in_its_order_and_large_values_are_not_copied(
            parts in prop::collection::vec((any::<bool>(), 0..3 * SHARED_BYTES), 0..12), split in 0_usize..12, end in 0_usize..64,
            is_given in any::<bool>(),
        ) {
            let (mut body, mut other, mut expected, mut copied) = (Body::default(), Body::default(), Vec::new(), 0);
            for (at, (is_value, bytes)) in parts.into_iter().enumerate() {
                let bytes = Bytes::from(vec![at as u8 + 1; bytes]);
                let into = if at < split { &mut body } else { &mut other };
                if is_value { into.put_value(&bytes) } else { into.put(&bytes) }
                copied += if is_value && bytes.len() >= SHARED_BYTES { 0 } else { bytes.len() };
                expected.extend_from_slice(&bytes);
            }
            if is_given {
                copied -= if other.copied.len() < SHARED_BYTES { 0 } else { other.copied.len() };
                body.take_in(other);
            } else {
                body.append(&other);
            }
            prop_assert_eq!((body.len(), body.copied.len()), (expected.len(), copied));
            let whole = body.len();
            body.resize(whole + end);
            expected.resize(whole + end, 0);
            prop_assert_eq!(body.concat(), &expected[..]);
            body.resize(whole);
            prop_assert_eq!(body.concat(), &expected[..whole]);
        }
    }
}
