//! Isolation: stripes chosen by the hash of the key (docs/ARCHITECTURE.md, "one rule"), and how one waits for them.
//!
//! A command says what it [`Need`]s and gets all of it at once, as [`Held`], or, if something is taken for longer than quick commands
//! hold it, nothing but a [`Ticket`]: a place in the queues of all its stripes. Whoever serves connections then does something else and
//! asks again when he is woken; whoever has a thread of his own sleeps ([`Parker`]).
//!
//! Invariants: nobody holds stripes while he waits for others, but for what was handed to him as the first in a queue
//! ([`ticket`]); a batch of several keys becomes visible only by [`Held::publish`], which marks its stripes meanwhile, so that
//! nobody sees half of it ([`marks`]). A stripe guards no data of its own; a panic while it is held leaves nothing half
//! done, because writes reach the store as one batch.

mod marks;
#[cfg(test)]
mod model;
mod parker;
mod stripe;
#[cfg(test)]
mod tests;
mod ticket;

use std::sync::Arc;

use marks::Marks;
pub use parker::Parker;
use ticket::Locks;
pub use ticket::{Ticket, Wake};

/// What the parts are made of, so that the model checker's can take its place (`model.rs`).
mod sync {
    pub(super) use std::hint::spin_loop as spin;
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard};
    use std::time::{Duration, Instant};

    /// Looks at a stripe that is taken, before one queues for it: a few microseconds, in which quick commands end.
    pub(super) const SPINS: u32 = 64;

    /// A stripe is not handed over twice within this time. It rests for some 50 µs each time.
    const HAND_OVER_INTERVAL: Duration = Duration::from_millis(1);

    /// When a stripe was last handed over.
    #[derive(Default)]
    pub(super) struct Pace(Option<Instant>);

    #[cfg(test)]
    thread_local! {
        /// What tests have in place of the clock.
        pub(super) static IS_DUE: std::cell::Cell<Option<bool>> = const { std::cell::Cell::new(None) };
    }

    impl Pace {
        pub(super) fn is_due(&self) -> bool {
            #[cfg(test)]
            if let Some(is_due) = IS_DUE.get() {
                return is_due;
            }
            self.0.is_none_or(|last| last.elapsed() >= HAND_OVER_INTERVAL)
        }

        pub(super) fn note(&mut self) {
            self.0 = Some(Instant::now());
        }
    }
}

/// How many stripes there are: few enough to take them all for `FLUSHALL` (some 10 µs), enough that two workers
/// rarely meet on one. A power of two.
const STRIPES: u16 = 1024;

/// How a stripe is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// By one who writes.
    Alone,
    /// Together with others who read.
    Shared,
}

/// The stripes that a command needs.
#[derive(Debug)]
pub struct Need {
    set: Set,
    access: Access,
}

/// Some of the stripes.
#[derive(Debug)]
enum Set {
    None,
    One(u16),
    /// Ascending.
    Many(Box<[u16]>),
    All,
}

impl Set {
    fn for_each(&self, f: impl FnMut(u16)) {
        match self {
            Self::None => {}
            Self::One(stripe) => std::iter::once(*stripe).for_each(f),
            Self::Many(stripes) => stripes.iter().copied().for_each(f),
            Self::All => (0..STRIPES).for_each(f),
        }
    }

    fn to_list(&self) -> Box<[u16]> {
        let mut list = Vec::new();
        self.for_each(|stripe| list.push(stripe));
        list.into()
    }
}

impl Need {
    /// For what neither reads nor writes keys, or reads one record of one.
    pub const NOTHING: Self = Self { set: Set::None, access: Access::Alone };
    /// For what changes whole databases.
    pub const EVERYTHING: Self = Self { set: Set::All, access: Access::Alone };

    /// For the key with this hash.
    pub(super) fn one(hash: u64) -> Self {
        Self { set: Set::One(index(hash)), access: Access::Alone }
    }

    /// For the keys with these hashes.
    pub(super) fn many(hashes: impl Iterator<Item = u64>) -> Self {
        let mut stripes: Vec<u16> = hashes.map(index).collect();
        stripes.sort_unstable();
        stripes.dedup();
        Self::of(stripes)
    }

    fn of(stripes: Vec<u16>) -> Self {
        let set = match stripes[..] {
            [] => Set::None,
            [one] => Set::One(one),
            _ => Set::Many(stripes.into()),
        };
        Self { set, access: Access::Alone }
    }

    /// The same, to be held together with others who read.
    #[must_use]
    pub fn shared(self) -> Self {
        Self { access: Access::Shared, ..self }
    }
}

/// All stripes of a database, and their marks.
pub(super) struct Stripes {
    locks: Arc<Locks>,
    marks: Marks,
}

/// Stripes that are held until this is dropped.
pub struct Held<'a> {
    stripes: &'a Stripes,
    need: Need,
}

/// Stripes that are held until this is dropped, by whoever has it: a command that takes long, and has nothing to make visible.
pub struct Kept {
    locks: Arc<Locks>,
    need: Need,
}

impl Default for Stripes {
    fn default() -> Self {
        Self { locks: Arc::new(Locks::new(STRIPES.into())), marks: Marks::new(STRIPES.into()) }
    }
}

impl Stripes {
    /// Takes what is needed, if all of it is free soon.
    ///
    /// # Errors
    /// The need.
    #[inline]
    pub(super) fn try_hold(&self, need: Need) -> Result<Held<'_>, Need> {
        let taken = match &need.set {
            Set::None => true,
            Set::One(stripe) => self.locks.take_one(*stripe, need.access),
            Set::Many(stripes) => self.locks.take_all(stripes.iter().copied(), need.access),
            Set::All => self.locks.take_all(0..STRIPES, need.access),
        };
        if taken { Ok(Held { stripes: self, need }) } else { Err(need) }
    }

    /// Takes what is needed, or queues for it; `wake` is called when [`Stripes::hold_queued`] may succeed.
    ///
    /// # Errors
    /// The place in the queues.
    #[inline]
    pub(super) fn hold(&self, need: Need, wake: impl FnOnce() -> Box<dyn Wake>) -> Result<Held<'_>, Ticket> {
        self.try_hold(need).or_else(|need| self.hold_or_queue(need, wake()))
    }

    #[cold]
    fn hold_or_queue(&self, need: Need, wake: Box<dyn Wake>) -> Result<Held<'_>, Ticket> {
        self.locks.take_or_join(need.set.to_list(), need.access, wake)?;
        Ok(Held { stripes: self, need })
    }

    /// Takes what a ticket waits for, if it is there now.
    ///
    /// # Errors
    /// The ticket, which keeps its place.
    pub(super) fn hold_queued(&self, ticket: Ticket) -> Result<Held<'_>, Ticket> {
        let (taken, access) = ticket.take()?;
        let need = Need { access, ..Need::of(taken.into()) };
        Ok(Held { stripes: self, need })
    }

    /// Takes what is needed, and sleeps until it is there: for threads that serve nobody.
    pub(super) fn hold_sleeping(&self, need: Need) -> Held<'_> {
        let parker = Parker::default();
        let mut held = self.hold(need, || parker.waker());
        loop {
            match held {
                Ok(held) => return held,
                Err(ticket) => {
                    parker.wait();
                    held = self.hold_queued(ticket);
                }
            }
        }
    }

    /// Whether a batch is becoming visible in the stripe of a key, which is held by its writer then: so by nobody who asks.
    #[inline]
    pub(super) fn is_marked(&self, hash: u64) -> bool {
        self.marks.is_set(index(hash).into())
    }

    /// The stripes where batches are becoming visible: whoever has had them finds all of these whole.
    pub(super) fn marked(&self) -> Need {
        Need::of(self.marks.all_set().map(|stripe| stripe as u16).collect()).shared()
    }
}

impl Held<'_> {
    /// Has `apply` make a batch visible. `several`: it changes more than one key, or what a database is, so that
    /// nobody may see a part of it.
    pub(super) fn publish<R>(&self, several: bool, apply: impl FnOnce() -> R) -> R {
        if !several {
            return apply();
        }
        debug_assert_eq!(self.need.access, Access::Alone, "who shares stripes writes nothing");
        let marks = &self.stripes.marks;
        match &self.need.set {
            Set::None => apply(),
            Set::One(stripe) => marks.publish(std::iter::once(usize::from(*stripe)), apply),
            Set::Many(stripes) => marks.publish(stripes.iter().map(|&stripe| stripe.into()), apply),
            Set::All => marks.publish(0..STRIPES.into(), apply),
        }
    }

    /// What has to be held in order to have the stripe of that key, too. This is given back.
    pub(super) fn and(self, hash: u64) -> Need {
        let access = self.need.access;
        let mut stripes = self.need.set.to_list().into_vec();
        stripes.push(index(hash));
        stripes.sort_unstable();
        stripes.dedup();
        Need { access, ..Need::of(stripes) }
    }

    /// Holds nothing any more.
    #[must_use]
    pub fn give_back(self) -> Self {
        Self { stripes: self.stripes, need: Need::NOTHING }
    }

    /// Lets another thread hold it on.
    pub fn keep(mut self) -> Kept {
        Kept {
            locks: Arc::clone(&self.stripes.locks),
            need: std::mem::replace(&mut self.need, Need::NOTHING),
        }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.need.set, Set::None) {
            self.need.give_back(&self.stripes.locks);
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.need.give_back(&self.locks);
    }
}

impl Need {
    fn give_back(&self, locks: &Locks) {
        self.set.for_each(|stripe| locks.give_back(stripe, self.access));
    }
}

/// By the lowest bits: engines shard by the highest.
#[inline]
fn index(hash: u64) -> u16 {
    hash as u16 & (STRIPES - 1)
}
