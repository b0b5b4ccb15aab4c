//! The buffers of a worker that no connection uses now. Pure.
//!
//! Invariants: what idles here is bounded by its bytes; an empty buffer owns no memory beyond the turn, since it comes here.

use crate::base::buf::out::OutBuf;

/// Buffers of one worker that no connection uses now.
///
/// An idle connection owns no buffer: it takes one from here when it has something to keep and gives it
/// back when it is empty. What idles here is bounded by its bytes, so that it does not matter whether that is many small
/// buffers or some large ones: a buffer that is freed each turn and grown again in the next costs a page fault
/// per 4 KiB, which was a quarter of the time of serving pipelined values of that size.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    inputs: Vec<Vec<u8>>,
    outputs: Vec<OutBuf>,
    /// What all of them take.
    bytes: usize,
}

/// What a pool keeps, in bytes: the output of thirty connections with a hundred replies of 4 KiB each.
const POOLED_BYTES: usize = 16 << 20;
/// A buffer that grew beyond this is freed rather than kept, in bytes: the next one that takes it may need little.
const POOLED_BUFFER_BYTES: usize = 1 << 20;

impl Pool {
    /// Lends memory to an output that has none.
    pub(crate) fn lend(&mut self, output: &mut OutBuf) {
        if !output.owns_memory()
            && let Some(pooled) = self.outputs.pop()
        {
            self.bytes -= pooled.memory_bytes();
            *output = pooled;
        }
    }

    /// Takes the memory of an output back if it is empty and carries no mark for what comes next.
    pub(crate) fn reclaim_output(&mut self, output: &mut OutBuf) {
        if !output.is_spent() || !output.owns_memory() {
            return;
        }
        let mut taken = std::mem::take(output);
        taken.clear();
        if self.makes_room_for(taken.memory_bytes()) {
            self.outputs.push(taken);
        }
    }

    /// Memory for an input that has none.
    pub(super) fn lend_input(&mut self) -> Vec<u8> {
        let Some(pooled) = self.inputs.pop() else { return Vec::new() };
        self.bytes -= memory_bytes(&pooled);
        pooled
    }

    /// Takes the memory of an input back.
    pub(super) fn reclaim_input(&mut self, mut taken: Vec<u8>) {
        taken.clear();
        if self.makes_room_for(memory_bytes(&taken)) {
            self.inputs.push(taken);
        }
    }

    /// What idles here, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frees all that idles here: memory has become short.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether a buffer of so many bytes is kept; counts it if so.
    fn makes_room_for(&mut self, bytes: usize) -> bool {
        let room = bytes <= POOLED_BUFFER_BYTES.min(POOLED_BYTES - self.bytes);
        if room {
            self.bytes += bytes;
        }
        room
    }
}

/// What a buffer takes, in bytes; small ones are not free either.
fn memory_bytes(buffer: &Vec<u8>) -> usize {
    size_of::<Vec<u8>>() + buffer.capacity()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_are_freed_and_others_kept() {
        let mut pool = Pool::default();
        pool.reclaim_input(vec![0; 10]);
        assert_eq!((pool.inputs.len(), pool.lend_input().len(), pool.inputs.len()), (1, 0, 0));
        pool.reclaim_input(vec![0; POOLED_BUFFER_BYTES + 1]);
        assert_eq!((pool.inputs.len(), pool.bytes()), (0, 0));
    }

    #[test]
    fn what_idles_in_the_pool_is_bounded_by_its_bytes_and_lent_again() {
        let mut pool = Pool::default();
        let large = POOLED_BUFFER_BYTES / 2;
        for _ in 0..10 * POOLED_BYTES / large {
            let mut output = OutBuf::default();
            output.bytes = Vec::with_capacity(large);
            pool.reclaim_output(&mut output);
            pool.reclaim_input(Vec::with_capacity(large));
        }
        let kept = pool.outputs.iter().map(|buffer| buffer.bytes.capacity()).sum::<usize>()
            + pool.inputs.iter().map(Vec::capacity).sum::<usize>();
        assert!(kept <= POOLED_BYTES && kept > POOLED_BYTES / 10 * 9, "{kept} bytes idle");
        let (mut output, mut input) = (OutBuf::default(), Vec::new());
        while !pool.outputs.is_empty() {
            output = OutBuf::default();
            pool.lend(&mut output);
        }
        while !pool.inputs.is_empty() {
            input = pool.lend_input();
        }
        assert_eq!((output.bytes.capacity(), input.capacity(), pool.bytes), (large, large, 0));
    }
}
