//! Members of a sorted set by where they stand: ranks, ranges of scores, ranges of members.
//!
//! Invariant: a range is two ranks, known before any of its members is visited or removed.

use bytes::Bytes;

use super::sorted_set::{SortedSet, pair_of};
use crate::data::tree::{Among, Bound};
use crate::data::{DataError, Tx};

/// One end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScoreEdge {
    /// This score belongs to it.
    Including(f64),
    /// This score does not.
    Excluding(f64),
}

/// A range of members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScoreBounds<'a> {
    /// By score, from the first edge to the second.
    Scores(ScoreEdge, ScoreEdge),
    /// By bytes, where all have one score: from the first place to the second.
    Members(Place<'a>, Place<'a>),
}

/// One end of a range of members of one score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// Before all.
    First,
    /// Before this one.
    Before(&'a [u8]),
    /// Behind this one.
    Behind(&'a [u8]),
    /// Behind all.
    Last,
}

impl SortedSet<'_> {
    /// How many members stand before this one, whose score is known.
    ///
    /// # Errors
    /// As [`SortedSet::score`]; so in all that follow.
    pub fn rank(&mut self, tx: &mut Tx<'_>, score: f64, member: &[u8]) -> Result<u64, DataError> {
        self.rank_at(tx, Bound::at_member(score, member))
    }

    /// How many members stand before what would follow this one, be it there or not.
    pub fn rank_behind(&mut self, tx: &mut Tx<'_>, score: f64, member: &[u8]) -> Result<u64, DataError> {
        self.rank_at(tx, Bound { score, among: Among::Behind(member) })
    }

    fn rank_at(&mut self, tx: &mut Tx<'_>, bound: Bound<'_, f64>) -> Result<u64, DataError> {
        self.by_score(tx, |tree, ground| Ok(tree.seek(ground, &bound)?.rank()))
    }

    /// The ranks of a range: the first in it, and the first behind it.
    pub fn ranks(&mut self, tx: &mut Tx<'_>, bounds: ScoreBounds<'_>) -> Result<(u64, u64), DataError> {
        let (from, to) = match bounds {
            ScoreBounds::Scores(from, to) => (
                match from {
                    ScoreEdge::Including(score) => Bound::from_score(score),
                    ScoreEdge::Excluding(score) => Bound::behind_score(score),
                },
                match to {
                    ScoreEdge::Including(score) => Bound::behind_score(score),
                    ScoreEdge::Excluding(score) => Bound::from_score(score),
                },
            ),
            ScoreBounds::Members(from, to) => {
                let Some((score, _)) = self.nth(tx, 0)? else { return Ok((0, 0)) };
                let last = self.len() - 1;
                if self.nth(tx, last)?.is_some_and(|(last, _)| last != score) {
                    let from = self.members_before(tx, from)?;
                    return Ok((from, self.members_before(tx, to)?.max(from)));
                }
                let bound = |place| match place {
                    Place::First => Bound::from_score(f64::NEG_INFINITY),
                    Place::Last => Bound::behind_score(f64::INFINITY),
                    Place::Before(member) => Bound { score, among: Among::Before(member) },
                    Place::Behind(member) => Bound { score, among: Among::Behind(member) },
                };
                (bound(from), bound(to))
            }
        };
        let from = self.rank_at(tx, from)?;
        let to = self.rank_at(tx, to)?;
        Ok((from, to.max(from)))
    }

    /// How many members stand before a place, where they have several scores: as Redis, by the members alone, which makes sense if
    /// they stand in the order of their bytes all the same.
    fn members_before(&mut self, tx: &mut Tx<'_>, place: Place<'_>) -> Result<u64, DataError> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let member = self.nth(tx, middle)?.map(|(_, member)| member).unwrap_or_default();
            let passed = match place {
                Place::First => false,
                Place::Before(bound) => member < bound,
                Place::Behind(bound) => member <= bound,
                Place::Last => true,
            };
            if passed { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// The member of a rank, with its score.
    pub fn nth(&mut self, tx: &mut Tx<'_>, rank: u64) -> Result<Option<(f64, Bytes)>, DataError> {
        let mut found = None;
        self.for_each(tx, rank, 1, false, |score, member| found = Some((score, member)))?;
        Ok(found)
    }

    /// Visits `count` members from `rank` on; backwards with `reverse`.
    pub fn for_each(
        &mut self,
        tx: &mut Tx<'_>,
        rank: u64,
        count: u64,
        reverse: bool,
        mut visit: impl FnMut(f64, Bytes),
    ) -> Result<(), DataError> {
        let mut left = count;
        if left == 0 {
            return Ok(());
        }
        self.by_score(tx, |tree, ground| {
            tree.walk(ground, rank, reverse, |entry| {
                let (score, member) = pair_of(&entry);
                visit(score, member);
                left -= 1;
                left > 0
            })
        })
    }

    /// Removes the members of the ranks `from..to`, visiting each.
    pub fn remove_ranks(
        &mut self,
        tx: &mut Tx<'_>,
        from: u64,
        to: u64,
        mut visit: impl FnMut(f64, Bytes),
    ) -> Result<(), DataError> {
        let mut left = to.min(self.len()).saturating_sub(from);
        if left > 0 {
            self.0.changed = true;
            self.make_room(tx, 0)?;
        }
        while left > 0 {
            let gone = self.by_score(tx, |tree, ground| tree.take_some(ground, from, left))?;
            left -= gone.len() as u64;
            for entry in gone {
                let (score, member) = pair_of(&entry);
                self.remove_member(tx, &member, None)?;
                visit(score, member);
            }
        }
        Ok(())
    }
}
