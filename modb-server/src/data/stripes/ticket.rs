//! Waiting for stripes: a place in the queues of all of them at once.
//!
//! Invariants: whoever waits holds nothing, but for what was handed to him as the first in a queue; all queues of one
//! command are joined under all their locks, so two commands stand in one order in every queue they share, and no two can wait for
//! each other; a ticket that is dropped leaves all queues and gives back what was handed to it, so nobody waits behind
//! a connection that is gone.

use std::collections::HashSet;
use std::sync::Arc;

use super::Access;
use super::stripe::{Queue, Stripe, Task};
use super::sync::{MutexGuard, Patience};
use super::waiter::{Waiter, Wake};

/// All stripes.
#[derive(Clone)]
pub(super) struct Locks(Arc<[Stripe]>);

impl Locks {
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Stripe::new()).collect())
    }

    /// Has the processor fetch a stripe that will be wanted.
    pub(super) fn fetch(&self, stripe: u16) {
        crate::sys::prefetch(&self.0[usize::from(stripe)], usize::MAX);
    }

    /// Takes one stripe, if it is free soon.
    #[inline]
    pub(super) fn take_one(&self, stripe: u16, access: Access) -> bool {
        let stripe = &self.0[usize::from(stripe)];
        stripe.try_take(access, false) || take_soon(stripe, access, false)
    }

    /// Takes these stripes, which ascend, if all are free soon. Otherwise none is taken.
    pub(super) fn take_all(&self, stripes: impl Iterator<Item = u16> + Clone, access: Access) -> bool {
        let taken = stripes.clone().take_while(|&stripe| self.take_one(stripe, access)).count();
        let all = taken == stripes.clone().count();
        if !all {
            stripes.take(taken).for_each(|stripe| self.give_back(stripe, access));
        }
        all
    }

    #[inline]
    pub(super) fn give_back(&self, stripe: u16, access: Access) {
        if !self.0[usize::from(stripe)].give_back(access) {
            self.pass_on(stripe, access);
        }
    }

    #[cold]
    fn pass_on(&self, stripe: u16, access: Access) {
        let mut tasks = Vec::new();
        let stripe = &self.0[usize::from(stripe)];
        stripe.pass_on(&mut stripe.queue(), Some(access), &mut tasks);
        self.perform(tasks);
    }

    /// No queue is locked.
    fn perform(&self, mut tasks: Vec<Task>) {
        while let Some(task) = tasks.pop() {
            match task {
                Task::Wake(waiter) => waiter.wake(),
                Task::HandTheRest(waiter) => {
                    for &stripe in waiter.stripes() {
                        let stripe = &self.0[usize::from(stripe)];
                        stripe.pass_on(&mut stripe.queue(), None, &mut tasks);
                    }
                }
            }
        }
    }

    /// Takes these stripes, which ascend, or joins their queues: `wake` is called when [`Ticket::take`] may succeed.
    ///
    /// # Errors
    /// The ticket.
    pub(super) fn take_or_join(
        &self,
        stripes: Box<[u16]>,
        access: Access,
        wake: Box<dyn Wake>,
    ) -> Result<(), Ticket> {
        let wanted: Vec<&Stripe> = stripes.iter().map(|&stripe| &self.0[usize::from(stripe)]).collect();
        let mut queues: Vec<MutexGuard<'_, Queue>> = wanted.iter().map(|stripe| stripe.queue()).collect();
        let mut pairs = wanted.iter().zip(&queues).enumerate();
        let taken_one = pairs.find(|(_, (stripe, queue))| {
            // Whoever has it looks into the queue when he gives it back, from the announcement on.
            while !stripe.try_take(access, queue.is_empty()) {
                if stripe.announce(queue, access) {
                    return true;
                }
            }
            false
        });
        let Some(blocked) = taken_one.map(|(at, _)| at) else {
            wanted.iter().zip(&queues).for_each(|(stripe, queue)| stripe.tidy(queue));
            return Ok(());
        };
        let mut tasks = Vec::new();
        let waiter = Arc::new(Waiter::new(access, stripes, wake));
        for (at, (stripe, queue)) in wanted.iter().zip(&mut queues).enumerate() {
            if at < blocked {
                stripe.pass_on(queue, Some(access), &mut tasks);
            }
            // The one that is taken is the one to hear of.
            stripe.join(queue, &waiter, at != blocked);
        }
        drop(queues);
        self.perform(tasks);
        Err(Ticket { locks: self.clone(), waiter, waits: true })
    }

    #[cfg(test)]
    pub(super) fn is_taken(&self, stripe: u16) -> bool {
        !self.0[usize::from(stripe)].is_takeable(Access::Alone)
    }

    /// Whether nobody holds a stripe or waits for it.
    #[cfg(test)]
    pub(super) fn is_idle(&self, stripe: u16) -> bool {
        let stripe = &self.0[usize::from(stripe)];
        stripe.is_takeable(Access::Alone) && stripe.queue().is_empty()
    }
}

/// The place of one command in the queues of its stripes.
pub struct Ticket {
    locks: Locks,
    waiter: Arc<Waiter>,
    /// It is in queues, or was handed what it has not taken.
    waits: bool,
}

impl Ticket {
    /// Whatever must be given back before its turn comes: the stripes that it wants itself, and those of all who stand before it in
    /// any queue, and before these, and so on. Looks into many queues, one at a time: for those who have waited long.
    pub fn waits_for(&self) -> HashSet<u16> {
        let mut waiters = vec![Arc::clone(&self.waiter)];
        let mut known = HashSet::from([Arc::as_ptr(&self.waiter)]);
        let mut stripes = HashSet::new();
        while let Some(waiter) = waiters.pop() {
            for &at in waiter.stripes() {
                stripes.insert(at);
                let before = self.locks.0[usize::from(at)].queue().before(&waiter);
                waiters.extend(before.into_iter().filter(|other| known.insert(Arc::as_ptr(other))));
            }
        }
        stripes
    }

    /// The stripes, and how they are held, if they can be had now: they are the caller's then, who gives them back.
    ///
    /// # Errors
    /// The ticket, which keeps its place.
    pub(super) fn take(mut self) -> Result<(Box<[u16]>, Access), Self> {
        if !self.waiter.is_handed() && self.take_told() {
            self.waits = false;
            self.leave();
        } else if self.waiter.has_all() {
            self.waits = false;
        } else {
            return Err(self);
        }
        Ok((self.waiter.stripes().into(), self.waiter.access))
    }

    /// Takes all of them as one who was told that they are free.
    fn take_told(&self) -> bool {
        let Self { locks, waiter, .. } = self;
        let access = waiter.access;
        loop {
            let stripe_at = |at: u16| &locks.0[usize::from(at)];
            let taken =
                waiter.stripes().iter().take_while(|&&at| take_soon(stripe_at(at), access, true)).count();
            let Some(&blocked) = waiter.stripes().get(taken) else { return true };
            waiter.stripes()[..taken].iter().for_each(|&at| locks.give_back(at, access));
            // Under the lock: whoever gives it back tells after this, or it is free already.
            let mut queue = stripe_at(blocked).queue();
            let in_queue = queue.tell_again(waiter);
            if !(in_queue && stripe_at(blocked).is_takeable(access)) {
                return false;
            }
        }
    }

    /// Leaves the queues, and gives back what was handed to it. (If it has taken all itself, something that it shares may have
    /// been handed to it meanwhile: then it has that twice.)
    fn leave(&self) {
        let mut tasks = Vec::new();
        for &at in self.waiter.stripes() {
            let stripe = &self.locks.0[usize::from(at)];
            if !stripe.leave(&mut stripe.queue(), &self.waiter, &mut tasks) {
                self.locks.give_back(at, self.waiter.access);
            }
        }
        self.locks.perform(tasks);
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ticket").field(&self.waiter.stripes()).finish()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.waits {
            self.leave();
        }
    }
}

/// Takes a stripe if it is given back within the time that quick commands need.
#[cold]
#[inline(never)]
fn take_soon(stripe: &Stripe, access: Access, pass: bool) -> bool {
    let mut patience = Patience::new(stripe.is_waited_for());
    while !stripe.try_take(access, pass) {
        if !patience.lasts() {
            return false;
        }
    }
    true
}
