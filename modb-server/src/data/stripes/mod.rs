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
mod waiter;

use marks::Marks;
pub use parker::Parker;
use ticket::Locks;
pub use ticket::Ticket;
pub use waiter::Wake;

/// What the parts are made of, so that the model checker's can take its place (`model.rs`).
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard};
    use std::time::{Duration, Instant};

    const LOOKS: u32 = 64;
    const YIELDS: u32 = 8;

    /// How long one looks at a stripe that is taken, before he queues for it: a few microseconds, in which quick commands
    /// end. Then whoever runs such a command may have been interrupted by the system, so he is let go on.
    pub(super) struct Patience {
        looks: u32,
        yields: u32,
    }

    impl Patience {
        /// Where others wait already, letting go on has not helped.
        pub(super) fn new(others_wait: bool) -> Self {
            Self { looks: LOOKS, yields: if others_wait { 0 } else { YIELDS } }
        }

        /// `false`: it is at its end. Otherwise some time has passed.
        pub(super) fn lasts(&mut self) -> bool {
            if self.looks > 0 {
                self.looks -= 1;
                std::hint::spin_loop();
                return true;
            }
            if self.yields > 0 {
                self.yields -= 1;
                std::thread::yield_now();
                return true;
            }
            false
        }
    }

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
pub(super) const STRIPES: u16 = 1024;

/// How a stripe is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// By one who writes.
    Alone,
    /// Together with others who read.
    Shared,
}

/// What a view of the data could not go on without.
#[derive(Clone, Copy, Debug)]
pub enum Missed {
    /// The key of this hash, while a batch becomes visible in its stripe.
    One(u64),
    /// Keys whose names are not among the arguments, of which every stripe may be one's.
    All,
    /// More time than whoever serves others may take.
    Time,
    /// Room for so many bytes of large values, which are not read before there is.
    Room(usize),
}

/// The stripes that a command needs. Most need one, or none: that costs no memory.
#[derive(Debug)]
pub struct Need(Set);

#[derive(Debug)]
enum Set {
    Nothing,
    /// That of the key with this hash, held alone.
    Key(u64),
    /// Held alone.
    One(u16),
    Several(Box<Several>),
}

/// Stripes, ascending, and how they are held.
#[derive(Debug)]
struct Several {
    stripes: Range,
    access: Access,
}

#[derive(Debug)]
enum Range {
    These(Box<[u16]>),
    All,
}

impl Several {
    fn for_each(&self, f: impl FnMut(u16)) {
        match &self.stripes {
            Range::These(stripes) => stripes.iter().copied().for_each(f),
            Range::All => (0..STRIPES).for_each(f),
        }
    }

    #[inline(never)]
    fn take(&self, locks: &Locks) -> bool {
        match &self.stripes {
            Range::These(stripes) => locks.take_all(stripes.iter().copied(), self.access),
            Range::All => locks.take_all(0..STRIPES, self.access),
        }
    }

    #[inline(never)]
    fn give_back(&self, locks: &Locks) {
        self.for_each(|stripe| locks.give_back(stripe, self.access));
    }
}

impl Need {
    /// For what neither reads nor writes keys, or reads one record of one.
    pub const NOTHING: Self = Self(Set::Nothing);

    /// For what changes whole databases.
    pub fn everything() -> Self {
        Self(Set::Several(Box::new(Several { stripes: Range::All, access: Access::Alone })))
    }

    /// For the key with this hash.
    #[inline]
    pub(super) fn one(hash: u64) -> Self {
        Self(Set::Key(hash))
    }

    /// For the keys with these hashes.
    pub(super) fn many(hashes: impl Iterator<Item = u64>) -> Self {
        let mut stripes: Vec<u16> = hashes.map(index).collect();
        stripes.sort_unstable();
        stripes.dedup();
        Self::of(stripes.into(), Access::Alone)
    }

    /// `stripes` ascend.
    fn of(stripes: Box<[u16]>, access: Access) -> Self {
        match (&stripes[..], access) {
            ([], _) => Self::NOTHING,
            (&[one], Access::Alone) => Self(Set::One(one)),
            _ => Self(Set::Several(Box::new(Several { stripes: Range::These(stripes), access }))),
        }
    }

    /// For these stripes, which ascend.
    pub(super) fn these(stripes: Box<[u16]>) -> Self {
        Self::of(stripes, Access::Alone)
    }

    /// The same, to be held together with others who read.
    #[must_use]
    pub fn shared(self) -> Self {
        Self::of(self.to_list(), Access::Shared)
    }

    fn access(&self) -> Access {
        match &self.0 {
            Set::Nothing | Set::Key(_) | Set::One(_) => Access::Alone,
            Set::Several(several) => several.access,
        }
    }

    /// The stripes, ascending.
    pub fn to_list(&self) -> Box<[u16]> {
        let mut list = Vec::new();
        match &self.0 {
            Set::Nothing => {}
            Set::Key(hash) => list.push(index(*hash)),
            Set::One(stripe) => list.push(*stripe),
            Set::Several(several) => several.for_each(|stripe| list.push(stripe)),
        }
        list.into()
    }

    #[inline]
    fn take(&self, locks: &Locks) -> bool {
        let stripe = match &self.0 {
            Set::Nothing => return true,
            Set::Several(several) => return several.take(locks),
            Set::Key(hash) => index(*hash),
            Set::One(stripe) => *stripe,
        };
        locks.take_one(stripe, Access::Alone)
    }

    #[inline]
    fn give_back(&self, locks: &Locks) {
        let stripe = match &self.0 {
            Set::Nothing => return,
            Set::Several(several) => return several.give_back(locks),
            Set::Key(hash) => index(*hash),
            Set::One(stripe) => *stripe,
        };
        locks.give_back(stripe, Access::Alone);
    }
}

/// The stripes that several commands need together, in a place of the same size however many they are, if they are more than
/// one.
#[derive(Clone, Debug, Default)]
pub struct Union(Members);

#[derive(Clone, Debug, Default)]
enum Members {
    #[default]
    None,
    One(u16),
    /// A bit for each stripe.
    Several(Box<[u64; STRIPES as usize / u64::BITS as usize]>),
}

impl Union {
    /// What it takes, in bytes.
    pub const BYTES: usize = STRIPES as usize / 8;

    /// Also the stripe of the key with this hash.
    pub(super) fn add(&mut self, hash: u64) {
        self.add_stripe(index(hash));
    }

    fn add_stripe(&mut self, stripe: u16) {
        match &mut self.0 {
            Members::None => self.0 = Members::One(stripe),
            Members::One(other) if *other == stripe => {}
            Members::One(other) => {
                let other = *other;
                self.0 = Members::Several(Box::new([0; _]));
                self.add_stripe(other);
                self.add_stripe(stripe);
            }
            Members::Several(words) => words[usize::from(stripe) / 64] |= 1 << (stripe % 64),
        }
    }

    /// Also what the other needs.
    pub fn add_all(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, Members::None) => {}
            (_, Members::One(stripe)) => self.add_stripe(*stripe),
            (Members::Several(mine), Members::Several(its)) => {
                mine.iter_mut().zip(&**its).for_each(|(mine, its)| *mine |= its);
            }
            (Members::None | Members::One(_), Members::Several(_)) => {
                let mine = std::mem::replace(self, other.clone());
                self.add_all(&mine);
            }
        }
    }

    /// All of them, to be held alone.
    pub fn need(&self) -> Need {
        let words = match &self.0 {
            Members::None => return Need::NOTHING,
            Members::One(stripe) => return Need(Set::One(*stripe)),
            Members::Several(words) => words,
        };
        let mut stripes = Vec::with_capacity(words.iter().map(|word| word.count_ones() as usize).sum());
        for (first, &word) in (0..).step_by(64).zip(&**words) {
            let mut left = word;
            while left != 0 {
                stripes.push(first + left.trailing_zeros() as u16);
                left &= left - 1;
            }
        }
        Need::of(stripes.into(), Access::Alone)
    }
}

/// All stripes of a database, and their marks.
pub(super) struct Stripes {
    locks: Locks,
    marks: Marks,
}

/// Stripes that are held until this is dropped.
pub struct Held<'a> {
    stripes: &'a Stripes,
    need: Need,
}

/// Stripes that are held until this is dropped, by whoever has it: a command that takes long, and has nothing to make visible.
pub struct Kept {
    locks: Locks,
    need: Need,
}

impl Default for Stripes {
    fn default() -> Self {
        Self { locks: Locks::new(STRIPES.into()), marks: Marks::new(STRIPES.into()) }
    }
}

impl Stripes {
    /// Has the processor fetch the stripe of a key that will be wanted.
    pub(super) fn fetch(&self, hash: u64) {
        self.locks.fetch(index(hash));
    }

    /// Takes what is needed, if all of it is free soon.
    ///
    /// # Errors
    /// The need.
    #[inline(always)]
    pub(super) fn try_hold(&self, need: Need) -> Result<Held<'_>, Need> {
        if need.take(&self.locks) { Ok(Held { stripes: self, need }) } else { Err(need) }
    }

    /// As [`Stripes::try_hold`], or as [`Stripes::hold_or_queue`].
    #[cfg(test)]
    fn hold(&self, need: Need, wake: impl FnOnce() -> Box<dyn Wake>) -> Result<Held<'_>, Ticket> {
        self.try_hold(need).or_else(|need| self.hold_or_queue(need, wake()))
    }

    /// As [`Stripes::hold`], asleep until it is there.
    #[cfg(test)]
    fn hold_sleeping(&self, need: Need) -> Held<'_> {
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

    /// As [`Stripes::try_hold`], or queues for it; `wake` is called when [`Stripes::hold_queued`] may succeed.
    #[cold]
    #[inline(never)]
    pub(super) fn hold_or_queue(&self, need: Need, wake: Box<dyn Wake>) -> Result<Held<'_>, Ticket> {
        self.locks.take_or_join(need.to_list(), need.access(), wake)?;
        Ok(Held { stripes: self, need })
    }

    /// Takes what a ticket waits for, if it is there now.
    ///
    /// # Errors
    /// The ticket, which keeps its place.
    pub(super) fn hold_queued(&self, ticket: Ticket) -> Result<Held<'_>, Ticket> {
        let (taken, access) = ticket.take()?;
        Ok(Held { stripes: self, need: Need::of(taken, access) })
    }

    /// Whether a batch is becoming visible in the stripe of a key, which is held by its writer then: so by nobody who asks.
    #[inline]
    pub(super) fn is_marked(&self, hash: u64) -> bool {
        self.marks.is_set(index(hash).into())
    }

    /// The stripes where batches are becoming visible: whoever has had them finds all of these whole.
    pub(super) fn marked(&self) -> Need {
        Need::of(self.marks.all_set().map(|stripe| stripe as u16).collect(), Access::Shared)
    }
}

impl Held<'_> {
    /// Has `apply` make a batch visible. `several`: it changes more than one key, or what a database is, so that
    /// nobody may see a part of it.
    pub(super) fn publish<R>(&self, several: bool, apply: impl FnOnce() -> R) -> R {
        if !several {
            return apply();
        }
        debug_assert_eq!(self.need.access(), Access::Alone, "who shares stripes writes nothing");
        let marks = &self.stripes.marks;
        match &self.need.0 {
            Set::Nothing => apply(),
            Set::Key(hash) => marks.publish(std::iter::once(index(*hash).into()), apply),
            Set::One(stripe) => marks.publish(std::iter::once(usize::from(*stripe)), apply),
            Set::Several(several) => match &several.stripes {
                Range::These(stripes) => marks.publish(stripes.iter().map(|&stripe| stripe.into()), apply),
                Range::All => marks.publish(0..STRIPES.into(), apply),
            },
        }
    }

    /// The hash of the one key that this was taken for, if that is known still.
    #[inline]
    pub fn hash_of_key(&self) -> Option<u64> {
        if let Set::Key(hash) = self.need.0 { Some(hash) } else { None }
    }

    /// Whether the stripe of that key is held.
    pub(super) fn has(&self, hash: u64) -> bool {
        let stripe = index(hash);
        match &self.need.0 {
            Set::Nothing => false,
            Set::Key(hash) => index(*hash) == stripe,
            Set::One(held) => *held == stripe,
            Set::Several(several) => match &several.stripes {
                Range::These(stripes) => stripes.binary_search(&stripe).is_ok(),
                Range::All => true,
            },
        }
    }

    /// The stripes, ascending.
    pub(super) fn stripes(&self) -> Box<[u16]> {
        self.need.to_list()
    }

    pub(super) fn access(&self) -> Access {
        self.need.access()
    }

    /// What has to be held in order to have the stripe of that key, too. This is given back.
    pub(super) fn and(self, hash: u64) -> Need {
        let mut stripes = self.need.to_list().into_vec();
        stripes.push(index(hash));
        stripes.sort_unstable();
        stripes.dedup();
        Need::of(stripes.into(), self.need.access())
    }

    /// What is held, to be held again. This is given back.
    pub(super) fn same(self) -> Need {
        Need::of(self.need.to_list(), self.need.access())
    }

    /// What has to be held in order to have every stripe. This is given back.
    pub(super) fn and_all(self) -> Need {
        let access = self.need.access();
        Need(Set::Several(Box::new(Several { stripes: Range::All, access })))
    }

    /// Whether every stripe is held.
    pub(super) fn has_all(&self) -> bool {
        matches!(&self.need.0, Set::Several(several) if matches!(&several.stripes, Range::All)
            || matches!(&several.stripes, Range::These(these) if these.len() == usize::from(STRIPES)))
    }

    /// Gives everything back, which is no call where nothing is held.
    #[inline]
    pub fn end(self) {
        match self.need.0 {
            Set::Nothing => std::mem::forget(self),
            _ => drop(self),
        }
    }

    /// Holds nothing any more.
    pub fn give_back(&mut self) {
        std::mem::replace(&mut self.need, Need::NOTHING).give_back(&self.stripes.locks);
    }

    /// Lets another thread hold it on.
    pub fn keep(mut self) -> Kept {
        Kept { locks: self.stripes.locks.clone(), need: std::mem::replace(&mut self.need, Need::NOTHING) }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        self.need.give_back(&self.stripes.locks);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.need.give_back(&self.locks);
    }
}

/// By the lowest bits: engines shard by the highest.
#[inline]
pub(super) fn index(hash: u64) -> u16 {
    hash as u16 & (STRIPES - 1)
}
