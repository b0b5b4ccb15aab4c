//! A set that is made of the members of others.
//!
//! Few are added one by one, as a client would add them: that decides in which order they are returned and what `OBJECT ENCODING`
//! says. Of more than any compact set has, a tree is filled leaf after leaf, each written once; they have to come in the order of
//! their hashes then, which is that of every walk over a set that is [not compact](Set::goes_by_hash).

use bytes::Bytes;

use super::compact::CompactLimit;
use super::set::Set;
use crate::data::tree::{Filling, Hashed};
use crate::data::{DataError, Tx};

/// So many are added one by one in any case.
const FEW: usize = 1_024;

/// A set while it is made.
#[derive(Debug)]
pub struct SetResult<'k> {
    set: Set<'k>,
    members: Members,
}

#[derive(Debug)]
enum Members {
    /// They may be more, but not for a tree that is filled: they come in no order.
    InNoOrder,
    /// Not so many yet.
    Few(Vec<Bytes>),
    Many(Filling<Hashed>),
}

impl<'k> SetResult<'k> {
    /// Begins with an empty set. `by_hash`: members come in the order of their hashes, each once.
    pub fn new(set: Set<'k>, by_hash: bool) -> Self {
        Self { set, members: if by_hash { Members::Few(Vec::new()) } else { Members::InNoOrder } }
    }

    /// Adds a member.
    ///
    /// # Errors
    /// As [`Set::add`]. The set must not be used any more then.
    pub fn add(&mut self, tx: &mut Tx<'_>, member: &Bytes) -> Result<(), DataError> {
        match &mut self.members {
            Members::InNoOrder => self.set.add(tx, member).map(|_| ()),
            Members::Many(filling) => self.set.push(tx, filling, member),
            Members::Few(few) => {
                few.push(member.clone());
                let (count, compact) = (few.len() as u64, tx.data().compact());
                let may_be_compact = compact.has_room(CompactLimit::SetIntegers, count)
                    || compact.has_room(CompactLimit::SetMembers, count);
                if few.len() <= FEW || may_be_compact {
                    return Ok(());
                }
                let few = std::mem::take(few);
                let mut filling = self.set.begin_filling(tx)?;
                few.iter().try_for_each(|member| self.set.push(tx, &mut filling, member))?;
                self.members = Members::Many(filling);
                Ok(())
            }
        }
    }

    /// The set.
    ///
    /// # Errors
    /// As [`SetResult::add`].
    pub fn finish(mut self, tx: &mut Tx<'_>) -> Result<Set<'k>, DataError> {
        match self.members {
            Members::InNoOrder => {}
            Members::Few(few) => {
                few.iter().try_for_each(|member| self.set.add(tx, member).map(|_| ()))?;
            }
            Members::Many(filling) => self.set.end_filling(tx, filling)?,
        }
        Ok(self.set)
    }
}
