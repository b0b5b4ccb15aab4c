//! Which stripes belong together because of those who wait.
//!
//! Who waits for an element to move it elsewhere writes to another key as well. He is served by whoever brings the element, who
//! knows nothing of that key; and what comes there may serve the next one, so chains form. So whoever holds a stripe alone is
//! made to hold also what is needed by those who wait in it, and so on, before he reads anything: then there is
//! nothing that would have to be undone.
//!
//! Nobody begins to wait in a stripe while it is held, so what is found then is all. If it is not held yet, what is held is given
//! back, and everything is taken together; meanwhile others may have come, so it is looked at again, the third time with
//! everything held. While nobody waits so it costs one load.

use std::collections::BTreeSet;

use super::{Interests, Ordering, lock};
use crate::data::{Access, Data, Held, Need, Parker, Ticket, Wake};

/// So often the stripes are taken anew, before all of them are taken.
const GROWTHS: usize = 2;

impl Interests {
    /// Whether any of those who wait need more than the stripes of their keys.
    #[inline]
    pub(in crate::data) fn reach_further(&self) -> bool {
        // As `are_any`.
        self.0.reaching.load(Ordering::Relaxed) > 0
    }

    /// The stripes, and all that are needed by those who wait in them; none if that is no more.
    fn reach_of(&self, stripes: &[u16]) -> Option<BTreeSet<u16>> {
        let mut all: BTreeSet<u16> = stripes.iter().copied().collect();
        let mut looked_at = stripes.to_vec();
        while let Some(stripe) = looked_at.pop() {
            if let Some(in_stripe) = &*lock(&self.0.slots[usize::from(stripe)]) {
                looked_at.extend(in_stripe.reach.keys().copied().filter(|&other| all.insert(other)));
            }
        }
        (all.len() > stripes.len()).then_some(all)
    }
}

impl Data {
    /// Holds what is needed, if all of it is free soon.
    ///
    /// # Errors
    /// The need, with what belongs to it.
    #[inline(always)]
    pub fn try_hold(&self, need: Need) -> Result<Held<'_>, Need> {
        let held = self.stripes.try_hold(need)?;
        if self.interests.reach_further() { self.try_hold_reach(held) } else { Ok(held) }
    }

    #[cold]
    fn try_hold_reach<'d>(&'d self, mut held: Held<'d>) -> Result<Held<'d>, Need> {
        for growths in 1.. {
            match self.grown(held, growths) {
                Ok(held) => return Ok(held),
                Err(need) => held = self.stripes.try_hold(need)?,
            }
        }
        Ok(held)
    }

    /// What is held, if that is all; otherwise it is given back.
    fn grown<'d>(&'d self, held: Held<'d>, growths: usize) -> Result<Held<'d>, Need> {
        if !self.interests.reach_further() || held.access() == Access::Shared {
            return Ok(held);
        }
        let Some(all) = self.interests.reach_of(&held.stripes()) else { return Ok(held) };
        drop(held);
        Err(if growths > GROWTHS { Need::everything() } else { Need::these(all.into_iter().collect()) })
    }

    /// As [`Data::hold`], after [`Data::try_hold`].
    ///
    /// # Errors
    /// The place in the queues.
    #[cold]
    #[inline(never)]
    pub fn hold_or_queue(&self, need: Need, wake: &dyn Fn() -> Box<dyn Wake>) -> Result<Held<'_>, Ticket> {
        let held = self.stripes.hold_or_queue(need, wake())?;
        self.hold_reach(held, wake)
    }

    /// Holds what belongs to it as well.
    fn hold_reach<'d>(
        &'d self,
        mut held: Held<'d>,
        wake: &dyn Fn() -> Box<dyn Wake>,
    ) -> Result<Held<'d>, Ticket> {
        for growths in 1.. {
            match self.grown(held, growths) {
                Ok(held) => return Ok(held),
                Err(need) => {
                    held = match self.stripes.try_hold(need) {
                        Ok(held) => held,
                        Err(need) => self.stripes.hold_or_queue(need, wake())?,
                    }
                }
            }
        }
        Ok(held)
    }

    /// Holds what is needed, or queues for it; what `wake` makes is called when [`Data::hold_queued`] may succeed.
    ///
    /// # Errors
    /// The place in the queues.
    #[inline]
    pub fn hold(&self, need: Need, wake: &dyn Fn() -> Box<dyn Wake>) -> Result<Held<'_>, Ticket> {
        self.try_hold(need).or_else(|need| self.hold_or_queue(need, wake))
    }

    /// Holds what a ticket waits for, if it is there now. `wake`: as for [`Data::hold`], if it turns out to be more.
    ///
    /// # Errors
    /// The ticket, which keeps its place; or another one.
    pub fn hold_queued(&self, ticket: Ticket, wake: &dyn Fn() -> Box<dyn Wake>) -> Result<Held<'_>, Ticket> {
        let held = self.stripes.hold_queued(ticket)?;
        self.hold_reach(held, wake)
    }

    /// Holds what is needed, and sleeps until it is there: for threads that serve nobody.
    pub fn hold_sleeping(&self, need: Need) -> Held<'_> {
        let parker = Parker::default();
        let wake = || parker.waker();
        let mut held = self.hold(need, &wake);
        loop {
            match held {
                Ok(held) => return held,
                Err(ticket) => {
                    parker.wait();
                    held = self.hold_queued(ticket, &wake);
                }
            }
        }
    }
}
