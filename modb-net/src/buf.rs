//! The output buffer of one connection, with the marks that hold replies back. Pure.

use std::collections::VecDeque;

use crate::Seq;

/// Unsent output, and which commit each part of it waits for.
///
/// Positions are counted from the first byte ever written, so that sending does not move the marks.
#[derive(Debug, Default)]
pub struct OutBuf {
    bytes: Vec<u8>,
    /// How many bytes were sent and removed before `bytes[0]`.
    base: u64,
    /// (position, seq): bytes from `position` on wait for `seq`. Both ascend.
    holds: VecDeque<(u64, Seq)>,
}

impl OutBuf {
    /// The buffer to append to.
    pub fn tail_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Bytes not yet sent.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether everything was sent.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whatever is appended from now on waits for `seq`.
    pub fn hold_until(&mut self, seq: Seq) {
        let position = self.base + self.bytes.len() as u64;
        if self.holds.back().is_none_or(|&(_, held)| held < seq) {
            self.holds.push_back((position, seq));
        }
    }
}
