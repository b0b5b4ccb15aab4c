//! Going through something large, some elements at a time, from one end or both.
//!
//! Invariants: between two steps nothing is held but elements that were read; whether a step is allowed does not depend on whether one is
//! at hand; after an error there is nothing more.

use crate::error::Error;
use crate::handle::Shared;

/// Elements that are read at once, about.
pub(super) const STEP_ELEMENTS: usize = 64;

/// What was read, and not given out yet.
#[derive(Debug)]
pub(super) struct Walk<T> {
    /// From the front and from the back, each in the order in which it is given out.
    front: std::vec::IntoIter<T>,
    back: std::vec::IntoIter<T>,
    /// All was read, or something failed.
    ended: bool,
}

impl<T> Default for Walk<T> {
    fn default() -> Self {
        Self { front: Vec::new().into_iter(), back: Vec::new().into_iter(), ended: false }
    }
}

impl<T> Walk<T> {
    /// The next element from the front, or from the back with `reverse`. `read` reads some more from there, perhaps none; `None`: there are
    /// no more.
    pub(super) fn step(
        &mut self,
        shared: &Shared,
        reverse: bool,
        mut read: impl FnMut(bool) -> Result<Option<Vec<T>>, Error>,
    ) -> Option<Result<T, Error>> {
        if self.ended && self.front.len() == 0 && self.back.len() == 0 {
            return None;
        }
        if let Err(error) = shared.may_call() {
            return Some(Err(self.fail(error)));
        }
        loop {
            let own = if reverse { &mut self.back } else { &mut self.front };
            if let Some(element) = own.next() {
                return Some(Ok(element));
            }
            if self.ended {
                // What is left was read from the other end.
                return if reverse { self.front.next_back() } else { self.back.next_back() }.map(Ok);
            }
            match read(reverse) {
                Ok(Some(elements)) => *own = elements.into_iter(),
                Ok(None) => self.ended = true,
                Err(error) => return Some(Err(self.fail(error))),
            }
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        *self = Self { ended: true, ..Self::default() };
        error
    }
}
