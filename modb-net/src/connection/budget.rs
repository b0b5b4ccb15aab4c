//! The memory that all connections of a server hold together, and whose turn it is when it is short.
//!
//! Each connection has an [`Account`]: what of it is counted in the [`Budget`]. What is small always finds room. Whoever
//! holds or wants more than that takes a number (a [`Claim`]), and room is given in the order of the numbers: a claim may
//! grow if the budget has room and no older claim waits, and the oldest of all may always grow. So requests that began
//! first are read to their end while the others wait unread, one request or reply at a time may be larger than the whole
//! budget, and nobody waits for ever: the oldest claim ends, or is closed since it makes no progress
//! ([`crate::Limits::stall_timeout`]), or steps back where it may not be closed, and then another one is the oldest.
//!
//! Invariants: `used` is the sum of what all accounts have counted, since an account gives back what it counted when it
//! is dropped; a claim leaves the order when it is dropped; whoever waits is woken when room was made or the order changed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::limits::Limits;
use crate::system::notify::Waker;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Budget {
    /// `usize::MAX`: no bound.
    limit: AtomicUsize,
    used: AtomicUsize,
    /// Claims that wait; a copy of what `order` says, to be looked at without its lock.
    waiting: AtomicUsize,
    next: AtomicU64,
    /// All claims by their numbers: which worker has it, and how many bytes it waits for (0: it does not wait).
    order: Mutex<BTreeMap<u64, Wish>>,
    /// By worker: the largest connection that makes no progress, or will soon have made none for too long.
    stalled: Box<[AtomicUsize]>,
    wakers: Box<[Waker]>,
}

#[derive(Clone, Copy, Debug)]
struct Wish {
    worker: usize,
    bytes: usize,
}

/// What keeps the oldest who waits from going on, at one moment: both are of the same wish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing {
    /// So many bytes must be given back; none if nobody waits, or it is the oldest of all.
    pub(crate) bytes: usize,
    /// By claims below this number. What is larger than the whole budget waits until it is the oldest of all, however much those behind it
    /// give back.
    pub(crate) before: u64,
}

impl Budget {
    /// A budget of `limit` bytes for the workers that these wakers wake.
    pub(crate) fn new(limit: usize, wakers: impl IntoIterator<Item = Waker>) -> Self {
        let wakers: Box<[Waker]> = wakers.into_iter().collect();
        Self {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            order: Mutex::default(),
            stalled: wakers.iter().map(|_| AtomicUsize::new(0)).collect(),
            wakers,
        }
    }

    /// The bound, in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes the bound. Who holds memory keeps it.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        self.wake_waiting();
    }

    /// What is held now, in bytes.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether the whole is used: what is not small waits.
    pub(crate) fn is_short(&self) -> bool {
        self.used() >= self.limit()
    }

    /// Whether somebody waits for room.
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// What keeps the oldest who waits from going on.
    pub(crate) fn missing(&self) -> Missing {
        let order = self.lock();
        let Some((at, (&number, wish))) = order.iter().enumerate().find(|(_, (_, wish))| wish.bytes > 0)
        else {
            return Missing { bytes: 0, before: u64::MAX };
        };
        let lacks = self.used().saturating_add(wish.bytes).saturating_sub(self.limit());
        Missing {
            // The oldest of all always goes on.
            bytes: if at > 0 { lacks } else { 0 },
            before: if wish.bytes > self.limit() { number } else { u64::MAX },
        }
    }

    /// The largest stalled connection of `worker` holds so many bytes. Whether no other worker knows a larger one.
    pub(crate) fn is_largest_stalled(&self, worker: usize, bytes: usize) -> bool {
        self.stalled[worker].store(bytes, Ordering::Relaxed);
        let others = self.stalled.iter().enumerate().filter(|&(other, _)| other != worker);
        others.map(|(_, stalled)| stalled.load(Ordering::Relaxed)).max().is_none_or(|most| bytes >= most)
    }

    /// Counts `now` bytes where `before` were counted.
    pub(crate) fn recount(&self, before: usize, now: usize) {
        if now > before {
            self.used.fetch_add(now - before, Ordering::Relaxed);
        } else if now < before {
            self.used.fetch_sub(before - now, Ordering::Relaxed);
            if self.is_awaited() {
                self.wake_waiting();
            }
        }
    }

    fn claim(self: &Arc<Self>, worker: usize) -> Claim {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, Wish { worker, bytes: 0 });
        Claim { budget: Arc::clone(self), number }
    }

    /// Wakes the workers of those who wait: one of them may go on.
    fn wake_waiting(&self) {
        let order = self.lock();
        for worker in order.values().filter(|wish| wish.bytes > 0).map(|wish| wish.worker) {
            // Those of one worker coalesce. One that has ended has nobody who waits.
            let _ = self.wakers[worker].wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Wish>> {
        // No code that can panic runs under the lock, so what a poisoned one guards is whole.
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the order of those who hold or want much.
#[derive(Debug)]
struct Claim {
    budget: Arc<Budget>,
    number: u64,
}

impl Claim {
    /// Whether so many bytes more may be taken now. If not, the claim waits for them and for those `beside` them: what is counted of the
    /// same request already, and is given back while it waits.
    fn may_take(&self, bytes: usize, beside: usize) -> bool {
        let budget = &*self.budget;
        let mut order = budget.lock();
        let first = order.first_key_value().is_some_and(|(&number, _)| number == self.number);
        let may = first
            || (order.range(..self.number).all(|(_, wish)| wish.bytes == 0)
                && budget.used().saturating_add(bytes) <= budget.limit());
        let began = self.want(&mut order, if may { 0 } else { bytes.saturating_add(beside) });
        drop(order);
        if began {
            // Whoever holds much is to look now whether it makes progress.
            for waker in &budget.wakers {
                let _ = waker.wake();
            }
        }
        may
    }

    /// Writes down what it waits for. Whether it is the first that waits.
    fn want(&self, order: &mut BTreeMap<u64, Wish>, bytes: usize) -> bool {
        let Some(wish) = order.get_mut(&self.number) else { return false };
        let waiting = &self.budget.waiting;
        match (std::mem::replace(&mut wish.bytes, bytes) > 0, bytes > 0) {
            (false, true) => waiting.fetch_add(1, Ordering::Relaxed) == 0,
            (true, false) => {
                waiting.fetch_sub(1, Ordering::Relaxed);
                false
            }
            _ => false,
        }
    }

    fn move_to(&self, worker: usize) {
        if let Some(wish) = self.budget.lock().get_mut(&self.number) {
            wish.worker = worker;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut order = self.budget.lock();
        self.want(&mut order, 0);
        order.remove(&self.number);
        drop(order);
        if self.budget.is_awaited() {
            self.budget.wake_waiting();
        }
    }
}

/// What of one connection is counted, and its claim if it is large.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Arc<Budget>,
    counted: usize,
    large: Option<Box<Large>>,
}

/// A connection that holds or wants more than what is small.
#[derive(Debug)]
struct Large {
    claim: Claim,
    /// It was refused room, and is tried again when there may be some.
    waits_for: usize,
    /// Since when `moved` is counted.
    since: Instant,
    /// Bytes that came or went since then.
    moved: usize,
    /// Since when it was seen to rest on what it keeps, whatever comes and goes.
    kept_since: Option<Instant>,
}

impl Large {
    fn new(claim: Claim, now: Instant) -> Box<Self> {
        Box::new(Self { claim, waits_for: 0, since: now, moved: 0, kept_since: None })
    }
}

impl Account {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), counted: 0, large: None }
    }

    /// What is counted, in bytes.
    pub(crate) fn counted(&self) -> usize {
        self.counted
    }

    /// The connection holds so many bytes.
    pub(crate) fn recount(&mut self, bytes: usize) {
        if bytes != self.counted {
            self.budget.recount(self.counted, bytes);
            self.counted = bytes;
        }
    }

    /// It has nothing more to do: if it holds little, it gives its place in the order back.
    pub(crate) fn rest(&mut self) {
        if self.large.is_some() && self.counted <= Limits::SMALL_REQUEST_BYTES && !self.waits() {
            self.large = None;
        }
    }

    /// How many bytes of a request may be read, at most `wanted`, where `kept` are there already; 0: it must wait.
    pub(crate) fn may_read(&mut self, kept: usize, wanted: usize, worker: usize, now: Instant) -> usize {
        if self.has_plenty(wanted) {
            return wanted;
        }
        let small = Limits::SMALL_REQUEST_BYTES.saturating_sub(kept);
        if small > 0 {
            return wanted.min(small);
        }
        if self.ask(wanted, 0, worker, now) { wanted } else { 0 }
    }

    /// Counts a reply of so many bytes before it is made; `false`: it must wait, until there is room for it and for what is `beside` it:
    /// bytes that were granted to the same request, which are not held while it waits.
    pub(crate) fn reserve(&mut self, bytes: usize, beside: usize, worker: usize, now: Instant) -> bool {
        let granted = self.has_plenty(bytes) || self.ask(bytes, beside, worker, now);
        if granted {
            self.budget.recount(self.counted, self.counted + bytes);
            self.counted += bytes;
        }
        granted
    }

    /// Whether it waits for room.
    pub(crate) fn waits(&self) -> bool {
        self.large.as_ref().is_some_and(|large| large.waits_for > 0)
    }

    /// Whether it need not wait any longer; it then asks again when it takes something.
    pub(crate) fn try_again(&mut self) -> bool {
        let Some(large) = &mut self.large else { return true };
        if large.waits_for > 0 && large.claim.may_take(large.waits_for, 0) {
            large.waits_for = 0;
        }
        large.waits_for == 0
    }

    /// The place in the order of those who are large.
    pub(crate) fn number(&self) -> u64 {
        self.large.as_ref().map_or(u64::MAX, |large| large.claim.number)
    }

    /// So many bytes came or went.
    pub(crate) fn progress(&mut self, bytes: usize) {
        if let Some(large) = &mut self.large {
            large.moved = large.moved.saturating_add(bytes);
        }
    }

    /// From now on others wait for memory.
    pub(crate) fn watch(&mut self, now: Instant) {
        self.watch_progress(now);
        if let Some(large) = &mut self.large {
            large.kept_since = None;
        }
    }

    /// Progress is measured from now on.
    pub(crate) fn watch_progress(&mut self, now: Instant) {
        if let Some(large) = &mut self.large {
            (large.since, large.moved) = (now, 0);
        }
    }

    /// For how long it has made no progress, if it holds much and nobody here kept it from that. Where it `keeps` most of what it holds,
    /// what comes and goes is none.
    pub(crate) fn stalled_for(&mut self, now: Instant, keeps: bool) -> Duration {
        let Some(large) = &mut self.large else { return Duration::ZERO };
        if large.waits_for > 0 || large.moved >= Limits::SMALL_REQUEST_BYTES {
            (large.since, large.moved) = (now, 0);
        }
        if large.waits_for > 0 || !keeps {
            large.kept_since = None;
            return now.saturating_duration_since(large.since);
        }
        let kept_since = *large.kept_since.get_or_insert(now);
        now.saturating_duration_since(kept_since.min(large.since))
    }

    /// It gives its place in the order back, unless it waits for room: it makes no progress, and may hold what it holds for ever.
    pub(crate) fn step_back(&mut self) {
        if !self.waits() {
            self.large = None;
        }
    }

    /// Its connection goes to another worker.
    pub(crate) fn move_to(&self, worker: usize) {
        if let Some(large) = &self.large {
            large.claim.move_to(worker);
        }
    }

    fn has_plenty(&self, bytes: usize) -> bool {
        !self.budget.is_awaited() && self.budget.used().saturating_add(bytes) <= self.budget.limit()
    }

    fn ask(&mut self, bytes: usize, beside: usize, worker: usize, now: Instant) -> bool {
        let budget = &self.budget;
        let large = self.large.get_or_insert_with(|| Large::new(budget.claim(worker), now));
        let may = large.claim.may_take(bytes, beside);
        large.waits_for = if may { 0 } else { bytes.saturating_add(beside) };
        may
    }

    /// Takes a place in the order, if it has none: it has begun something large.
    pub(crate) fn begin_large(&mut self, worker: usize, now: Instant) {
        if self.large.is_none() && self.budget.limit() != usize::MAX {
            self.large = Some(Large::new(self.budget.claim(worker), now));
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.large = None;
        self.budget.recount(self.counted, 0);
    }
}
