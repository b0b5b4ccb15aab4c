//! The numbers of collections: leased from the folder many at a time, so that few collections write one down.
//!
//! Invariant: a lease is committed before any of its numbers is used. What a crash leaves is a prefix of the commits, so a
//! number that left a trace is below the lease that is read at the next start.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::data::DataError;
use crate::data::layout::{CollectionId, fact_key};
use crate::store::{Batch, Store, StoreError, Write};

/// Numbers leased at a time.
const LEASED: u64 = 1 << 16;

/// The numbers that may be used.
pub(in crate::data) struct Lease(Mutex<Numbers>);

struct Numbers {
    next: u64,
    end: u64,
}

/// Where the first number that is not leased is kept.
pub(in crate::data) const FACT: &str = "next-collection";

impl Lease {
    /// Nothing is leased yet: what the last process left of its lease is not used.
    pub(in crate::data) fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let end = match store.get(&fact_key(FACT))?.value {
            None => 1,
            Some(bytes) => {
                u64::from_be_bytes(bytes.as_ref().try_into().map_err(|_| StoreError::Corrupt {
                    place: "the facts of the folder".into(),
                    what: "the next number of a collection is not eight bytes".into(),
                })?)
            }
        };
        Ok(Self(Mutex::new(Numbers { next: end, end })))
    }

    /// Whether any number was ever leased.
    pub(in crate::data) fn is_used(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).end > 1
    }

    /// A number that no collection ever had.
    pub(in crate::data) fn take(&self, store: &dyn Store) -> Result<CollectionId, DataError> {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if numbers.next == numbers.end {
            let end = numbers.end + LEASED;
            let fact = Write::Put(fact_key(FACT), Bytes::copy_from_slice(&end.to_be_bytes()));
            store.apply(Batch { writes: vec![fact] })?;
            numbers.end = end;
        }
        let id = CollectionId(numbers.next);
        numbers.next += 1;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{EngineKind, OpenOptions, open};

    #[test]
    fn a_number_is_never_used_again_whatever_was_left_of_a_lease() {
        let store = open(&OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") }).unwrap();
        let mut last = CollectionId(0);
        for _ in 0..3 {
            let lease = Lease::read(&*store).unwrap();
            for _ in 0..3 {
                let id = lease.take(&*store).unwrap();
                assert!(id > last);
                last = id;
            }
        }
        // More than one lease holds.
        let lease = Lease::read(&*store).unwrap();
        let mut taken = (0..LEASED + 2).map(|_| lease.take(&*store).unwrap());
        assert!(taken.all(|id| std::mem::replace(&mut last, id) < id));
        assert!(Lease::read(&*store).unwrap().take(&*store).unwrap() > last);
    }
}
