//! The list of a batch, handed on from a commit to the next of the same thread: commits are small and come one after the other,
//! and a list taken from the system and given back for each costs as much as what is in it.
//!
//! Invariant: a thread keeps one list, of no more than [`KEPT_WRITES`], and nothing in it.

use std::cell::Cell;

use super::Write;

/// The room that is kept: what a command on a few keys or a collection's pages takes.
const KEPT_WRITES: usize = 32;

thread_local! {
    static SPARE: Cell<Vec<Write>> = const { Cell::new(Vec::new()) };
}

/// An empty list with some room, or with room for `few`.
#[inline]
pub(crate) fn list(few: usize) -> Vec<Write> {
    // None while the thread ends.
    let list = SPARE.try_with(Cell::take).unwrap_or_default();
    if list.capacity() == 0 { Vec::with_capacity(few) } else { list }
}

/// What was in it is dropped, and the list kept, unless it is large.
#[inline]
pub(super) fn keep(mut list: Vec<Write>) {
    list.clear();
    if is_kept(&list) {
        // A thread that ends keeps none.
        let _ = SPARE.try_with(|spare| spare.set(list));
    }
}

/// Whether it will be.
#[inline]
pub(super) fn is_kept(list: &Vec<Write>) -> bool {
    list.capacity() <= KEPT_WRITES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Counter;

    #[test]
    fn a_list_is_handed_on_empty_and_a_large_one_is_not_kept() {
        let mut first = list(4);
        first.push(Write::Add(Counter(1), 1));
        let place = first.as_ptr();
        keep(first);
        let second = list(4);
        assert!(second.is_empty() && second.as_ptr() == place);
        let third = list(4);
        assert_ne!(third.as_ptr(), place, "the thread has one");
        keep(Vec::with_capacity(KEPT_WRITES + 1));
        assert_eq!(list(4).capacity(), 4);
    }
}
