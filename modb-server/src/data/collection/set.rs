//! Sets: members by hash.
//!
//! What Redis keeps as a list of integers is returned in their order; another small one in the order in which its members came.

use bytes::Bytes;
use modb_net::resp::parse_i64;

use super::compact::{Compact, CompactLimit};
use super::hashed::{ByHash, key_of};
use super::plot::Plot;
use crate::data::layout::Kind;
use crate::data::tree::{Filling, Hashed, read_hashed};
use crate::data::{DataError, Entry, Tx};
use crate::messages::Event;

/// The longest integer: -9223372036854775808.
const MAX_INTEGER_BYTES: usize = 20;

/// Few are left where five times as many were popped (`SPOP_MOVE_STRATEGY_MUL`).
const FEW_LEFT: u64 = 5;

/// A set while a command works on it.
#[derive(Debug)]
pub struct Set<'k>(ByHash<'k>);

impl<'k> Set<'k> {
    /// Opens the set at a key, an empty one if there is no key.
    ///
    /// # Errors
    /// [`DataError::WrongType`], and as [`Tx::entry`].
    pub fn open(tx: &mut Tx<'_>, database: u32, key: &'k [u8]) -> Result<Self, DataError> {
        ByHash::open(tx, database, key, Kind::Set).map(Self::opened)
    }

    /// As [`Set::open`], in order to read: counts as a hit or a miss, and is `None` if there is no key.
    ///
    /// # Errors
    /// As [`Set::open`].
    pub fn find(tx: &mut Tx<'_>, database: u32, key: &'k [u8]) -> Result<Option<Self>, DataError> {
        Ok(ByHash::find(tx, database, key, Kind::Set)?.map(Self::opened))
    }

    /// An empty one in the place of whatever the key of `entry` holds; it does not keep the expiry.
    pub fn replacing(tx: &Tx<'_>, entry: Entry<'k>) -> Self {
        Self::opened(ByHash::replacing(tx, entry, Kind::Set))
    }

    fn opened(mut set: ByHash<'k>) -> Self {
        set.plot.integers |= set.elements.len == 0;
        Self(set)
    }

    /// How many members it has.
    pub fn len(&self) -> u64 {
        self.0.elements.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is a member.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged; so in all that follow.
    pub fn contains(&mut self, tx: &mut Tx<'_>, member: &[u8]) -> Result<bool, DataError> {
        Ok(self.0.value(tx, member)?.is_some())
    }

    /// That so many members are about to be added at once, `first` first.
    pub fn expect(&mut self, tx: &Tx<'_>, members: usize, first: &[u8]) {
        let compact = tx.data().compact();
        let has_room = |limit| compact.has_room(limit, members as u64);
        let of_integers = self.0.plot.integers && (!self.is_empty() || parse_i64(first).is_some());
        if of_integers && has_room(CompactLimit::SetIntegers) {
            return;
        }
        // A new one may be a list of integers instead; one that is there becomes large.
        let may_be_list = self.is_empty() || !of_integers;
        self.0.plot.integers &= !of_integers;
        if !(may_be_list && has_room(CompactLimit::SetMembers)) {
            self.0.changed |= !self.0.plot.big;
            self.0.plot.outgrow();
        }
    }

    /// Adds a member; says whether it is new.
    ///
    /// # Errors
    /// As [`Set::contains`], [`DataError::ValueTooLong`], and if no number is left.
    pub fn add(&mut self, tx: &mut Tx<'_>, member: &[u8]) -> Result<bool, DataError> {
        let mut longest = member.len();
        if self.0.plot.integers && parse_i64(member).is_none() {
            longest = longest.max(self.arrange(tx)?);
        }
        let new = self.0.put(tx, member, b"", |_| ())?.is_none();
        if new {
            self.0.plot.admit(tx.data().compact(), member, longest, self.len());
        }
        Ok(new)
    }

    /// As if a member had been there and were so no more: what it says of its encoding is what came of all that it ever had.
    pub fn had(&mut self, tx: &Tx<'_>, member: &[u8], members: u64) {
        self.0.plot.admit(tx.data().compact(), member, member.len(), members);
    }

    /// So many members were popped: where few of many are left, Redis makes a new set of them.
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn after_pop(&mut self, tx: &mut Tx<'_>, popped: u64) -> Result<(), DataError> {
        if self.0.plot.big && self.len().saturating_mul(FEW_LEFT) <= popped {
            let compact = tx.data().compact();
            let mut big = !compact.has_room(CompactLimit::SetMembers, self.len());
            self.for_each(tx, |member| {
                big |= !compact.fits(CompactLimit::SetBytes, member.len());
                !big
            })?;
            self.0.plot.big = big;
        }
        Ok(())
    }

    /// Removes a member; says whether it was there.
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn remove(&mut self, tx: &mut Tx<'_>, member: &[u8]) -> Result<bool, DataError> {
        Ok(self.0.take(tx, member, |_| ())?.is_some())
    }

    /// Removes the key with all members, in the same time however many they are.
    pub fn remove_key(self, tx: &mut Tx<'_>, event: Event) {
        self.0.remove_key(tx, event);
    }

    /// Visits the members, until `visit` says `false`.
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn for_each(
        &mut self,
        tx: &mut Tx<'_>,
        mut visit: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), DataError> {
        if self.0.plot.integers {
            self.in_order(tx)?.iter().all(|member| visit(member));
            return Ok(());
        }
        self.0.for_each_entry(tx, |entry| visit(read_hashed(entry).0))
    }

    /// A step of a walk from `cursor` on, over at least `count` members if there are so many; returns them and where to go
    /// on, 0 at the end. A member that is there throughout a walk comes exactly once.
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn scan(
        &mut self,
        tx: &mut Tx<'_>,
        cursor: u64,
        count: usize,
    ) -> Result<(Vec<Bytes>, u64), DataError> {
        if self.0.plot.integers {
            return Ok((self.in_order(tx)?, 0));
        }
        let (entries, next) = self.0.walk(tx, cursor, count)?;
        Ok((entries.iter().map(key_of).collect(), next))
    }

    /// As [`Set::scan`], for those who never want all at once, be it compact or not.
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn steps(
        &mut self,
        tx: &mut Tx<'_>,
        cursor: u64,
        count: usize,
    ) -> Result<(Vec<Bytes>, u64), DataError> {
        let (entries, next) = self.0.steps(tx, cursor, count)?;
        Ok((entries.iter().map(key_of).collect(), next))
    }

    /// Whether every walk over it goes by the hashes of its members: it is not compact.
    pub fn goes_by_hash(&self) -> bool {
        self.0.plot.big && !self.0.plot.integers
    }

    /// As [`Set::steps`], in the order of the hashes, each with the 53 bits of its own.
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn steps_by_hash(
        &mut self,
        tx: &mut Tx<'_>,
        cursor: u64,
        count: usize,
    ) -> Result<(Vec<(u64, Bytes)>, u64), DataError> {
        let order = self.0.elements.order;
        let (entries, next) = self.0.steps(tx, cursor, count)?;
        let mut members: Vec<_> =
            entries.iter().map(|entry| (order.slot_of(entry).0, key_of(entry))).collect();
        members.sort_unstable_by_key(|(hash, _)| *hash);
        Ok((members, next))
    }

    /// Begins to fill an empty one with so many members that it is not compact.
    pub(super) fn begin_filling(&mut self, tx: &Tx<'_>) -> Result<Filling<Hashed>, DataError> {
        debug_assert!(self.is_empty(), "what is there is not looked at");
        self.0.changed = true;
        self.0.plot.outgrow();
        self.0.plot.number(tx)?;
        Ok(Filling::new(self.0.elements.order))
    }

    /// One member more, behind those that it is filled with already.
    pub(super) fn push(
        &mut self,
        tx: &mut Tx<'_>,
        filling: &mut Filling<Hashed>,
        member: &[u8],
    ) -> Result<(), DataError> {
        let entry = self.0.elements.order.key(member).entry(b"");
        self.0.plot.on_ground::<_, Hashed>(tx, |ground| filling.push(ground, &entry))
    }

    /// It has all of them.
    pub(super) fn end_filling(&mut self, tx: &mut Tx<'_>, filling: Filling<Hashed>) -> Result<(), DataError> {
        self.0.elements = self.0.plot.on_ground::<_, Hashed>(tx, |ground| filling.finish(ground))?;
        Ok(())
    }

    /// Removes a member chosen at random, and returns it.
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn pop(&mut self, tx: &mut Tx<'_>) -> Result<Option<Bytes>, DataError> {
        Ok(self.0.take_one(tx)?.as_ref().map(key_of))
    }

    /// A member chosen at random.
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn choose(&mut self, tx: &mut Tx<'_>) -> Result<Option<Bytes>, DataError> {
        Ok(self.0.choose(tx)?.as_ref().map(key_of))
    }

    /// `count` different members chosen at random, or all.
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn choose_some(&mut self, tx: &mut Tx<'_>, count: u64) -> Result<Vec<Bytes>, DataError> {
        if count >= self.len() && self.0.plot.integers {
            return self.in_order(tx);
        }
        Ok(self.0.choose_some(tx, count)?.iter().map(key_of).collect())
    }

    /// Writes the key record of what was changed, and tells of it; without members there is no key.
    ///
    /// # Errors
    /// As [`Tx::put`].
    pub fn save(&self, tx: &mut Tx<'_>, event: Event) -> Result<(), DataError> {
        self.0.save(tx, event)
    }

    /// The members of a set of integers, the lowest first.
    fn in_order(&mut self, tx: &mut Tx<'_>) -> Result<Vec<Bytes>, DataError> {
        let mut members: Vec<Bytes> = self.0.entries(tx)?.iter().map(key_of).collect();
        members.sort_by_cached_key(|member| parse_i64(member));
        Ok(members)
    }

    /// Brings integers that lie in one leaf into their order: what comes behind them will be no integer. Returns how many
    /// bytes the longest has, as far as that matters.
    fn arrange(&mut self, tx: &mut Tx<'_>) -> Result<usize, DataError> {
        let in_one_leaf = self.0.elements.height == 0;
        let may_be_too_long = !tx.data().compact().fits(CompactLimit::SetBytes, MAX_INTEGER_BYTES);
        if self.is_empty() || !(in_one_leaf || may_be_too_long) {
            return Ok(0);
        }
        let mut entries = self.0.entries(tx)?;
        let longest = entries.iter().map(|entry| read_hashed(entry).0.len()).max().unwrap_or(0);
        if !in_one_leaf {
            return Ok(longest);
        }
        entries.sort_by_cached_key(|entry| parse_i64(read_hashed(entry).0));
        self.0.with(tx, |tree, ground| {
            let cursor = tree.first(ground)?;
            let entries: Vec<&[u8]> = entries.iter().map(|entry| &entry[..]).collect();
            tree.splice(ground, cursor, entries.len(), &entries)
        })?;
        Ok(longest)
    }
}

impl Plot {
    /// What a set becomes by a new member, with which it has `members`; the longest that now counts has `longest` bytes.
    fn admit(&mut self, compact: &Compact, member: &[u8], longest: usize, members: u64) {
        self.integers &= parse_i64(member).is_some();
        let is_compact = if self.integers {
            compact.has_room(CompactLimit::SetIntegers, members)
        } else {
            compact.has_room(CompactLimit::SetMembers, members)
                && compact.fits(CompactLimit::SetBytes, longest)
        };
        if !is_compact {
            self.outgrow();
        }
    }

    fn outgrow(&mut self) {
        (self.big, self.integers) = (true, false);
    }
}
