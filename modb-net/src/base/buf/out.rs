//! Unsent output, and the marks that hold parts of it back. Pure.
//!
//! Invariant: output leaves in the order in which it was written, and never past a mark that is not released.

use std::collections::VecDeque;
use std::time::Instant;

use crate::base::buf::tail::Tail;
use crate::base::seq::Seq;

/// A sent prefix longer than this is removed once it is also half of the buffer, so that a slow reader
/// costs at most twice its unsent bytes and no more bytes are moved than were sent.
const COMPACT_BYTES: usize = 64 << 10;

/// Unsent output, and which commit each part of it waits for.
///
/// Positions are counted from the first byte ever written, so that sending does not move the marks.
#[derive(Debug, Default)]
pub(crate) struct OutBuf {
    pub(super) bytes: Vec<u8>,
    /// `bytes[..sent]` were sent already.
    sent: usize,
    /// The position of `bytes[0]`.
    base: u64,
    /// Behind a pointer, since most connections never need it.
    rare: Option<Box<Rare>>,
}

/// What few outputs ever have.
#[derive(Debug, Default)]
struct Rare {
    /// (position, seq): bytes from `position` on wait for `seq`. Both ascend strictly.
    holds: VecDeque<(u64, Seq)>,
    /// Whoever writes was told that it is full, and is to be told when it no longer is.
    said_full: bool,
    /// Since when it has been more than it may be for long, and until when it may be.
    over: Option<(Instant, Instant)>,
}

impl OutBuf {
    /// Where to append.
    pub(crate) fn tail(&mut self) -> Tail<'_> {
        Tail::behind(&mut self.bytes)
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
        let holds = &mut self.rare.get_or_insert_default().holds;
        match holds.back_mut() {
            Some((_, held)) if *held >= seq => {}
            // Nothing was written since the last mark: one mark is enough.
            Some((at, held)) if *at == position => *held = seq,
            _ => holds.push_back((position, seq)),
        }
    }

    /// Lifts the marks of all commits up to `seq`.
    pub(crate) fn release(&mut self, seq: Seq) {
        let Some(Rare { holds, .. }) = self.rare.as_deref_mut() else { return };
        while holds.front().is_some_and(|&(_, held)| held <= seq) {
            holds.pop_front();
        }
    }

    /// What may leave now.
    pub(crate) fn sendable(&self) -> &[u8] {
        let end = self.first_hold().map_or(self.bytes.len(), |at| (at - self.base) as usize);
        &self.bytes[self.sent..end]
    }

    /// Whether some of the output waits for a commit.
    pub(crate) fn is_held(&self) -> bool {
        self.first_hold().is_some_and(|at| at < self.end())
    }

    /// Where the first mark is.
    fn first_hold(&self) -> Option<u64> {
        self.rare.as_ref()?.holds.front().map(|&(at, _)| at)
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
    /// that nothing was written behind it yet. After that only a last word may be appended.
    pub(crate) fn fail_after(&mut self, seq: Seq) -> bool {
        let Some(Rare { holds, .. }) = self.rare.as_deref_mut() else { return false };
        let Some(first) = holds.iter().position(|&(_, held)| held > seq) else { return false };
        let (at, _) = holds[first];
        holds.truncate(first);
        self.bytes.truncate((at - self.base) as usize);
        true
    }

    /// Removes all output.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        if let Some(rare) = &mut self.rare {
            rare.holds.clear();
            rare.said_full = false;
        }
        self.sent = 0;
        self.base = 0;
    }

    /// Whoever writes was told that it is full.
    #[cold]
    pub(crate) fn say_full(&mut self) {
        self.rare.get_or_insert_default().said_full = true;
    }

    /// Whether somebody was told that it is full, and not yet that it no longer is.
    pub(crate) fn said_full(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.said_full)
    }

    /// He is told now.
    pub(crate) fn say_drained(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.said_full = false;
        }
    }

    /// Since when it has been more than it may be for long.
    pub(crate) fn over_since(&self) -> Option<Instant> {
        self.rare.as_ref()?.over.map(|(since, _)| since)
    }

    /// Notes since when it has been more than it may be for long, and until when it may be. Answers until when it might
    /// have been before.
    pub(crate) fn set_over(&mut self, over: Option<(Instant, Instant)>) -> Option<Instant> {
        if over.is_none() && self.rare.is_none() {
            return None;
        }
        std::mem::replace(&mut self.rare.get_or_insert_default().over, over).map(|(_, until)| until)
    }

    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Whether nothing waits in it, and nothing that comes next would be held back by a mark that is still there.
    pub(super) fn is_spent(&self) -> bool {
        self.is_empty() && self.first_hold().is_none()
    }

    /// Whether it holds an allocation.
    pub(crate) fn owns_memory(&self) -> bool {
        self.bytes.capacity() > 0 || self.rare.is_some()
    }

    /// Heap memory it holds, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let rare = self
            .rare
            .as_ref()
            .map_or(0, |rare| size_of::<Rare>() + rare.holds.capacity() * size_of::<(u64, Seq)>());
        self.bytes.capacity() + rare
    }

    /// All that it takes, in bytes; small ones are not free either.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.heap_bytes()
    }
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
