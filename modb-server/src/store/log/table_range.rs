//! The records of one table file from a key on, which can go on after an error.
//!
//! The tree's own iterator does not say where it is once it has failed, and what it failed for may pass: a descriptor that was
//! missing. So another one is begun at a key before, and what was given already is passed over.
//!
//! Invariant: each record is given once, in order, however often reading fails in between.

use std::ops::Bound;

use lsm_tree::{InternalValue, Slice};

/// So many records are passed over at most: for each of so many the key is kept.
const PASSED_OVER: usize = 256;

/// See the top of this file. `begin` makes the tree's iterator from a bound on.
pub(super) struct TableRange<I, F> {
    begin: F,
    from: Bound<Slice>,
    /// How many records from there on were given.
    given: usize,
    entries: Option<I>,
}

impl<I, F> TableRange<I, F>
where
    I: Iterator<Item = lsm_tree::Result<InternalValue>>,
    F: FnMut(Bound<Slice>) -> I,
{
    pub(super) fn new(from: Bound<Slice>, begin: F) -> Self {
        Self { begin, from, given: 0, entries: None }
    }

    /// The next record; after an error it can be asked for again.
    pub(super) fn read(&mut self) -> lsm_tree::Result<Option<InternalValue>> {
        if self.entries.is_none() {
            let mut entries = (self.begin)(self.from.clone());
            for passed_over in entries.by_ref().take(self.given) {
                passed_over?;
            }
            self.entries = Some(entries);
        }
        let next = self.entries.as_mut().and_then(Iterator::next).transpose();
        match &next {
            Err(_) => self.entries = None,
            Ok(None) => {}
            Ok(Some(entry)) => {
                self.given += 1;
                if self.given == PASSED_OVER {
                    self.from = Bound::Excluded(entry.key.user_key.clone());
                    self.given = 0;
                }
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use lsm_tree::ValueType;

    use super::*;

    #[test]
    fn each_record_is_given_once_however_often_reading_fails() {
        const RECORDS: u32 = 1_000;
        for fails in [1, 2, 7] {
            // One read in so many hundreds fails, and so do those after it of the same iterator.
            let reads = Cell::new(0_u32);
            let begin = |from: Bound<Slice>| {
                let first = match &from {
                    Bound::Excluded(key) => u32::from_be_bytes(key[..].try_into().unwrap()) + 1,
                    _ => 0,
                };
                let (reads, mut failed) = (&reads, false);
                (first..RECORDS).map(move |n| {
                    reads.set(reads.get() + 1);
                    failed |= reads.get().is_multiple_of(fails * 300);
                    if failed {
                        return Err(std::io::Error::other("a descriptor is missing").into());
                    }
                    let (key, value) = (Slice::from(n.to_be_bytes()), Slice::from([]));
                    Ok(InternalValue::from_components(key, value, 0, ValueType::Value))
                })
            };
            let mut range = TableRange::new(Bound::Unbounded, begin);
            let (mut given, mut failures) = (Vec::new(), 0);
            loop {
                match range.read() {
                    Ok(None) => break,
                    Ok(Some(entry)) => {
                        given.push(u32::from_be_bytes(entry.key.user_key[..].try_into().unwrap()));
                    }
                    Err(_) => failures += 1,
                }
            }
            assert_eq!(given, (0..RECORDS).collect::<Vec<_>>());
            assert_eq!(failures > 0, fails < 4, "{failures}");
        }
    }
}
