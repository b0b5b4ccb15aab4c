//! Sorted sets: members with scores, found by either.
//!
//! A small one is one leaf in the order of the scores. A larger one is two trees over the same pages: `scores` in that order,
//! counted, for ranks and ranges ([`ranks`](super::ranks)), and `members` by hash, with the score as the value, for everything that names
//! a member.
//! Invariant: both trees have the same pairs.

use bytes::Bytes;

use super::compact::CompactLimit;
use super::elements::Elements;
use super::opened::{Opened, fits};
use super::payload::{MOST_TREES, Payload, Roots};
use super::plot::Ground;
use crate::data::hash::Seed;
use crate::data::layout::Kind;
use crate::data::tree::{
    Approach, Bound, Cursor, Hashed, Pages as _, Place, Scored, Tree, compare_scores, read_hashed,
    read_scored, scored_entry,
};
use crate::data::{DataError, Entry, Tx};
use crate::messages::Event;

/// A sorted set while a command works on it.
#[derive(Debug)]
pub struct SortedSet<'k>(pub(super) Opened<'k, Pairs>);

/// The members with their scores.
#[derive(Debug)]
pub(super) struct Pairs {
    scores: Tree<Scored>,
    /// Unless all are in one leaf.
    members: Option<Tree<Hashed>>,
}

impl Elements for Pairs {
    fn none(_: Seed) -> Self {
        Self { scores: Tree::new(Scored), members: None }
    }

    fn of(payload: Payload, seed: Seed) -> Option<Self> {
        let Payload { len, roots: [scores, members, _], .. } = payload;
        Some(Self {
            scores: scores?.tree(Scored, len),
            members: members.map(|root| root.tree(Hashed(seed), len)),
        })
    }

    fn len(&self) -> u64 {
        self.scores.len
    }

    fn roots(&self, _: bool) -> [Option<Roots<&[u8]>>; MOST_TREES] {
        [Some(Roots::of(&self.scores)), self.members.as_ref().map(Roots::of), None]
    }
}

/// A member that was looked for.
///
/// Invariant: the set is not changed before it is [given back](SortedSet::set_found).
#[derive(Debug)]
pub struct Found {
    score: Option<f64>,
    /// Where it is in the tree of members, or would be, if there is one.
    place: Option<Place>,
    /// The way to where it goes by score, if that was known.
    towards: Option<Approach>,
}

impl Found {
    /// Its score, if it is there.
    pub fn score(&self) -> Option<f64> {
        self.score
    }
}

impl<'k> SortedSet<'k> {
    /// Opens the sorted set at a key, an empty one if there is no key.
    ///
    /// # Errors
    /// [`DataError::WrongType`], and as [`Tx::entry`].
    pub fn open(tx: &mut Tx<'_>, database: u32, key: &'k [u8]) -> Result<Self, DataError> {
        Opened::open(tx, database, key, Kind::SortedSet).map(Self)
    }

    /// As [`SortedSet::open`], in order to read: counts as a hit or a miss, and is `None` if there is no key.
    ///
    /// # Errors
    /// [`DataError::WrongType`], and as [`Tx::read`].
    pub fn find(tx: &mut Tx<'_>, database: u32, key: &'k [u8]) -> Result<Option<Self>, DataError> {
        Ok(Opened::find(tx, database, key, Kind::SortedSet)?.map(Self))
    }

    /// An empty one in the place of whatever the key of `entry` holds; it does not keep the expiry.
    pub fn replacing(tx: &Tx<'_>, entry: Entry<'k>) -> Self {
        Self(Opened::replacing(tx, entry, Kind::SortedSet))
    }

    /// How many members it has.
    pub fn len(&self) -> u64 {
        self.0.elements.scores.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged; so in all that follow.
    pub fn score(&mut self, tx: &mut Tx<'_>, member: &[u8]) -> Result<Option<f64>, DataError> {
        Ok(self.look(tx, member)?.score)
    }

    /// Looks for a member that may be given another score then.
    pub fn look(&mut self, tx: &mut Tx<'_>, member: &[u8]) -> Result<Found, DataError> {
        self.look_before(tx, member, None)
    }

    /// As [`SortedSet::look`], before it is given a score, if that is known: the way to where it goes then is found while the leaf comes in
    /// which the member is looked for.
    pub fn look_before(
        &mut self,
        tx: &mut Tx<'_>,
        member: &[u8],
        score: Option<f64>,
    ) -> Result<Found, DataError> {
        let Some(members) = &mut self.0.elements.members else {
            let score = self.by_score(tx, |tree, ground| {
                let cursor = tree.first(ground)?;
                let found = cursor.leaf().map(read_scored).find(|(_, at)| *at == member);
                Ok(found.map(|(score, _)| score))
            })?;
            return Ok(Found { score, place: None, towards: None });
        };
        let key = members.order.key(member);
        let leaf = self.0.plot.with(tx, members, |tree, ground| {
            let leaf = tree.leaf_towards(ground, &key.slot())?;
            if score.is_some() {
                ground.pages.announce(leaf);
            }
            Ok(leaf)
        })?;
        let towards = match score {
            Some(score) => Some(self.0.plot.with(tx, &mut self.0.elements.scores, |tree, ground| {
                tree.approach(ground, &Bound::at_member(score, member))
            })?),
            None => None,
        };
        self.0.plot.with(tx, members, |tree, ground| {
            let place = tree.find_in(ground, leaf, &key)?;
            let score = place.entry().map(|entry| read_score(read_hashed(entry).1)).transpose()?;
            Ok(Found { score, place: Some(place), towards })
        })
    }

    /// Gives a member a score, whether it is there or not; returns the score that it had.
    ///
    /// # Errors
    /// As [`SortedSet::score`], and if no number is left.
    pub fn set(&mut self, tx: &mut Tx<'_>, member: &[u8], score: f64) -> Result<Option<f64>, DataError> {
        fits(member.len())?;
        let found = self.look(tx, member)?;
        let was = found.score;
        self.set_found(tx, member, found, score)?;
        Ok(was)
    }

    /// It is to have so many members, of at most so many bytes: where that is too much for the compact form of Redis, it is not
    /// in that form from here on, though there be fewer yet.
    pub fn expect(&mut self, tx: &Tx<'_>, members: u64, longest: usize) {
        let compact = tx.data().compact();
        self.0.plot.big |= !compact.has_room(CompactLimit::SortedSetMembers, members)
            || !compact.fits(CompactLimit::SortedSetBytes, longest);
    }

    /// As [`SortedSet::set`], for a member that was looked for.
    ///
    /// # Errors
    /// As [`SortedSet::set`].
    pub fn set_found(
        &mut self,
        tx: &mut Tx<'_>,
        member: &[u8],
        found: Found,
        score: f64,
    ) -> Result<(), DataError> {
        let Found { score: was, place, towards } = found;
        // Before anything is written: whoever changes nothing does not save it either, and pages would be left without an owner.
        if was == Some(score) {
            return Ok(());
        }
        self.0.changed = true;
        if was.is_none() {
            self.expect(tx, self.len() + 1, member.len());
        }
        let score = self.kept(score);
        let entry = scored_entry(score, member);
        // With its length before it.
        self.make_room(tx, entry.len() + 2)?;
        let to = Bound::at_member(score, member);
        let towards = match towards {
            Some(towards) => towards,
            None => self.by_score(tx, |tree, ground| tree.approach(ground, &to))?,
        };
        let Some(was) = was else {
            self.by_score(tx, |tree, ground| {
                let cursor = tree.arrive(ground, towards, &to)?;
                tree.splice(ground, cursor, 0, &[&entry])
            })?;
            return self.put_member(tx, member, place, score);
        };
        let from = Bound::at_member(was, member);
        let ways = self.by_score(tx, |tree, ground| tree.part(ground, towards, &from))?;
        // The leaf that it leaves comes meanwhile.
        self.put_member(tx, member, place, score)?;
        let is_it = |entry: &[u8]| read_scored(entry).1 == member;
        let is_there =
            self.by_score(tx, |tree, ground| tree.relocate(ground, ways, (&from, is_it), &to, &entry))?;
        if is_there { Ok(()) } else { Err(MISPLACED) }
    }

    /// Keeps the tree of members in step, if there is one.
    fn put_member(
        &mut self,
        tx: &mut Tx<'_>,
        member: &[u8],
        place: Option<Place>,
        score: f64,
    ) -> Result<(), DataError> {
        let Some(members) = &mut self.0.elements.members else { return Ok(()) };
        self.0.plot.with(tx, members, |tree, ground| {
            let key = tree.order.key(member);
            let place = match place {
                Some(place) => place,
                None => tree.find(ground, &key)?,
            };
            match place.entry() {
                // The score is the end of the entry.
                Some(entry) => {
                    let at = entry.len().saturating_sub(8);
                    tree.overwrite(ground, place, at, &score.to_be_bytes())
                }
                None => tree.put_at(ground, place, &key, Some(&key.entry(&score.to_be_bytes()))),
            }
        })
    }

    /// Fills an empty one with members, each once.
    ///
    /// # Errors
    /// As [`SortedSet::set`].
    pub fn fill(&mut self, tx: &mut Tx<'_>, mut pairs: Vec<(f64, Bytes)>) -> Result<(), DataError> {
        debug_assert!(self.is_empty(), "what is there is not looked at");
        // As in `make_room`, for all of them.
        let bytes: usize = pairs.iter().map(|(_, member)| 8 + member.len() + 2).sum();
        if self.0.elements.scores.root.len() + bytes <= self.0.plot.root_bytes::<Scored>(tx) {
            let none = || Found { score: None, place: None, towards: None };
            return pairs.iter().try_for_each(|(score, member)| self.set_found(tx, member, none(), *score));
        }
        self.0.changed = true;
        for (at, (score, member)) in pairs.iter_mut().enumerate() {
            fits(member.len())?;
            self.expect(tx, at as u64 + 1, member.len());
            *score = self.kept(*score);
        }
        pairs.sort_by(|a, b| compare_scores(a.0, b.0).then_with(|| a.1.cmp(&b.1)));
        self.0.plot.number(tx)?;
        let scored = pairs.iter().map(|(score, member)| scored_entry(*score, member));
        self.0.elements.scores = self.0.plot.fill(tx, Scored, scored)?;
        let order = Hashed(tx.data().seed());
        let mut hashed: Vec<_> = pairs.iter().map(|pair| (order.key(&pair.1), pair.0)).collect();
        hashed.sort_unstable_by_key(|(key, _)| key.slot());
        let hashed = hashed.into_iter().map(|(key, score)| key.entry(&score.to_be_bytes()));
        self.0.elements.members = Some(self.0.plot.fill(tx, order, hashed)?);
        Ok(())
    }

    /// The score as it is kept: the compact form of Redis keeps whole numbers as such, which have one zero.
    fn kept(&self, score: f64) -> f64 {
        if score == 0.0 && !self.0.plot.big { 0.0 } else { score }
    }

    /// Removes a member; returns the score that it had.
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn remove(&mut self, tx: &mut Tx<'_>, member: &[u8]) -> Result<Option<f64>, DataError> {
        let Found { score, place, .. } = self.look(tx, member)?;
        let Some(was) = score else { return Ok(None) };
        self.0.changed = true;
        self.make_room(tx, 0)?;
        self.by_score(tx, |tree, ground| {
            let cursor = seek_member(tree, ground, was, member)?;
            tree.splice(ground, cursor, 1, &[])
        })?;
        self.remove_member(tx, member, place)?;
        Ok(score)
    }

    /// Writes the key record of what was changed, and tells of it; without members there is no key.
    ///
    /// # Errors
    /// As [`Tx::put`].
    pub fn save(&self, tx: &mut Tx<'_>, event: Event) -> Result<(), DataError> {
        self.0.save(tx, event)
    }

    /// One step of a walk over at least `count` members from `cursor` on, if there are so many; returns where to go on, 0 at
    /// the end. What is there throughout a walk comes exactly once.
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn scan(
        &mut self,
        tx: &mut Tx<'_>,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(f64, Bytes),
    ) -> Result<u64, DataError> {
        let Some(members) = &mut self.0.elements.members else {
            return self.by_score(tx, |tree, ground| {
                tree.walk(ground, 0, false, |entry| {
                    let (score, member) = pair_of(&entry);
                    visit(score, member);
                    true
                })?;
                Ok(0)
            });
        };
        self.0.plot.with(tx, members, |tree, ground| {
            let (entries, next) = tree.scan_some(ground, cursor, count)?;
            for entry in entries {
                let (member, score) = read_hashed(&entry);
                visit(read_score(score)?, entry.slice_ref(member));
            }
            Ok(next)
        })
    }

    /// Works on the tree of scores.
    pub(super) fn by_score<T>(
        &mut self,
        tx: &mut Tx<'_>,
        work: impl FnOnce(&mut Tree<Scored>, &mut Ground<'_, '_, '_>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        self.0.plot.with(tx, &mut self.0.elements.scores, work)
    }

    /// Keeps the tree of members in step, if there is one.
    pub(super) fn remove_member(
        &mut self,
        tx: &mut Tx<'_>,
        member: &[u8],
        place: Option<Place>,
    ) -> Result<(), DataError> {
        let Some(members) = &mut self.0.elements.members else { return Ok(()) };
        self.0.plot.with(tx, members, |tree, ground| {
            let key = tree.order.key(member);
            let place = match place {
                Some(place) => place,
                None => tree.find(ground, &key)?,
            };
            // At the end of its leaf there is none.
            tree.put_at(ground, place, &key, None)
        })
    }

    /// Makes two trees of one leaf, if it does not hold so many bytes more. One that is larger than leaves are now (they were larger once)
    /// would be cut by any change, and a cut one must have both.
    pub(super) fn make_room(&mut self, tx: &mut Tx<'_>, bytes: usize) -> Result<(), DataError> {
        if self.0.elements.members.is_some()
            || self.0.elements.scores.root.len() + bytes <= self.0.plot.root_bytes::<Scored>(tx)
        {
            return Ok(());
        }
        self.0.plot.number(tx)?;
        let mut members = Tree::new(Hashed(tx.data().seed()));
        let pairs: Vec<Bytes> = self.by_score(tx, |tree, ground| {
            Ok(tree.first(ground)?.leaf().map(Bytes::copy_from_slice).collect())
        })?;
        for pair in pairs {
            let (score, member) = read_scored(&pair);
            self.0.plot.with(tx, &mut members, |tree, ground| {
                let key = tree.order.key(member);
                let place = tree.find(ground, &key)?;
                tree.put_at(ground, place, &key, Some(&key.entry(&score.to_be_bytes())))
            })?;
        }
        self.0.elements.members = Some(members);
        Ok(())
    }
}

/// The two trees of a sorted set differ.
const MISPLACED: DataError = DataError::Corrupt("a member of a sorted set is not where its score says");

/// The place of a member that has this score.
fn seek_member(
    tree: &Tree<Scored>,
    ground: &mut Ground<'_, '_, '_>,
    score: f64,
    member: &[u8],
) -> Result<Cursor, DataError> {
    let mut cursor = tree.seek(ground, &Bound::at_member(score, member))?;
    tree.settle(ground, &mut cursor)?;
    if cursor.entry().is_none_or(|entry| read_scored(entry).1 != member) {
        return Err(MISPLACED);
    }
    Ok(cursor)
}

/// Score and member of an entry, in the memory of the entry.
pub(super) fn pair_of(entry: &Bytes) -> (f64, Bytes) {
    let (score, member) = read_scored(entry);
    (score, entry.slice_ref(member))
}

fn read_score(value: &[u8]) -> Result<f64, DataError> {
    let bytes = value.try_into().map_err(|_| DataError::Corrupt("a score is not eight bytes"))?;
    Ok(f64::from_be_bytes(bytes))
}
