//! A bounded queue into one worker, with the waker of that worker's loop.
//!
//! Invariants: an item that was refused is given back; an item that was taken in is either taken out by
//! the worker or given back by [`Mailbox::close`], never lost; whoever was refused for lack of room and
//! asked to be told is told after the next [`Mailbox::take`] that makes room.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use super::queue::{Queue, Refused, Taken};
use crate::system::notify::Waker;

#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    queue: Queue<T>,
    /// Whether there may be something: looked at without the lock in every turn. Changed under the lock, and before the
    /// worker is woken, so whoever was woken sees it.
    any: AtomicBool,
    waker: Waker,
}

impl<T> Mailbox<T> {
    /// Holds up to `capacity` items (at least one).
    pub(crate) fn new(capacity: usize, waker: Waker) -> Self {
        Self { queue: Queue::new(capacity), any: AtomicBool::new(false), waker }
    }

    /// Puts `item` in and wakes the worker. `await_room`: if it is full, [`Taken::room_awaited`] will say that somebody
    /// waits. `before`: what is to be true of the item before anybody can see it in here.
    pub(crate) fn try_send(
        &self,
        item: T,
        await_room: bool,
        before: impl FnOnce(&T),
    ) -> Result<(), Refused<T>> {
        let mut state = self.queue.lock();
        state.push(item, await_room, before)?;
        self.any.store(true, Ordering::Release);
        drop(state);
        // A waker that fails belongs to a worker that is ending: its `close` gives the item back.
        let _ = self.waker.wake();
        Ok(())
    }

    /// Whether there may be something.
    pub(crate) fn has_any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Moves up to `at_most` items to `into`.
    pub(crate) fn take(&self, at_most: usize, into: &mut impl Extend<T>) -> Taken {
        self.take_while(at_most, |_| true, into)
    }

    /// As [`Mailbox::take`], up to the first item that is `wanted` no longer.
    pub(crate) fn take_while(
        &self,
        at_most: usize,
        wanted: impl FnMut(&T) -> bool,
        into: &mut impl Extend<T>,
    ) -> Taken {
        if !self.has_any() {
            return Taken { emptied: true, room_awaited: false };
        }
        let mut state = self.queue.lock();
        let taken = state.take_while(at_most, wanted, into);
        self.any.store(!taken.emptied, Ordering::Relaxed);
        taken
    }

    /// Refuses everything from now on, and gives back what is left.
    pub(crate) fn close(&self) -> VecDeque<T> {
        self.queue.lock().close()
    }

    /// Wakes the worker without an item.
    pub(crate) fn wake(&self) {
        let _ = self.waker.wake();
    }
}
