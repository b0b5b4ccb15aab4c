//! Input that came and was not consumed. Pure.
//!
//! Invariants: it grows with the bytes that came, never from a length that a peer announced; what is large grows only while the
//! system has memory for more, and who sent it is told otherwise, not everybody.

use std::collections::TryReserveError;

use crate::base::buf::pool::Pool;

/// An input beyond this, in bytes, grows by a quarter at a time rather than to twice: what is counted against the
/// budget of all connections is what was allocated.
const LARGE_BYTES: usize = 64 << 10;

/// What the system must have left when a large input has grown, in bytes: others need memory meanwhile.
const SPARE_BYTES: usize = 16 << 20;

/// Input that a session has not consumed yet.
#[derive(Debug, Default)]
pub(crate) struct InBuf {
    bytes: Vec<u8>,
    /// `bytes[..consumed]` are done.
    consumed: usize,
    /// Nothing can be done before so many bytes are here; 0: unknown.
    wanted: usize,
}

impl InBuf {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.consumed..]
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.consumed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it would be in vain to show the session what is here.
    pub(crate) fn is_short(&self) -> bool {
        self.len() < self.wanted
    }

    /// What [`InBuf::consume`] or [`InBuf::append`] was told last.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted
    }

    /// The first `n` bytes are done, and nothing can happen before `wanted` bytes are here.
    pub(crate) fn consume(&mut self, n: usize, wanted: usize) {
        self.consumed += n;
        self.wanted = wanted;
        if self.is_empty() {
            self.bytes.clear();
            self.consumed = 0;
        }
    }

    /// Adds `fresh` bytes. Grows by what is here already, at most: an announced length only says where
    /// growing may stop.
    ///
    /// # Errors
    /// If the system has no memory for it. Nothing is added then, so the input is no longer what came.
    pub(crate) fn append(
        &mut self,
        fresh: &[u8],
        wanted: usize,
        pool: &mut Pool,
    ) -> Result<(), TryReserveError> {
        self.wanted = wanted;
        if fresh.is_empty() {
            return Ok(());
        }
        if self.bytes.capacity() == 0 {
            self.bytes = pool.lend_input();
        }
        if self.consumed > 0 {
            self.bytes.drain(..self.consumed);
            self.consumed = 0;
        }
        let needed = self.bytes.len() + fresh.len();
        if needed > self.bytes.capacity() {
            let grown = needed.saturating_add(if needed > LARGE_BYTES { needed / 4 } else { needed });
            let target = if wanted > needed { wanted.min(grown) } else { grown };
            grow(&mut self.bytes, target)?;
        }
        self.bytes.extend_from_slice(fresh);
        Ok(())
    }

    /// Gives its memory to the pool if it is empty.
    pub(crate) fn reclaim(&mut self, pool: &mut Pool) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            pool.reclaim_input(std::mem::take(&mut self.bytes));
        }
    }

    /// Heap memory it holds, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Takes what is there, and leaves nothing.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..std::mem::take(&mut self.consumed));
        self.wanted = 0;
        bytes
    }

    /// Removes all input.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.consumed = 0;
        self.wanted = 0;
    }
}

/// Makes room for `target` bytes.
fn grow(bytes: &mut Vec<u8>, target: usize) -> Result<(), TryReserveError> {
    bytes.try_reserve_exact(target - bytes.len())?;
    if target > LARGE_BYTES {
        // Looked at by nobody, so that it is asked for at all.
        std::hint::black_box(Vec::<u8>::new()).try_reserve_exact(SPARE_BYTES)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_has_no_memory_for_is_an_error_and_changes_nothing() {
        let mut bytes = b"xy".to_vec();
        assert!(grow(&mut bytes, isize::MAX as usize).is_err());
        assert_eq!(bytes, b"xy");
        assert!(grow(&mut bytes, 2 * LARGE_BYTES).is_ok() && bytes.capacity() >= 2 * LARGE_BYTES);
    }

    #[test]
    fn an_announced_length_allocates_nothing_ahead_of_the_bytes() {
        let mut pool = Pool::default();
        let mut input = InBuf::default();
        input.append(b"12345678", 512 << 20, &mut pool).unwrap();
        assert!(input.bytes.capacity() <= 16);
        assert!(input.is_short());
    }

    #[test]
    fn an_empty_input_owns_no_memory_beyond_the_turn() {
        let mut pool = Pool::default();
        let mut input = InBuf::default();
        input.append(b"xy", 0, &mut pool).unwrap();
        input.consume(1, 0);
        input.reclaim(&mut pool);
        assert_eq!(input.bytes(), b"y", "it is in use");
        input.consume(1, 0);
        input.reclaim(&mut pool);
        assert!(input.heap_bytes() == 0 && pool.bytes() > 0);
    }
}
