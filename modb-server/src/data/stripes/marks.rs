//! Publishing marks: a byte per stripe that says "a batch of several keys is becoming visible here".
//!
//! A store makes a batch visible record by record, and whoever reads one key holds nothing. So the holder marks all
//! its stripes before the first record of such a batch is visible, and takes the marks away after the last;
//! a reader looks at the mark of its key before it reads, and if it is set takes the stripe, which is given back when
//! the batch is whole.
//!
//! Invariant: **whoever has seen a record of a batch sees the others, too.** The marks of all were set before that record
//! could be seen, so his next look at one of the others either finds its mark (and he waits), or finds that it was taken
//! away, which is after the last record. What he saw first needs no mark: it is old or new, and both are right.
//!
//! A record that is seen carries the marks with it, since stores publish records by locks or release stores. A mark that is
//! taken away carries the records with it: `Release` here, `Acquire` there. `model.rs` checks it.

use super::sync::{AtomicU8, Ordering};

/// One mark per stripe, apart from the stripes: all of them stay in the nearest cache, since they seldom change.
pub(super) struct Marks(Box<[AtomicU8]>);

impl Marks {
    pub(super) fn new(stripes: usize) -> Self {
        Self((0..stripes).map(|_| AtomicU8::new(0)).collect())
    }

    /// Has `apply` make a batch visible while the stripes are marked. They are held alone.
    pub(super) fn publish<R>(
        &self,
        stripes: impl Iterator<Item = usize> + Clone,
        apply: impl FnOnce() -> R,
    ) -> R {
        for stripe in stripes.clone() {
            self.0[stripe].store(1, Ordering::Relaxed);
        }
        // Also if `apply` panics: nobody would ever read without the stripe again.
        let _unmark = Unmark { marks: self, stripes };
        apply()
    }

    /// Whether whoever reads here has to take the stripe.
    #[inline]
    pub(super) fn is_set(&self, stripe: usize) -> bool {
        self.0[stripe].load(Ordering::Acquire) != 0
    }

    /// The stripes that are marked, ascending.
    pub(super) fn all_set(&self) -> impl Iterator<Item = usize> {
        (0..self.0.len()).filter(|&stripe| self.is_set(stripe))
    }
}

/// Takes the marks away.
struct Unmark<'m, I: Iterator<Item = usize> + Clone> {
    marks: &'m Marks,
    stripes: I,
}

impl<I: Iterator<Item = usize> + Clone> Drop for Unmark<'_, I> {
    fn drop(&mut self) {
        for stripe in self.stripes.clone() {
            self.marks.0[stripe].store(0, Ordering::Release);
        }
    }
}
