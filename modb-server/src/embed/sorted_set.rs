//! Sorted sets: members in the order of their scores, under one key of the database.

use std::ops::{Bound, RangeBounds};

use super::Keyspace;
use super::access::{Access, reads_and_writes};
use super::walk::{STEP_ELEMENTS, Walk};
use crate::data::{DataError, ScoreBounds, ScoreEdge, SortedSet as Tree, Tx};
use crate::error::Error;
use crate::messages::Event;
use crate::value::Value;

/// Members in the order of their scores, and of their bytes where scores are the same, at one key of a [`Keyspace`]; see
/// [`Keyspace::sorted_set`]. The same that clients reach with `ZADD` and `ZRANGE`. Members are found by themselves, by rank and by score, in a
/// time that hardly grows with their number. A handle, with the same properties as a [`Hash`](super::Hash).
///
/// ```
/// # let database = modb_server::Database::in_memory()?;
/// let players = database.sorted_set("players");
/// players.insert("ann", 310.0)?;
/// players.insert("bob", 120.0)?;
/// players.increment("bob", 250.0)?;
/// assert_eq!(players.rank("bob")?, Some(1));
/// assert_eq!(players.last()?, Some(("bob".into(), 370.0)));
///
/// // Several keys as one commit, of which nobody sees a part.
/// database.update(&["players", "retired"], |keys| {
///     let score = keys.sorted_set("players")?.remove("ann")?.unwrap_or_default();
///     keys.sorted_set("retired")?.insert("ann", score)
/// })?;
/// assert_eq!((players.len()?, database.sorted_set("retired").score("ann")?), (1, Some(310.0)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SortedSet<A = Keyspace> {
    pub(super) access: A,
    pub(super) key: Value,
}

impl<A: Access> SortedSet<A> {
    pub(super) fn new(access: A, key: Value) -> Self {
        Self { access, key }
    }

    reads_and_writes!(Tree);

    /// The score of a member.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.sorted_set("players").score("ann")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::WrongType`] if what lies there is no sorted set, and as [`Keyspace::set`]; so in all that follow.
    pub fn score(&self, member: impl AsRef<[u8]>) -> Result<Option<f64>, Error> {
        self.read(|set, tx| Ok(set.score(tx, member.as_ref())?))
    }

    /// Gives a member a score, whether it is there or not; returns the score that it had.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let players = database.sorted_set("players");
    /// assert_eq!((players.insert("ann", 1.0)?, players.insert("ann", 2.0)?), (None, Some(1.0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`], [`Error::ValueTooLong`], and [`Error::NotANumber`].
    pub fn insert(&self, member: impl AsRef<[u8]>, score: f64) -> Result<Option<f64>, Error> {
        if score.is_nan() {
            return Err(Error::NotANumber);
        }
        self.write(Event::sorted_set("zadd"), |set, tx| Ok(set.set(tx, member.as_ref(), score)?))
    }

    /// Gives several members scores, as one commit; says how many of them are new.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.sorted_set("players").insert_many([("ann", 1.0), ("bob", 2.0)])?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::insert`].
    pub fn insert_many<M: AsRef<[u8]>>(
        &self,
        members: impl IntoIterator<Item = (M, f64)>,
    ) -> Result<usize, Error> {
        let members: Vec<(M, f64)> = members.into_iter().collect();
        super::fit(members.iter().map(|(member, _)| member.as_ref().len()))?;
        if members.iter().any(|(_, score)| score.is_nan()) {
            return Err(Error::NotANumber);
        }
        self.write(Event::sorted_set("zadd"), |set, tx| {
            let mut new = 0;
            for (member, score) in &members {
                new += usize::from(set.set(tx, member.as_ref(), *score)?.is_none());
            }
            Ok(new)
        })
    }

    /// Adds to the score of a member (0 if it is not there); gives the sum.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.sorted_set("players").increment("ann", 2.5)?, 2.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::insert`].
    pub fn increment(&self, member: impl AsRef<[u8]>, by: f64) -> Result<f64, Error> {
        self.write(Event::sorted_set("zincr"), |set, tx| {
            let found = set.look(tx, member.as_ref())?;
            let sum = found.score().unwrap_or_default() + by;
            if sum.is_nan() {
                return Err(Error::NotANumber);
            }
            set.set_found(tx, member.as_ref(), found, sum)?;
            Ok(sum)
        })
    }

    /// Takes a member away; returns its score.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let players = database.sorted_set("players");
    /// players.insert("ann", 1.0)?;
    /// assert_eq!(players.remove("ann")?, Some(1.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn remove(&self, member: impl AsRef<[u8]>) -> Result<Option<f64>, Error> {
        self.write(Event::sorted_set("zrem"), |set, tx| Ok(set.remove(tx, member.as_ref())?))
    }

    /// Takes the members of a range of scores away; says how many they were.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let players = database.sorted_set("players");
    /// players.insert_many([("ann", 1.0), ("bob", 2.0)])?;
    /// assert_eq!(players.remove_range(..2.0)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn remove_range(&self, scores: impl RangeBounds<f64>) -> Result<u64, Error> {
        let scores = Scores::of(&scores);
        self.write(Event::sorted_set("zremrangebyscore"), |set, tx| {
            let (from, to) = scores.ranks(set, tx)?;
            set.remove_ranks(tx, from, to, |_, _| {})?;
            Ok(to - from)
        })
    }

    /// Takes the member of the lowest score away, and returns it.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let due = database.sorted_set("due");
    /// due.insert_many([("wash", 9.0), ("dry", 10.0)])?;
    /// assert_eq!(due.pop_first()?, Some(("wash".into(), 9.0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn pop_first(&self) -> Result<Option<(Value, f64)>, Error> {
        self.pop("zpopmin", |_| 0)
    }

    /// Takes the member of the highest score away, and returns it.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let due = database.sorted_set("due");
    /// due.insert_many([("wash", 9.0), ("dry", 10.0)])?;
    /// assert_eq!(due.pop_last()?, Some(("dry".into(), 10.0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn pop_last(&self) -> Result<Option<(Value, f64)>, Error> {
        self.pop("zpopmax", |len| len - 1)
    }

    fn pop(&self, name: &'static str, rank: impl FnOnce(u64) -> u64) -> Result<Option<(Value, f64)>, Error> {
        self.write(Event::sorted_set(name), |set, tx| {
            let mut popped = None;
            if !set.is_empty() {
                let rank = rank(set.len());
                set.remove_ranks(tx, rank, rank + 1, |score, member| popped = Some((member.into(), score)))?;
            }
            Ok(popped)
        })
    }

    /// How many members stand before a member, if that is there.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let players = database.sorted_set("players");
    /// players.insert_many([("ann", 1.0), ("bob", 2.0)])?;
    /// assert_eq!((players.rank("bob")?, players.rank("eve")?), (Some(1), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn rank(&self, member: impl AsRef<[u8]>) -> Result<Option<u64>, Error> {
        self.read(|set, tx| match set.score(tx, member.as_ref())? {
            Some(score) => Ok(Some(set.rank(tx, score, member.as_ref())?)),
            None => Ok(None),
        })
    }

    /// The member of a rank with its score, counted from 0 at the lowest.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let players = database.sorted_set("players");
    /// players.insert_many([("ann", 1.0), ("bob", 2.0)])?;
    /// assert_eq!(players.nth(1)?, Some(("bob".into(), 2.0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn nth(&self, rank: u64) -> Result<Option<(Value, f64)>, Error> {
        self.read(|set, tx| Ok(nth(set, tx, rank)?))
    }

    /// The member of the lowest score.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.sorted_set("players").first()?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn first(&self) -> Result<Option<(Value, f64)>, Error> {
        self.nth(0)
    }

    /// The member of the highest score.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.sorted_set("players").last()?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn last(&self) -> Result<Option<(Value, f64)>, Error> {
        self.read(|set, tx| match set.len().checked_sub(1) {
            Some(rank) => Ok(nth(set, tx, rank)?),
            None => Ok(None),
        })
    }

    /// How many members have a score in a range, in a time that does not grow with their number.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let players = database.sorted_set("players");
    /// players.insert_many([("ann", 1.0), ("bob", 2.0)])?;
    /// assert_eq!((players.count(2.0..)?, players.count(..)?), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn count(&self, scores: impl RangeBounds<f64>) -> Result<u64, Error> {
        let scores = Scores::of(&scores);
        self.read(|set, tx| {
            let (from, to) = scores.ranks(set, tx)?;
            Ok(to - from)
        })
    }

    /// How many members it has.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.sorted_set("players").len()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn len(&self) -> Result<u64, Error> {
        self.read(|set, _| Ok(set.len()))
    }

    /// Whether it has none.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert!(database.sorted_set("players").is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// All members with their scores at one moment, which therefore are all in memory: for a small one. [`SortedSet::iter`] is for any.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// database.sorted_set("players").insert("ann", 1.0)?;
    /// let all = database.update(&["players"], |keys| keys.sorted_set("players")?.to_vec())?;
    /// assert_eq!(all, [("ann".into(), 1.0)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`SortedSet::score`].
    pub fn to_vec(&self) -> Result<Vec<(Value, f64)>, Error> {
        self.read(|set, tx| {
            let (mut all, len) = (Vec::new(), set.len());
            set.for_each(tx, 0, len, false, |score, member| all.push((member.into(), score)))?;
            Ok(all)
        })
    }
}

impl SortedSet {
    /// All members with their scores, the lowest first, from both ends. It holds nothing between two steps: what is there throughout, with the
    /// same score, comes exactly once; what comes, goes or gets another score meanwhile may come or not, and also twice.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let players = database.sorted_set("players");
    /// players.insert_many([("ann", 1.0), ("bob", 2.0), ("eve", 3.0)])?;
    /// let best: Vec<_> = players.iter().rev().take(2).map(|entry| Ok(entry?.0)).collect::<Result<_, modb_server::Error>>()?;
    /// assert_eq!(best, ["eve", "bob"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A step is an error, and the last one, where [`SortedSet::score`] would be.
    pub fn iter(&self) -> Scored {
        self.range(..)
    }

    /// As [`SortedSet::iter`], for the members of a range of scores.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let due = database.sorted_set("due");
    /// due.insert_many([("wash", 9.0), ("dry", 10.0), ("iron", 12.0)])?;
    /// let now: Vec<_> = due.range(..=10.0).map(|entry| Ok(entry?.0)).collect::<Result<_, modb_server::Error>>()?;
    /// assert_eq!(now, ["wash", "dry"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range(&self, scores: impl RangeBounds<f64>) -> Scored {
        let scores = Scores::of(&scores);
        Scored { set: self.clone(), scores, behind: None, before: None, walk: Walk::default() }
    }
}

fn nth(set: &mut Tree<'_>, tx: &mut Tx<'_>, rank: u64) -> Result<Option<(Value, f64)>, DataError> {
    Ok(if rank < set.len() { set.nth(tx, rank)?.map(|(score, member)| (member.into(), score)) } else { None })
}

/// A range of scores; `None`: an end of it is no number, so nothing is in it.
#[derive(Clone, Copy, Debug)]
struct Scores(Option<(ScoreEdge, ScoreEdge)>);

impl Scores {
    fn of(range: &impl RangeBounds<f64>) -> Self {
        let edge = |bound: Bound<&f64>, all: f64| match bound {
            Bound::Included(score) => (!score.is_nan()).then_some(ScoreEdge::Including(*score)),
            Bound::Excluded(score) => (!score.is_nan()).then_some(ScoreEdge::Excluding(*score)),
            Bound::Unbounded => Some(ScoreEdge::Including(all)),
        };
        let ends = (edge(range.start_bound(), f64::NEG_INFINITY), edge(range.end_bound(), f64::INFINITY));
        Self(ends.0.zip(ends.1))
    }

    /// The first rank in it, and the one behind the last.
    fn ranks(self, set: &mut Tree<'_>, tx: &mut Tx<'_>) -> Result<(u64, u64), DataError> {
        match self.0 {
            Some((from, to)) => set.ranks(tx, ScoreBounds::Scores(from, to)),
            None => Ok((0, 0)),
        }
    }
}

/// Members of a [`SortedSet`] with their scores, from both ends: see [`SortedSet::iter`].
#[derive(Debug)]
pub struct Scored {
    set: SortedSet,
    scores: Scores,
    /// What was read last from the front, and from the back.
    behind: Option<(Value, f64)>,
    before: Option<(Value, f64)>,
    walk: Walk<(Value, f64)>,
}

impl Scored {
    fn step(&mut self, reverse: bool) -> Option<Result<(Value, f64), Error>> {
        let Self { set, scores, behind, before, walk } = self;
        walk.step(&set.access.shared, reverse, |reverse| {
            let read = set.read(|set, tx| {
                let (mut from, mut to) = scores.ranks(set, tx)?;
                if let Some((member, score)) = &behind {
                    from = from.max(set.rank_behind(tx, *score, member)?);
                }
                if let Some((member, score)) = &before {
                    to = to.min(set.rank(tx, *score, member)?);
                }
                let count = to.saturating_sub(from).min(STEP_ELEMENTS as u64);
                let first = if reverse { to.saturating_sub(1) } else { from };
                let mut read = Vec::new();
                set.for_each(tx, first, count, reverse, |score, member| read.push((member.into(), score)))?;
                Ok(read)
            })?;
            let Some(last) = read.last().cloned() else { return Ok(None) };
            *(if reverse { &mut *before } else { &mut *behind }) = Some(last);
            Ok(Some(read))
        })
    }
}

impl Iterator for Scored {
    type Item = Result<(Value, f64), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(false)
    }
}

impl DoubleEndedIterator for Scored {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}

impl std::iter::FusedIterator for Scored {}
