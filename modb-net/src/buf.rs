//! The buffers of one connection and the pool they come from. Pure.
//!
//! [`OutBuf`] carries the marks that hold replies back; the input buffer keeps what a session has not consumed.
//! Invariants: output leaves in the order in which it was written and never past a mark; a buffer grows
//! with the bytes that came, never from a length that a peer announced; an empty one owns no memory
//! beyond the turn, since it goes back to the worker's pool.

use std::collections::VecDeque;

use crate::seq::Seq;

/// The end of a buffer: what can be appended to it, and taken back again as far as it was appended here.
///
/// What was in the buffer before (and may be held back or partly sent) is out of reach.
#[derive(Debug)]
pub struct Tail<'a> {
    bytes: &'a mut Vec<u8>,
    /// The length of the buffer when this tail began.
    floor: usize,
}

/// A place in a [`Tail`], to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

impl<'a> Tail<'a> {
    /// Appends `bytes`.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends one byte.
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Makes room for so many bytes more.
    pub fn reserve(&mut self, additional: usize) {
        self.bytes.reserve(additional);
    }

    /// The end as it is now.
    pub fn mark(&self) -> Mark {
        Mark(self.bytes.len())
    }

    /// Takes back what was appended since `mark`.
    ///
    /// # Panics
    /// If `mark` lies before this tail began: what is there already is not this tail's.
    pub fn rewind(&mut self, mark: Mark) {
        assert!(mark.0 >= self.floor, "a mark of another tail");
        self.bytes.truncate(mark.0);
    }

    /// The bytes appended to this tail.
    pub fn appended(&self) -> &[u8] {
        &self.bytes[self.floor..]
    }

    /// The buffer and where this tail began, for code of this crate that appends only.
    pub(crate) fn into_parts(self) -> (&'a mut Vec<u8>, usize) {
        (self.bytes, self.floor)
    }
}

impl Extend<u8> for Tail<'_> {
    fn extend<T: IntoIterator<Item = u8>>(&mut self, bytes: T) {
        self.bytes.extend(bytes);
    }
}

/// A buffer of the caller's own has nothing that is out of reach.
impl<'a> From<&'a mut Vec<u8>> for Tail<'a> {
    fn from(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, floor: 0 }
    }
}

impl std::io::Write for Tail<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A sent prefix longer than this is removed once it is also half of the buffer, so that a slow reader
/// costs at most twice its unsent bytes and no more bytes are moved than were sent.
const COMPACT_BYTES: usize = 64 << 10;

/// Unsent output, and which commit each part of it waits for.
///
/// Positions are counted from the first byte ever written, so that sending does not move the marks.
#[derive(Debug, Default)]
pub(crate) struct OutBuf {
    bytes: Vec<u8>,
    /// `bytes[..sent]` were sent already.
    sent: usize,
    /// The position of `bytes[0]`.
    base: u64,
    /// (position, seq): bytes from `position` on wait for `seq`. Both ascend strictly.
    holds: VecDeque<(u64, Seq)>,
}

impl OutBuf {
    /// Where to append.
    pub(crate) fn tail(&mut self) -> Tail<'_> {
        let floor = self.bytes.len();
        Tail { bytes: &mut self.bytes, floor }
    }

    /// Bytes not yet sent.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether everything was sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whatever is appended from now on waits for `seq`.
    pub(crate) fn hold_until(&mut self, seq: Seq) {
        let position = self.end();
        match self.holds.back_mut() {
            Some((_, held)) if *held >= seq => {}
            // Nothing was written since the last mark: one mark is enough.
            Some((at, held)) if *at == position => *held = seq,
            _ => self.holds.push_back((position, seq)),
        }
    }

    /// Lifts the marks of all commits up to `seq`.
    pub(crate) fn release(&mut self, seq: Seq) {
        while self.holds.front().is_some_and(|&(_, held)| held <= seq) {
            self.holds.pop_front();
        }
    }

    /// What may leave now.
    pub(crate) fn sendable(&self) -> &[u8] {
        let end = self.holds.front().map_or(self.bytes.len(), |&(at, _)| (at - self.base) as usize);
        &self.bytes[self.sent..end]
    }

    /// Whether some of the output waits for a commit.
    pub(crate) fn is_held(&self) -> bool {
        self.holds.front().is_some_and(|&(at, _)| at < self.end())
    }

    /// The first `n` bytes of [`OutBuf::sendable`] were sent.
    ///
    /// # Panics
    /// If that is more than there were.
    pub(crate) fn advance(&mut self, n: usize) {
        assert!(n <= self.sendable().len(), "sent more than was released");
        self.sent += n;
        if self.sent == self.bytes.len() {
            self.base = self.end();
            self.bytes.clear();
            self.sent = 0;
        } else if self.sent >= COMPACT_BYTES && self.sent >= self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.base += self.sent as u64;
            self.sent = 0;
        }
    }

    /// Removes all output that waits for a commit after `seq`; `true` if there was a mark of one, be it
    /// that nothing was written behind it yet. Nothing may be appended after that.
    pub(crate) fn fail_after(&mut self, seq: Seq) -> bool {
        let Some(first) = self.holds.iter().position(|&(_, held)| held > seq) else { return false };
        let (at, _) = self.holds[first];
        self.holds.truncate(first);
        self.bytes.truncate((at - self.base) as usize);
        true
    }

    /// Removes all output.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.holds.clear();
        self.sent = 0;
        self.base = 0;
    }

    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Whether it holds an allocation.
    pub(crate) fn owns_memory(&self) -> bool {
        self.bytes.capacity() > 0 || self.holds.capacity() > 0
    }

    /// Heap memory it holds, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.holds.capacity() * size_of::<(u64, Seq)>()
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.heap_bytes()
    }
}

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
    pub(crate) fn append(&mut self, fresh: &[u8], wanted: usize, pool: &mut Pool) {
        self.wanted = wanted;
        if fresh.is_empty() {
            return;
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
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        self.bytes.extend_from_slice(fresh);
    }

    /// Whether it holds an allocation.
    pub(crate) fn owns_memory(&self) -> bool {
        self.bytes.capacity() > 0
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

/// An input beyond this, in bytes, grows by a quarter at a time rather than to twice: what is counted against the
/// budget of all connections is what was allocated.
const LARGE_BYTES: usize = 64 << 10;

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
        if !output.is_empty() || !output.holds.is_empty() || !output.owns_memory() {
            return;
        }
        let mut taken = std::mem::take(output);
        taken.clear();
        if self.makes_room_for(taken.memory_bytes()) {
            self.outputs.push(taken);
        }
    }

    /// Memory for an input that has none.
    fn lend_input(&mut self) -> Vec<u8> {
        let Some(pooled) = self.inputs.pop() else { return Vec::new() };
        self.bytes -= memory_bytes(&pooled);
        pooled
    }

    /// Takes the memory of an input back if it is empty.
    pub(crate) fn reclaim_input(&mut self, input: &mut InBuf) {
        if !input.is_empty() || !input.owns_memory() {
            return;
        }
        let taken = std::mem::take(&mut input.bytes);
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_behind_a_mark_wait_and_bytes_before_it_leave() {
        let mut out = OutBuf::default();
        out.tail().extend_from_slice(b"free");
        out.hold_until(Seq(3));
        out.tail().extend_from_slice(b"held");
        assert_eq!(out.sendable(), b"free");
        out.advance(4);
        assert_eq!(out.sendable(), b"");
        assert!(out.is_held());
        out.release(Seq(2));
        assert_eq!(out.sendable(), b"");
        out.release(Seq(3));
        assert_eq!(out.sendable(), b"held");
        out.advance(4);
        assert!(out.is_empty() && !out.is_held());
    }

    #[test]
    fn a_mark_survives_that_everything_before_it_was_sent() {
        let mut out = OutBuf::default();
        out.tail().extend_from_slice(b"a");
        out.advance(1);
        out.hold_until(Seq(1));
        assert!(!out.is_held(), "nothing is written behind it yet");
        out.tail().extend_from_slice(b"b");
        assert!(out.is_held());
        assert_eq!(out.sendable(), b"");
    }

    #[test]
    fn output_of_a_failed_commit_is_removed_and_what_was_before_it_stays() {
        let mut out = OutBuf::default();
        out.tail().extend_from_slice(b"a");
        out.hold_until(Seq(1));
        out.tail().extend_from_slice(b"b");
        out.hold_until(Seq(2));
        out.tail().extend_from_slice(b"c");
        assert!(out.fail_after(Seq(1)));
        out.release(Seq(1));
        assert_eq!(out.sendable(), b"ab");
        assert!(!out.fail_after(Seq(1)));
    }

    #[test]
    fn an_announced_length_allocates_nothing_ahead_of_the_bytes() {
        let mut pool = Pool::default();
        let mut input = InBuf::default();
        input.append(b"12345678", 512 << 20, &mut pool);
        assert!(input.bytes.capacity() <= 16);
        assert!(input.is_short());
    }

    #[test]
    fn empty_buffers_go_back_and_large_ones_are_freed() {
        let mut pool = Pool::default();
        let mut input = InBuf::default();
        input.append(b"x", 0, &mut pool);
        input.consume(1, 0);
        pool.reclaim_input(&mut input);
        assert_eq!((pool.inputs.len(), input.bytes.capacity()), (1, 0));
        input.append(&vec![0; POOLED_BUFFER_BYTES + 1], 0, &mut pool);
        assert_eq!(pool.inputs.len(), 0);
        input.consume(POOLED_BUFFER_BYTES + 1, 0);
        pool.reclaim_input(&mut input);
        assert_eq!((pool.inputs.len(), input.bytes.capacity()), (0, 0));
    }

    #[test]
    fn what_idles_in_the_pool_is_bounded_by_its_bytes_and_lent_again() {
        let mut pool = Pool::default();
        let emptied = |capacity: usize| OutBuf { bytes: Vec::with_capacity(capacity), ..OutBuf::default() };
        let large = POOLED_BUFFER_BYTES / 2;
        for _ in 0..10 * POOLED_BYTES / large {
            pool.reclaim_output(&mut emptied(large));
            pool.reclaim_input(&mut InBuf { bytes: Vec::with_capacity(large), ..InBuf::default() });
        }
        let kept = pool.outputs.iter().map(|buffer| buffer.bytes.capacity()).sum::<usize>()
            + pool.inputs.iter().map(Vec::capacity).sum::<usize>();
        assert!(kept <= POOLED_BYTES && kept > POOLED_BYTES / 10 * 9, "{kept} bytes idle");
        let (mut output, mut input) = (OutBuf::default(), InBuf::default());
        while !pool.outputs.is_empty() {
            output = OutBuf::default();
            pool.lend(&mut output);
        }
        while !pool.inputs.is_empty() {
            input = InBuf::default();
            input.append(b"x", 0, &mut pool);
        }
        assert_eq!((output.bytes.capacity(), input.bytes.capacity(), pool.bytes), (large, large, 0));
    }

    /// What a test does to an output.
    #[derive(Clone, Debug)]
    enum Step {
        Write(usize),
        Hold(u64),
        Release(u64),
        Send(usize),
        Fail(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1..50_000usize).prop_map(Step::Write),
            2 => (0..40u64).prop_map(Step::Hold),
            2 => (0..40u64).prop_map(Step::Release),
            3 => (0..90_000usize).prop_map(Step::Send),
            1 => (20..40u64).prop_map(Step::Fail),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Against a model in which each byte carries the highest commit it waits for.
        #[test]
        fn no_byte_leaves_before_its_commit_and_all_leave_in_order(
            steps in proptest::collection::vec(step(), 1..60)
        ) {
            let mut out = OutBuf::default();
            let mut model: VecDeque<(u8, u64)> = VecDeque::new();
            let (mut next, mut mark, mut released, mut failed) = (0u8, 0, 0, false);
            for step in steps {
                match step {
                    Step::Write(_) | Step::Hold(_) | Step::Fail(_) if failed => {}
                    Step::Write(n) => for _ in 0..n {
                        out.tail().push(next);
                        model.push_back((next, mark));
                        next = next.wrapping_add(1);
                    },
                    Step::Hold(seq) => { out.hold_until(Seq(seq)); mark = mark.max(seq); }
                    Step::Release(seq) => { out.release(Seq(seq)); released = released.max(seq); }
                    Step::Send(n) => {
                        let n = n.min(out.sendable().len());
                        let sent = out.sendable()[..n].to_vec();
                        out.advance(n);
                        for byte in sent {
                            prop_assert_eq!(model.pop_front().map(|(b, seq)| (b, seq <= released)), Some((byte, true)));
                        }
                    }
                    Step::Fail(seq) => {
                        let seq = seq.max(released);
                        prop_assert_eq!(out.fail_after(Seq(seq)), mark > seq);
                        failed |= mark > seq;
                        while model.back().is_some_and(|&(_, held)| held > seq) { model.pop_back(); }
                        mark = mark.min(seq);
                    }
                }
                // As the worker does before it sends: a mark may be set for what is released already.
                out.release(Seq(released));
                prop_assert_eq!(out.len(), model.len());
                let free = model.iter().take_while(|&&(_, seq)| seq <= released).count();
                prop_assert_eq!(out.sendable().len(), free);
                prop_assert_eq!(out.is_held(), free < model.len());
            }
        }
    }
}
