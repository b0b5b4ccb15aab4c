//! A bounded queue into one worker, with the waker of that worker's loop.
//!
//! Invariants: an item that was refused is given back; an item that was taken in is either taken out by
//! the worker or given back by [`Mailbox::close`], never lost; whoever was refused for lack of room and
//! asked to be told is told after the next [`Mailbox::take`] that makes room.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::system::notify::Waker;

/// Why an item was refused; the item comes with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused<T> {
    Full(T),
    Closed(T),
}

impl<T> Refused<T> {
    pub(crate) fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

/// What remained after [`Mailbox::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Nothing is left.
    pub(crate) emptied: bool,
    /// Room was made and somebody waits for it.
    pub(crate) room_awaited: bool,
}

#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    state: Mutex<State<T>>,
    /// Whether there may be something: looked at without the lock in every turn. Changed under the lock, and before the
    /// worker is woken, so whoever was woken sees it.
    any: AtomicBool,
    waker: Waker,
}

impl<T> Mailbox<T> {
    /// Holds up to `capacity` items (at least one).
    pub(crate) fn new(capacity: usize, waker: Waker) -> Self {
        Self { state: Mutex::new(State::new(capacity)), any: AtomicBool::new(false), waker }
    }

    /// Puts `item` in and wakes the worker. `await_room`: if it is full, [`Taken::room_awaited`] will say that somebody
    /// waits. `before`: what is to be true of the item before anybody can see it in here.
    pub(crate) fn try_send(
        &self,
        item: T,
        await_room: bool,
        before: impl FnOnce(&T),
    ) -> Result<(), Refused<T>> {
        let mut state = self.lock();
        state.push(item, await_room, before)?;
        self.any.store(true, Ordering::Release);
        drop(state);
        // A waker that fails belongs to a worker that is ending: its `close` gives the item back.
        let _ = self.waker.wake();
        Ok(())
    }

    /// Moves up to `at_most` items to `into`.
    pub(crate) fn take(&self, at_most: usize, into: &mut Vec<T>) -> Taken {
        if !self.any.load(Ordering::Acquire) {
            return Taken { emptied: true, room_awaited: false };
        }
        let mut state = self.lock();
        let taken = state.take(at_most, into);
        self.any.store(!taken.emptied, Ordering::Relaxed);
        taken
    }

    /// Refuses everything from now on, and gives back what is left.
    pub(crate) fn close(&self) -> VecDeque<T> {
        self.lock().close()
    }

    /// Wakes the worker without an item.
    pub(crate) fn wake(&self) {
        let _ = self.waker.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code that can panic runs under the lock, so what a poisoned one guards is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the lock guards. Pure, so that a model checker can put its own lock around it.
#[derive(Debug)]
pub(super) struct State<T> {
    queue: VecDeque<T>,
    capacity: usize,
    open: bool,
    /// A sender was refused and asked to be told when there is room.
    room_awaited: bool,
}

impl<T> State<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { queue: VecDeque::new(), capacity: capacity.max(1), open: true, room_awaited: false }
    }

    pub(super) fn push(
        &mut self,
        item: T,
        await_room: bool,
        before: impl FnOnce(&T),
    ) -> Result<(), Refused<T>> {
        if !self.open {
            return Err(Refused::Closed(item));
        }
        if self.queue.len() >= self.capacity {
            self.room_awaited |= await_room;
            return Err(Refused::Full(item));
        }
        before(&item);
        self.queue.push_back(item);
        Ok(())
    }

    /// Takes back what was pushed last.
    pub(super) fn unpush(&mut self) -> Option<T> {
        self.queue.pop_back()
    }

    /// Takes the first item, and whether somebody waits for room.
    pub(super) fn pop(&mut self) -> (Option<T>, bool) {
        (self.queue.pop_front(), std::mem::take(&mut self.room_awaited))
    }

    /// Somebody waits for room.
    pub(super) fn await_room(&mut self) {
        self.room_awaited = true;
    }

    pub(super) fn take(&mut self, at_most: usize, into: &mut Vec<T>) -> Taken {
        let n = at_most.min(self.queue.len());
        into.extend(self.queue.drain(..n));
        let room_awaited = n > 0 && std::mem::take(&mut self.room_awaited);
        Taken { emptied: self.queue.is_empty(), room_awaited }
    }

    pub(super) fn close(&mut self) -> VecDeque<T> {
        self.open = false;
        std::mem::take(&mut self.queue)
    }
}
