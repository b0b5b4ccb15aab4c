//! Waiting for something to take from a key: a place in the queue of each of its keys.
//!
//! Who waits is served by who brings something: his command is executed again, with the stripes that are held. This floor
//! knows no command; it knows what serves one ([`Waiter`]).

use std::sync::Arc;

use bytes::Bytes;

use super::{Interests, Spot};
use crate::data::stripes;
use crate::data::{Data, DataError, Held, Kind, Tx};

/// One who waits.
pub trait Waiter: Send + Sync {
    /// What a key has to hold for him.
    fn kind(&self) -> Kind;

    /// Does what he waits to do, if it can be done now, and commits it. `None`: he goes on waiting, or has given up, and nothing
    /// was committed. Only keys whose stripes are held may be looked at ([`Tx::may_take_from`]).
    fn serve(self: Arc<Self>, tx: &mut Tx<'_>) -> Option<Served>;
}

/// One who was served, and is answered when this is dropped: once all are served whom the same batch serves. Answered before, he
/// could already do what comes after it, and change who is served with what.
#[must_use]
pub struct Served(Option<Box<dyn FnOnce()>>);

impl Served {
    /// `answer` is called when this is dropped.
    pub fn new(answer: impl FnOnce() + 'static) -> Self {
        Self(Some(Box::new(answer)))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer();
        }
    }
}

/// The place of a waiter in one queue.
pub(super) struct Waiting {
    pub(super) waiter: Arc<dyn Waiter>,
    /// The other stripe that he needs.
    reach: Option<u16>,
}

/// The places of one who waits, until this is dropped.
pub struct Places {
    interests: Interests,
    spots: Vec<Spot>,
}

impl Interests {
    /// Takes one out of a queue.
    pub(super) fn leave_queue(&self, spot: &Spot) {
        self.leave(spot, |at_key, number| at_key.waiting.remove(&number).map(|waiting| waiting.reach));
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.spots.iter().for_each(|spot| self.interests.leave_queue(spot));
    }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Places").field(&self.spots).finish()
    }
}

impl Data {
    /// Has one wait at the end of the queues of these keys, whose stripes are `held` since he found nothing there.
    /// `target`: another key that he writes to when he is served; its stripe is held, too.
    pub fn wait(
        &self,
        held: &Held<'_>,
        database: u32,
        keys: &[Bytes],
        target: Option<&Bytes>,
        waiter: &Arc<dyn Waiter>,
    ) -> Places {
        let interests = self.interests.clone();
        let number = interests.number();
        let target = target.map(|key| stripes::index(self.hash(key)));
        let mut spots: Vec<Spot> = Vec::with_capacity(keys.len());
        for key in keys {
            let spot = Spot { hash: self.hash(key), database, key: key.clone(), number };
            debug_assert!(held.has(spot.hash), "whoever enters an interest holds its stripe");
            let reach = target.filter(|stripe| *stripe != stripes::index(spot.hash));
            let waiting = Waiting { waiter: Arc::clone(waiter), reach };
            // Once, also at a key that is named several times.
            if interests
                .enter(&spot, reach, |at_key, number| at_key.waiting.insert(number, waiting).is_none())
            {
                spots.push(spot);
            }
        }
        Places { interests, spots }
    }
}

impl Tx<'_> {
    /// Whether the stripe of the key with that hash is held.
    pub(super) fn holds(&self, hash: u64) -> bool {
        self.held.has(hash)
    }

    /// Whether what `kind` a key holds may be taken now. Who is served passes over the others of his keys: those whose stripes are not
    /// held have nothing for him, since he would have been served with it, and those of another type as if they were not held.
    ///
    /// # Errors
    /// As [`Tx::entry`].
    pub fn may_take_from(&mut self, database: u32, key: &[u8], kind: Kind) -> Result<bool, DataError> {
        if !self.serves() {
            return Ok(true);
        }
        if !self.holds(self.data().hash(key)) {
            return Ok(false);
        }
        Ok(self.outlined(database, key)?.live().is_some_and(|record| record.head.kind == kind))
    }
}
