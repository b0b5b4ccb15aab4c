//! One stripe: who holds it, and the queue of those who wait for it.
//!
//! Taking a free stripe and giving back one that nobody waits for is one compare-exchange. Everything else happens
//! under the lock of its queue, which is held for moments only: nobody who serves ever sleeps for a stripe.
//!
//! A stripe that is given back while others wait is **handed over** to the first of them (it is his before anybody else
//! could take it), or the first is **told** that it is free, and comes and takes it. Handing over is fair and slow: the
//! stripe rests until the new holder has woken up. Telling is fast and lets others pass who come meanwhile. So a stripe is handed over
//! unless that was done a moment ago ([`Pace`]): where stripes are held long, strictly first come, first served; where
//! they are held for microseconds, nobody is passed for longer than that moment, and no convoy forms.
//!
//! Invariant: while the queue's lock is free, a stripe that its first waiter could take is his already, or he was told since he
//! last found it taken.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, Weak};

use super::Access;
use super::sync::{AtomicU32, Mutex, MutexGuard, Ordering, Pace};
use super::waiter::{Handed, Waiter};

/// Held by one alone.
const ALONE: u32 = 1;
/// The queue is not empty. Changed under its lock only.
const WAITED: u32 = 2;
/// One of those who share it; the rest of the bits count them.
const SHARE: u32 = 4;

/// On a cache line of its own, so that neighbours do not slow each other.
#[repr(align(64))]
pub(super) struct Stripe {
    state: AtomicU32,
    queue: Mutex<Queue>,
}

/// Who waits, first come first.
#[derive(Default)]
pub(super) struct Queue {
    places: VecDeque<Place>,
    /// Those to whom it was handed and who may still wait for others of their stripes.
    handed: Vec<Weak<Waiter>>,
    pace: Pace,
}

struct Place {
    waiter: Arc<Waiter>,
    /// Told that the stripe is free, and has not found it taken since.
    told: bool,
}

/// What is to be done once no queue is locked.
pub(super) enum Task {
    /// Wake this one: it has all it waits for, or should look.
    Wake(Arc<Waiter>),
    /// This one was handed its first stripe: those of the others that are free are his as well.
    HandTheRest(Arc<Waiter>),
}

/// What a holder adds to the state.
fn weight(access: Access) -> u32 {
    match access {
        Access::Alone => ALONE,
        Access::Shared => SHARE,
    }
}

/// Whether a stripe in this state can be taken. `pass`: also by who shares it with others while somebody waits.
fn fits(access: Access, state: u32, pass: bool) -> bool {
    match access {
        Access::Alone => state & !WAITED == 0,
        Access::Shared => state & ALONE == 0 && (pass || state & WAITED == 0 || state < SHARE),
    }
}

impl Stripe {
    pub(super) fn new() -> Self {
        Self { state: AtomicU32::new(0), queue: Mutex::new(Queue::default()) }
    }

    /// Takes it if that is possible now.
    #[inline]
    pub(super) fn try_take(&self, access: Access, pass: bool) -> bool {
        let (free, taken) = (0, weight(access));
        self.state.compare_exchange(free, taken, Ordering::Acquire, Ordering::Relaxed).is_ok()
            || self.try_take_beside(access, pass)
    }

    /// As [`Stripe::try_take`], where others share it or wait.
    #[inline(never)]
    fn try_take_beside(&self, access: Access, pass: bool) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while fits(access, state, pass) {
            let taken = state + weight(access);
            match self.state.compare_exchange_weak(state, taken, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Gives it back if nobody waits for it, or others share it still. `false`: to be done under the lock, by
    /// [`Stripe::pass_on`].
    #[inline]
    pub(super) fn give_back(&self, access: Access) -> bool {
        let (taken, free) = (weight(access), 0);
        self.state.compare_exchange(taken, free, Ordering::Release, Ordering::Relaxed).is_ok()
            || self.give_back_beside(access)
    }

    /// As [`Stripe::give_back`], where others share it or wait.
    #[inline(never)]
    fn give_back_beside(&self, access: Access) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let left = state - weight(access);
            if left == WAITED {
                return false;
            }
            match self.state.compare_exchange_weak(state, left, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
    }

    /// Whether somebody waits for it.
    pub(super) fn is_waited_for(&self) -> bool {
        self.state.load(Ordering::Relaxed) & WAITED != 0
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that somebody is about to wait, and whether he must: it is still taken.
    pub(super) fn announce(&self, queue: &Queue, access: Access) -> bool {
        let before = self.state.fetch_or(WAITED, Ordering::Relaxed);
        !fits(access, before | WAITED, queue.is_empty())
    }

    /// Whether it could be taken now by one of those who wait.
    pub(super) fn is_takeable(&self, access: Access) -> bool {
        fits(access, self.state.load(Ordering::Relaxed), true)
    }

    /// Puts one at the end of the queue.
    pub(super) fn join(&self, queue: &mut Queue, waiter: &Arc<Waiter>, told: bool) {
        queue.places.push_back(Place { waiter: Arc::clone(waiter), told });
        self.state.fetch_or(WAITED, Ordering::Relaxed);
    }

    /// Gives back what is held as `held`, if anything is, and sees to whoever is first.
    pub(super) fn pass_on(&self, queue: &mut Queue, held: Option<Access>, tasks: &mut Vec<Task>) {
        // The next one has it before the last one is gone: nobody slips in between.
        let (mut held, mut shared) = (held, false);
        while let Some(first) = queue.places.front_mut() {
            let access = first.waiter.access;
            // Those who share follow each other.
            let follows = shared && access == Access::Shared;
            if !follows && !first.waiter.is_handed() && !queue.pace.is_due() {
                if (held.is_some() || self.is_takeable(access)) && !std::mem::replace(&mut first.told, true) {
                    tasks.push(Task::Wake(Arc::clone(&first.waiter)));
                }
                break;
            }
            match held {
                Some(mine) if self.exchange(mine, access) => held = None,
                None if self.try_take(access, true) => {}
                // Others share it still.
                _ => break,
            }
            queue.pace.note();
            shared = access == Access::Shared;
            if let Some(place) = queue.places.pop_front() {
                queue.note_handed(&place.waiter);
                match place.waiter.hand() {
                    Handed::All => tasks.push(Task::Wake(place.waiter)),
                    Handed::First => tasks.push(Task::HandTheRest(place.waiter)),
                    Handed::Another => {}
                }
            }
        }
        self.tidy(queue);
        if let Some(mine) = held {
            self.release(mine);
        }
    }

    /// One of the queue leaves it; `false`: he is not in it, the stripe was handed to him.
    pub(super) fn leave(&self, queue: &mut Queue, waiter: &Arc<Waiter>, tasks: &mut Vec<Task>) -> bool {
        let Some(at) = queue.find(waiter) else { return false };
        queue.places.remove(at);
        if at == 0 {
            self.pass_on(queue, None, tasks);
        }
        self.tidy(queue);
        true
    }

    /// Nobody waits any more: the next one need not look into the queue.
    pub(super) fn tidy(&self, queue: &Queue) {
        if queue.is_empty() {
            self.state.fetch_and(!WAITED, Ordering::Relaxed);
        }
    }

    /// Makes what is held as `mine` held as `theirs`. `false`: others share it, who have come meanwhile.
    fn exchange(&self, mine: Access, theirs: Access) -> bool {
        let (before, after) = (weight(mine) | WAITED, weight(theirs) | WAITED);
        mine == theirs
            || self.state.compare_exchange(before, after, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn release(&self, access: Access) {
        self.state.fetch_sub(weight(access), Ordering::Release);
    }
}

impl Queue {
    fn find(&self, waiter: &Arc<Waiter>) -> Option<usize> {
        self.places.iter().position(|place| Arc::ptr_eq(&place.waiter, waiter))
    }

    fn note_handed(&mut self, waiter: &Arc<Waiter>) {
        self.handed.retain(|handed| handed.strong_count() > 0);
        self.handed.push(Arc::downgrade(waiter));
    }

    /// Those whom this one waits for here: who came before him, and who has it while he waits for others.
    pub(super) fn before(&self, waiter: &Arc<Waiter>) -> Vec<Arc<Waiter>> {
        let Some(at) = self.find(waiter) else { return Vec::new() };
        let came = self.places.iter().take(at).map(|place| Arc::clone(&place.waiter));
        came.chain(self.handed.iter().filter_map(Weak::upgrade)).collect()
    }

    /// This one has found the stripe taken, and wants to be told again. `false`: it was handed to him meanwhile.
    pub(super) fn tell_again(&mut self, waiter: &Arc<Waiter>) -> bool {
        let at = self.find(waiter);
        if let Some(at) = at {
            self.places[at].told = false;
        }
        at.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}
