//! Two changes of a record, one after the other, as one. Pure.
//!
//! The first makes of the record something of which the second keeps, takes out and puts in; whatever the first has kept of that, or
//! put in itself, is passed over together.

use super::{Splice, Splices};

/// What of a record comes next.
enum Part<'a> {
    /// So many bytes of it stay: as many as there are.
    Kept(usize),
    Removed(usize),
    Added(&'a [u8]),
}

/// The parts of a change, one after the other; what is behind the last splice stays.
struct Parts<'a> {
    splices: &'a [u8],
    splice: Splice<'a>,
}

impl<'a> Parts<'a> {
    fn of(splices: &'a Splices) -> Option<Self> {
        let mut parts =
            Self { splices: splices.as_bytes(), splice: Splice { kept: 0, removed: 0, added: b"" } };
        parts.go_on()?;
        Some(parts)
    }

    /// To the next splice if this one is through.
    fn go_on(&mut self) -> Option<()> {
        let Splice { kept: 0, removed: 0, added: b"" } = self.splice else { return Some(()) };
        self.splice = if self.splices.is_empty() {
            Splice { kept: usize::MAX, removed: 0, added: b"" }
        } else {
            Splice::take(&mut self.splices)?
        };
        Some(())
    }

    fn next(&self) -> Part<'a> {
        match self.splice {
            Splice { kept: 0, removed: 0, added } => Part::Added(added),
            Splice { kept: 0, removed, .. } => Part::Removed(removed),
            Splice { kept, .. } => Part::Kept(kept),
        }
    }

    /// Passes over so many bytes of the next part.
    fn pass(&mut self, bytes: usize) -> Option<()> {
        match &mut self.splice {
            Splice { kept: 0, removed: 0, added } => *added = added.get(bytes..)?,
            Splice { kept: 0, removed, .. } => *removed -= bytes,
            Splice { kept: usize::MAX, .. } => {}
            Splice { kept, .. } => *kept -= bytes,
        }
        self.go_on()
    }
}

/// A splice that is being made: where it begins, how much it takes out, and what it puts in.
#[derive(Default)]
struct Made {
    all: Splices,
    at: usize,
    removed: usize,
    added: Vec<u8>,
}

impl Made {
    fn keep(&mut self, bytes: usize) -> Option<()> {
        if self.removed > 0 || !self.added.is_empty() {
            if self.all.count == u8::MAX {
                return None;
            }
            self.all.push(self.at, self.removed, &self.added);
            self.added.clear();
        }
        self.at = self.at.saturating_add(self.removed).saturating_add(bytes);
        self.removed = 0;
        Some(())
    }
}

impl Splices {
    /// What a record becomes by these, and then by others, as one change. `None`: it takes too many splices.
    pub(crate) fn then(&self, others: &Self) -> Option<Self> {
        let (mut first, mut second, mut made) = (Parts::of(self)?, Parts::of(others)?, Made::default());
        loop {
            match (first.next(), second.next()) {
                (Part::Removed(bytes), _) => {
                    made.removed += bytes;
                    first.pass(bytes)?;
                }
                (_, Part::Added(bytes)) => {
                    made.added.extend_from_slice(bytes);
                    second.pass(bytes.len())?;
                }
                (Part::Kept(usize::MAX), Part::Kept(usize::MAX)) => {
                    made.keep(0)?;
                    return Some(made.all);
                }
                (Part::Kept(kept), Part::Kept(bytes)) => {
                    let bytes = bytes.min(kept);
                    made.keep(bytes)?;
                    first.pass(bytes)?;
                    second.pass(bytes)?;
                }
                (Part::Kept(kept), Part::Removed(bytes)) => {
                    let bytes = bytes.min(kept);
                    made.removed += bytes;
                    first.pass(bytes)?;
                    second.pass(bytes)?;
                }
                (Part::Added(added), Part::Kept(bytes)) => {
                    let bytes = bytes.min(added.len());
                    made.added.extend_from_slice(&added[..bytes]);
                    first.pass(bytes)?;
                    second.pass(bytes)?;
                }
                (Part::Added(added), Part::Removed(bytes)) => {
                    let bytes = bytes.min(added.len());
                    first.pass(bytes)?;
                    second.pass(bytes)?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    /// A change of a record of so many bytes, as numbers.
    fn splices(most: usize) -> impl Strategy<Value = Vec<(usize, usize, Vec<u8>)>> {
        let splice = (0usize..20, 0usize..12, proptest::collection::vec(any::<u8>(), 0..12));
        proptest::collection::vec(splice, 0..most)
    }

    /// As many of them as a record of so many bytes has room for.
    fn change(parts: Vec<(usize, usize, Vec<u8>)>, len: usize) -> Splices {
        let (mut splices, mut end) = (Splices::default(), 0);
        for (kept, removed, added) in parts {
            if end + kept + removed > len {
                break;
            }
            splices.push(end + kept, removed, &added);
            end += kept + removed;
        }
        splices
    }

    proptest! {
        #[test]
        fn one_change_is_what_two_are_one_after_the_other(
            before in proptest::collection::vec(any::<u8>(), 0..200), first in splices(12), second in splices(12),
        ) {
            let first = change(first, before.len());
            let between = first.apply(&before).unwrap();
            let second = change(second, between.len());
            let both = first.then(&second).unwrap();
            prop_assert_eq!(both.apply(&before), second.apply(&between));
            // Whether somebody else has it or not.
            prop_assert_eq!(both.apply_to(Bytes::from(before.clone())), both.apply(&before).map(Bytes::from));
            let mut rest = both.as_bytes();
            prop_assert_eq!(Splices::take(both.count(), &mut rest), Some(both.clone()), "it is one that the log can have");
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn what_is_changed_twice_is_said_once() {
        let change = |bytes: &[u8]| {
            let mut splices = Splices::default();
            splices.push(10, bytes.len(), bytes);
            splices
        };
        assert_eq!(change(b"abc").then(&change(b"xyz")), Some(change(b"xyz")));
        let mut most = Splices::default();
        (0..255).for_each(|at| most.push(2 * at, 1, b"x"));
        assert_eq!(most.then(&Splices::default()).as_ref(), Some(&most));
        let mut more = Splices::default();
        more.push(600, 1, b"y");
        assert_eq!(most.then(&more), None, "a change has 255 at most");
    }
}
