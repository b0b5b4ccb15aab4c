//! A file read from its start to its end, once, a piece at a time.

use std::io;

use crate::store::log::disk::DiskReader;

/// What is read at once, unless more is asked for.
const PIECE_BYTES: usize = 1 << 20;

/// Moves forward over a file; holds no more of it than was asked for last, and a piece.
pub(super) struct Pieces {
    reader: Box<dyn DiskReader>,
    /// Where the file ends, or the part of it that counts.
    end_at: u64,
    held_at: u64,
    held: Vec<u8>,
}

impl Pieces {
    /// Of what lies before `end_at`.
    pub(super) fn new(reader: Box<dyn DiskReader>, end_at: u64) -> io::Result<Self> {
        let end_at = end_at.min(reader.bytes()?);
        Ok(Self { reader, end_at, held_at: 0, held: Vec::new() })
    }

    pub(super) fn end_at(&self) -> u64 {
        self.end_at
    }

    /// Up to `bytes` bytes from `at` on, less only at the end. Never before an earlier `at`.
    pub(super) fn get(&mut self, at: u64, bytes: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.end_at.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = bytes.min(left);
        let passed = usize::try_from(at - self.held_at).unwrap_or(usize::MAX);
        if passed.saturating_add(wanted) <= self.held.len() {
            return Ok(&self.held[passed..passed + wanted]);
        }
        self.held.drain(..passed.min(self.held.len()));
        self.held_at = at;
        let before = self.held.len();
        self.held.resize(wanted.max(PIECE_BYTES.min(left)), 0);
        let read = self.reader.read_at(at + before as u64, &mut self.held[before..])?;
        self.held.truncate(before + read);
        Ok(&self.held[..wanted.min(self.held.len())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counted(Vec<u8>, std::rc::Rc<std::cell::Cell<usize>>);

    impl DiskReader for Counted {
        fn bytes(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }

        fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
            let bytes = &self.0[usize::try_from(offset).unwrap()..];
            let n = bytes.len().min(into.len());
            into[..n].copy_from_slice(&bytes[..n]);
            self.1.set(self.1.get() + n);
            Ok(n)
        }
    }

    #[test]
    fn every_byte_is_read_once_whatever_is_asked_for() {
        let bytes: Vec<u8> = (0..3 * PIECE_BYTES + 77).map(|n| (n / 3) as u8).collect();
        let read = std::rc::Rc::default();
        let mut pieces =
            Pieces::new(Box::new(Counted(bytes.clone(), std::rc::Rc::clone(&read))), u64::MAX).unwrap();
        let mut at: usize = 0;
        for step in [5, PIECE_BYTES - 9, 40, 2 * PIECE_BYTES, 64, usize::MAX].into_iter().cycle() {
            let found = pieces.get(at as u64, step).unwrap().to_vec();
            assert!(found == bytes[at..bytes.len().min(at.saturating_add(step))], "{step} bytes at {at}");
            if found.is_empty() {
                break;
            }
            at += found.len();
        }
        assert_eq!((at, read.get()), (bytes.len(), bytes.len()));
    }
}
