//! A box that is handed on from one that needs it no more to the next of the same thread: what comes and goes with each transaction
//! costs less so than if it were taken from the system and given back.
//!
//! Invariant: a thread keeps one of a kind, and nothing in it but room; whoever keeps one sees to that.

use std::cell::Cell;
use std::thread::LocalKey;

/// The box that a thread keeps, if it does.
pub(super) struct Spare<T>(Cell<Option<Box<T>>>);

impl<T> Spare<T> {
    pub(super) const fn none() -> Self {
        Self(Cell::new(None))
    }
}

/// The one that is kept, or a new one.
#[inline]
pub(super) fn take<T: Default>(spare: &'static LocalKey<Spare<T>>) -> Box<T> {
    // None while the thread ends.
    spare.try_with(|spare| spare.0.take()).ok().flatten().unwrap_or_default()
}

/// Keeps one in which there is nothing.
#[inline]
pub(super) fn keep<T>(spare: &'static LocalKey<Spare<T>>, empty: Box<T>) {
    // A thread that ends keeps none.
    let _ = spare.try_with(|spare| spare.0.set(Some(empty)));
}
