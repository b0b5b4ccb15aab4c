//! The bounded queue under a lock that the mailboxes and the shared queue are made of.
//!
//! Invariants: an item that was refused is given back; one that was taken in is taken out or given back by
//! [`State::close`], never lost; whoever was refused for lack of room and asked to be told is told by the next taking that
//! makes room.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// What remained after [`State::take_while`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Nothing is left.
    pub(crate) emptied: bool,
    /// Room was made and somebody waits for it.
    pub(crate) room_awaited: bool,
}

/// A [`State`] for several threads.
#[derive(Debug)]
pub(super) struct Queue<T>(Mutex<State<T>>);

impl<T> Queue<T> {
    /// Holds up to `capacity` items (at least one).
    pub(super) fn new(capacity: usize) -> Self {
        Self(Mutex::new(State::new(capacity)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code that can panic runs under the lock, so what a poisoned one guards is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Moves up to `at_most` items to `into`, up to the first that is `wanted` no longer.
    pub(super) fn take_while(
        &mut self,
        at_most: usize,
        mut wanted: impl FnMut(&T) -> bool,
        into: &mut impl Extend<T>,
    ) -> Taken {
        let n = self.queue.iter().take(at_most).take_while(|item| wanted(item)).count();
        into.extend(self.queue.drain(..n));
        let room_awaited = n > 0 && std::mem::take(&mut self.room_awaited);
        Taken { emptied: self.queue.is_empty(), room_awaited }
    }

    pub(super) fn close(&mut self) -> VecDeque<T> {
        self.open = false;
        std::mem::take(&mut self.queue)
    }
}
