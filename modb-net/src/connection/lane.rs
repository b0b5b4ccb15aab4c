//! Room for mail: how many bytes of messages may wait for one worker, and who waits until there is room for his.
//!
//! Whoever sends what must not be refused asks for room first, and does what he has to tell of only once he has it.
//! [`State`] is what a lock guards, pure, so that a model checker can put its own around it. Invariants: mail goes into a
//! lane that has room for all of it, or that is empty; room is given in the order of asking, so nobody is passed for
//! ever, the largest included; what was given counts, in the lane and in the budget, until its [`Room`] is dropped; whoever
//! waits is told, by the dropping that makes room or by the end of the worker.

#[cfg(test)]
mod model;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::connection::budget::Budget;

/// What a message takes in a lane beside what it holds, about.
const MESSAGE_BYTES: usize = 64;

/// What tells somebody that the room he waited for is there ([`crate::Messages::reserve`]).
pub type Tell = Box<dyn FnOnce() + Send>;

/// The room that mail to one worker has.
pub(crate) struct Lane {
    state: Mutex<State<Tell>>,
    budget: Arc<Budget>,
}

impl Lane {
    /// For mail of up to `limit` bytes at the same time.
    pub(crate) fn new(limit: usize, budget: Arc<Budget>) -> Self {
        Self { state: Mutex::new(State::new(limit)), budget }
    }

    /// Room for a message that holds so many bytes, or a place among those who wait for some.
    pub(crate) fn reserve(self: &Arc<Self>, worker: usize, bytes: usize, tell: &dyn Fn() -> Tell) -> Room {
        let bytes = bytes.saturating_add(MESSAGE_BYTES);
        let waits = self.change(|state, _| state.ask(bytes, tell));
        Room { lane: Some(Arc::clone(self)), worker, bytes, waits }
    }

    /// The worker has ended: nobody waits for it.
    pub(crate) fn close(&self) {
        self.change(State::close);
    }

    /// Changes the state, counts what that takes or gives back, and tells those who have room now.
    fn change<R>(&self, how: impl FnOnce(&mut State<Tell>, &mut Vec<Tell>) -> R) -> R {
        let mut told = Vec::new();
        let mut state = self.lock();
        let before = state.used;
        let done = how(&mut state, &mut told);
        let now = state.used;
        drop(state);
        self.budget.recount(before, now);
        told.into_iter().for_each(|tell| tell());
        done
    }

    fn lock(&self) -> MutexGuard<'_, State<Tell>> {
        // What runs under the lock is this file, and makes what tells; what a poisoned one guards is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("used", &self.lock().used).finish_non_exhaustive()
    }
}

/// Room for one message to a worker, or a place among those who wait for it ([`crate::Messages::reserve`]). Its drop gives it
/// back, or leaves the place.
#[derive(Debug)]
pub struct Room {
    /// `None`: of a worker that does not exist.
    lane: Option<Arc<Lane>>,
    worker: usize,
    bytes: usize,
    /// The number under which it waited, if it did not have it at once.
    waits: Option<u64>,
}

impl Room {
    /// Room at a worker that does not exist.
    pub(crate) fn nowhere(worker: usize) -> Self {
        Self { lane: None, worker, bytes: 0, waits: None }
    }

    /// Whether it is there. Once it is, it stays.
    pub fn is_there(&self) -> bool {
        let (Some(number), Some(lane)) = (self.waits, &self.lane) else { return true };
        !lane.lock().is_waiting(number)
    }

    /// The worker that it is at.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    /// So many bytes are counted for it.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whoever could not wait for it has it, more than there is.
    pub(crate) fn overdraw(&mut self) {
        if let (Some(number), Some(lane)) = (self.waits.take(), &self.lane) {
            let bytes = self.bytes;
            lane.change(|state, told| {
                if state.leave(number, told) {
                    state.used = state.used.saturating_add(bytes);
                }
            });
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let (waits, bytes) = (self.waits, self.bytes);
        if let Some(lane) = &self.lane {
            lane.change(|state, told| {
                if !waits.is_some_and(|number| state.leave(number, told)) {
                    state.give_back(bytes, told);
                }
            });
        }
    }
}

/// What the lock guards. `W`: what tells somebody who waits.
#[derive(Debug)]
struct State<W> {
    used: usize,
    limit: usize,
    open: bool,
    waiting: VecDeque<Wish<W>>,
    /// The number of the next who waits.
    next: u64,
}

#[derive(Debug)]
struct Wish<W> {
    number: u64,
    bytes: usize,
    tell: W,
}

impl<W> State<W> {
    fn new(limit: usize) -> Self {
        Self { used: 0, limit, open: true, waiting: VecDeque::new(), next: 0 }
    }

    /// Takes so many bytes. `Some`: there is no room, or others wait; the number of the place among them.
    fn ask(&mut self, bytes: usize, tell: impl FnOnce() -> W) -> Option<u64> {
        if self.waiting.is_empty() && self.fits(bytes) {
            self.used = self.used.saturating_add(bytes);
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.waiting.push_back(Wish { number, bytes, tell: tell() });
        Some(number)
    }

    fn is_waiting(&self, number: u64) -> bool {
        self.place(number).is_some()
    }

    /// Gives back what was taken.
    fn give_back(&mut self, bytes: usize, told: &mut Vec<W>) {
        self.used = self.used.saturating_sub(bytes);
        self.serve(told);
    }

    /// Leaves the place of this number. `false`: there is none any more, since there was room.
    fn leave(&mut self, number: u64, told: &mut Vec<W>) -> bool {
        let Some(at) = self.place(number) else { return false };
        self.waiting.remove(at);
        self.serve(told);
        true
    }

    /// Everybody has what he waits for: it will be refused.
    fn close(&mut self, told: &mut Vec<W>) {
        self.open = false;
        self.serve(told);
    }

    /// Those who were first have room now, if it is worth while to tell them.
    fn serve(&mut self, told: &mut Vec<W>) {
        if self.open && self.used > self.limit / 2 {
            return;
        }
        while let Some(first) = self.waiting.front()
            && self.fits(first.bytes)
            && let Some(Wish { bytes, tell, .. }) = self.waiting.pop_front()
        {
            self.used = self.used.saturating_add(bytes);
            told.push(tell);
        }
    }

    fn fits(&self, bytes: usize) -> bool {
        !self.open || self.used == 0 || self.used.saturating_add(bytes) <= self.limit
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&number, |wish| wish.number).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A lane of `limit` bytes for messages, and how often somebody was told.
    fn lane(limit: usize) -> (Arc<Lane>, Arc<Budget>, Arc<AtomicUsize>) {
        let budget = Arc::new(Budget::new(usize::MAX, []));
        (Arc::new(Lane::new(limit, Arc::clone(&budget))), budget, Arc::default())
    }

    fn reserve(lane: &Arc<Lane>, bytes: usize, told: &Arc<AtomicUsize>) -> Room {
        let tell = || {
            let told = Arc::clone(told);
            Box::new(move || {
                told.fetch_add(1, Ordering::Relaxed);
            }) as Tell
        };
        lane.reserve(0, bytes - MESSAGE_BYTES, &tell)
    }

    #[test]
    fn what_is_reserved_counts_until_it_is_dropped_and_nobody_passes_who_waits() {
        let (lane, budget, told) = lane(1000);
        let first = reserve(&lane, 600, &told);
        assert!(first.is_there());
        let large = reserve(&lane, 500, &told);
        let small = reserve(&lane, 100, &told);
        assert!(!large.is_there() && !small.is_there(), "the small one would fit, but comes later");
        assert_eq!(budget.used(), 600);
        drop(first);
        assert!(large.is_there() && small.is_there());
        assert_eq!((budget.used(), told.load(Ordering::Relaxed)), (600, 2));
        drop((large, small));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_larger_than_the_lane_goes_alone() {
        let (lane, budget, told) = lane(1000);
        let small = reserve(&lane, 100, &told);
        let large = reserve(&lane, 5000, &told);
        let next = reserve(&lane, 100, &told);
        assert!(!large.is_there());
        drop(small);
        assert!(large.is_there() && !next.is_there());
        assert_eq!(budget.used(), 5000);
        drop(large);
        assert!(next.is_there());
    }

    #[test]
    fn whoever_leaves_the_queue_makes_room_for_those_behind() {
        let (lane, budget, told) = lane(1000);
        let taken = reserve(&lane, 400, &told);
        let large = reserve(&lane, 5000, &told);
        let next = reserve(&lane, 100, &told);
        drop(large);
        assert!(next.is_there());
        drop((taken, next));
        assert_eq!(budget.used(), 0, "who waited in vain gives nothing back");
    }

    #[test]
    fn whoever_cannot_wait_overdraws_and_that_counts() {
        let (lane, budget, told) = lane(1000);
        let full = reserve(&lane, 1000, &told);
        let mut more = reserve(&lane, 500, &told);
        more.overdraw();
        assert!(more.is_there());
        assert_eq!(budget.used(), 1500);
        drop((full, more));
        assert_eq!((budget.used(), told.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn the_end_of_a_worker_ends_every_wait_for_room() {
        let (lane, _, told) = lane(1000);
        let full = reserve(&lane, 1000, &told);
        let waits = reserve(&lane, 1000, &told);
        lane.close();
        assert!(waits.is_there() && full.is_there());
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
