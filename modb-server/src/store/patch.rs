//! A record that changes, of which an engine may keep how it differs from what it was. Pure.
//!
//! Invariant: two changes of a record one after the other are one change of what the store has, or none.

use bytes::Bytes;
use modb_net::Seq;

use super::{Splices, StoreKey};

/// A record that changes. The batch has no other write of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Its key.
    pub key: StoreKey,
    /// The commit that a read of it named. Nobody has written it since.
    pub base_seq: Seq,
    /// What it becomes.
    pub value: Bytes,
    /// How that differs from what the read found.
    pub change: Change,
}

/// How a record changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// From what it was: both are compared.
    From(Bytes),
    /// By these splices, as whoever changes it knows.
    By(Splices),
}

impl Patch {
    /// One more change of what this makes of the record, and this, as one change of what the store has.
    ///
    /// # Errors
    /// It is too much for a patch: all that the record becomes has to be written.
    pub(crate) fn then(&self, mut next: Box<Self>) -> Result<Box<Self>, Box<Self>> {
        let change = match (&self.change, &next.change) {
            (Change::From(base), _) => Some(Change::From(base.clone())),
            // Of more than half of the record nobody keeps a patch.
            (Change::By(first), Change::By(second)) => {
                let both = first.then(second);
                both.filter(|both| both.as_bytes().len() <= next.value.len() / 2).map(Change::By)
            }
            (Change::By(_), Change::From(_)) => None,
        };
        match change {
            Some(change) => {
                (next.change, next.base_seq) = (change, self.base_seq);
                Ok(next)
            }
            None => Err(next),
        }
    }
}
