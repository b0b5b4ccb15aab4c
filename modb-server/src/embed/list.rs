//! Lists: elements where they were put, under one key of the database.

use std::ops::{Bound, RangeBounds};

use super::Keyspace;
use super::access::{Access, reads_and_writes};
use super::walk::{STEP_ELEMENTS, Walk};
use crate::data::{End, List as Tree, Tx};
use crate::error::Error;
use crate::messages::Event;
use crate::value::Value;

/// A list of elements at one key of a [`Keyspace`]; see [`Keyspace::list`]. The same that clients reach with `LPUSH` and `RPOP`: its front is
/// their left end. An element is found by its index, and put in or taken out anywhere, in a time that hardly grows with their number. A
/// handle, with the same properties as a [`Hash`](super::Hash).
///
/// ```
/// # let database = modb_server::Database::in_memory()?;
/// let jobs = database.list("jobs");
/// jobs.push_back("wash")?;
/// jobs.push_back("dry")?;
/// jobs.push_front("soak")?;
/// assert_eq!(jobs.get(1)?, Some("wash".into()));
///
/// // Several keys as one commit, of which nobody sees a part.
/// let job = database.update(&["jobs", "working"], |keys| {
///     let Some(job) = keys.list("jobs")?.pop_front()? else { return Ok(None) };
///     keys.list("working")?.push_back(&job)?;
///     Ok::<_, modb_server::Error>(Some(job))
/// })?;
/// assert_eq!((job, jobs.len()?), (Some("soak".into()), 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct List<A = Keyspace> {
    pub(super) access: A,
    pub(super) key: Value,
}

impl<A: Access> List<A> {
    pub(super) fn new(access: A, key: Value) -> Self {
        Self { access, key }
    }

    reads_and_writes!(Tree);

    fn push(&self, end: End, element: &[u8]) -> Result<u64, Error> {
        self.write(end.pushed(), |list, tx| {
            list.push(tx, end, element)?;
            Ok(list.len())
        })
    }

    fn pop(&self, end: End) -> Result<Option<Value>, Error> {
        self.write(end.popped(), |list, tx| Ok(list.take(tx, end, 1)?.pop().map(Value::from)))
    }

    /// The element at an index, counted from 0 at the front.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let jobs = database.list("jobs");
    /// jobs.extend(["wash", "dry"])?;
    /// assert_eq!((jobs.get(1)?, jobs.get(2)?), (Some("dry".into()), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::WrongType`] if what lies there is no list, and as [`Keyspace::set`]; so in all that follow.
    pub fn get(&self, index: u64) -> Result<Option<Value>, Error> {
        self.read(|list, tx| {
            Ok(if index < list.len() { list.get(tx, index)?.map(Value::from) } else { None })
        })
    }

    /// The first element.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// database.list("jobs").extend(["wash", "dry"])?;
    /// assert_eq!(database.list("jobs").front()?, Some("wash".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn front(&self) -> Result<Option<Value>, Error> {
        self.get(0)
    }

    /// The last element.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// database.list("jobs").extend(["wash", "dry"])?;
    /// assert_eq!(database.list("jobs").back()?, Some("dry".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn back(&self) -> Result<Option<Value>, Error> {
        self.read(|list, tx| match list.len().checked_sub(1) {
            Some(last) => Ok(list.get(tx, last)?.map(Value::from)),
            None => Ok(None),
        })
    }

    /// Puts an element at the front; gives the new length.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.list("jobs").push_front("soak")?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::get`], and [`Error::ValueTooLong`].
    pub fn push_front(&self, element: impl AsRef<[u8]>) -> Result<u64, Error> {
        self.push(End::Left, element.as_ref())
    }

    /// Puts an element at the back; gives the new length.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.list("jobs").push_back("wash")?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::push_front`].
    pub fn push_back(&self, element: impl AsRef<[u8]>) -> Result<u64, Error> {
        self.push(End::Right, element.as_ref())
    }

    /// Puts several elements at the back, as one commit; gives the new length.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.list("jobs").extend(["wash", "dry"])?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::push_front`].
    pub fn extend<E: AsRef<[u8]>>(&self, elements: impl IntoIterator<Item = E>) -> Result<u64, Error> {
        let elements: Vec<E> = elements.into_iter().collect();
        super::fit(elements.iter().map(|element| element.as_ref().len()))?;
        self.write(End::Right.pushed(), |list, tx| {
            for element in &elements {
                list.push(tx, End::Right, element.as_ref())?;
            }
            Ok(list.len())
        })
    }

    /// Takes the first element away, and returns it.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let jobs = database.list("jobs");
    /// jobs.push_back("wash")?;
    /// assert_eq!((jobs.pop_front()?, jobs.pop_front()?), (Some("wash".into()), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn pop_front(&self) -> Result<Option<Value>, Error> {
        self.pop(End::Left)
    }

    /// Takes the last element away, and returns it.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let jobs = database.list("jobs");
    /// jobs.extend(["wash", "dry"])?;
    /// assert_eq!(jobs.pop_back()?, Some("dry".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn pop_back(&self) -> Result<Option<Value>, Error> {
        self.pop(End::Right)
    }

    /// Replaces the element at an index.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let jobs = database.list("jobs");
    /// jobs.push_back("wash")?;
    /// jobs.set(0, "rinse")?;
    /// assert!(matches!(jobs.set(1, "dry"), Err(modb_server::Error::OutOfRange)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::push_front`], and [`Error::OutOfRange`].
    pub fn set(&self, index: u64, element: impl AsRef<[u8]>) -> Result<(), Error> {
        self.write(Event::list("lset"), |list, tx| {
            if index >= list.len() {
                return Err(Error::OutOfRange);
            }
            Ok(list.set(tx, index, element.as_ref())?)
        })
    }

    /// Puts an element before the one at an index, or at the back if the index is the length.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let jobs = database.list("jobs");
    /// jobs.extend(["wash", "dry"])?;
    /// jobs.insert(1, "rinse")?;
    /// assert_eq!(jobs.to_vec()?, ["wash", "rinse", "dry"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::set`].
    pub fn insert(&self, index: u64, element: impl AsRef<[u8]>) -> Result<(), Error> {
        self.write(Event::list("linsert"), |list, tx| {
            if index > list.len() {
                return Err(Error::OutOfRange);
            }
            Ok(list.insert(tx, index, element.as_ref())?)
        })
    }

    /// Takes the element at an index away, and returns it.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let jobs = database.list("jobs");
    /// jobs.extend(["wash", "dry"])?;
    /// assert_eq!((jobs.remove(0)?, jobs.remove(1)?), (Some("wash".into()), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn remove(&self, index: u64) -> Result<Option<Value>, Error> {
        self.write(Event::list("lrem"), |list, tx| {
            let mut removed = None;
            list.remove(tx, index, index.saturating_add(1), |element| removed = Some(Value::from(element)))?;
            Ok(removed)
        })
    }

    /// Keeps the elements of a range of indexes only.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let latest = database.list("latest");
    /// latest.push_front("news")?;
    /// latest.keep(..100)?;
    /// assert_eq!(latest.len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn keep(&self, range: impl RangeBounds<u64>) -> Result<(), Error> {
        let (from, to) = indexes(&range);
        self.write(Event::list("ltrim"), |list, tx| {
            let to = to.unwrap_or(u64::MAX).min(list.len());
            if from > 0 || to < list.len() {
                list.trim(tx, from, to)?;
            }
            Ok(())
        })
    }

    /// The index of the first element that is the same as this one; looks at one after the other.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let jobs = database.list("jobs");
    /// jobs.extend(["wash", "dry"])?;
    /// assert_eq!((jobs.position("dry")?, jobs.position("iron")?), (Some(1), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn position(&self, element: impl AsRef<[u8]>) -> Result<Option<u64>, Error> {
        self.read(|list, tx| {
            let mut found = None;
            list.walk_from(tx, End::Left, |index, each| {
                found = (each == element.as_ref()).then_some(index);
                found.is_none()
            })?;
            Ok(found)
        })
    }

    /// How many elements it has.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.list("jobs").len()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn len(&self) -> Result<u64, Error> {
        self.read(|list, _| Ok(list.len()))
    }

    /// Whether it has none.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert!(database.list("jobs").is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// All elements at one moment, which therefore are all in memory: for a small one. [`List::iter`] is for any.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// database.list("jobs").extend(["wash", "dry"])?;
    /// let all = database.update(&["jobs"], |keys| keys.list("jobs")?.to_vec())?;
    /// assert_eq!(all, ["wash", "dry"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn to_vec(&self) -> Result<Vec<Value>, Error> {
        self.read(|list, tx| {
            let (mut all, len) = (Vec::new(), list.len());
            list.for_each(tx, 0, len, |element| all.push(element.into()))?;
            Ok(all)
        })
    }
}

impl List {
    /// All elements, from both ends. It holds nothing between two steps and goes by the index, from either end: what is pushed or taken at that
    /// end meanwhile moves the elements under it, so that one comes twice or not at all.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let jobs = database.list("jobs");
    /// jobs.extend(["wash", "dry"])?;
    /// let reversed: Vec<_> = jobs.iter().rev().collect::<Result<_, _>>()?;
    /// assert_eq!(reversed, ["dry", "wash"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A step is an error, and the last one, where [`List::get`] would be.
    pub fn iter(&self) -> Elements {
        self.range(..)
    }

    /// As [`List::iter`], for a range of indexes.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let jobs = database.list("jobs");
    /// jobs.extend(["soak", "wash", "dry"])?;
    /// let some: Vec<_> = jobs.range(..2).collect::<Result<_, _>>()?;
    /// assert_eq!(some, ["soak", "wash"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range(&self, range: impl RangeBounds<u64>) -> Elements {
        let (from, to) = indexes(&range);
        let to = to.map_or(Until::FromBack(0), Until::Index);
        Elements { list: self.clone(), from, to, walk: Walk::default() }
    }
}

/// The first index of a range, and the one behind it.
fn indexes(range: &impl RangeBounds<u64>) -> (u64, Option<u64>) {
    let from = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(index) => Some(index.saturating_add(1)),
        Bound::Excluded(index) => Some(*index),
        Bound::Unbounded => None,
    };
    (from, to)
}

/// Elements of a [`List`], from both ends: see [`List::iter`].
#[derive(Debug)]
pub struct Elements {
    list: List,
    from: u64,
    to: Until,
    walk: Walk<Value>,
}

/// Where the elements end that were not read yet.
#[derive(Clone, Copy, Debug)]
enum Until {
    Index(u64),
    /// With so many behind them.
    FromBack(u64),
}

impl Until {
    fn index(self, len: u64) -> u64 {
        match self {
            Self::Index(index) => index.min(len),
            Self::FromBack(behind) => len.saturating_sub(behind),
        }
    }
}

impl Elements {
    fn step(&mut self, reverse: bool) -> Option<Result<Value, Error>> {
        let Self { list, from, to, walk } = self;
        walk.step(&list.access.shared, reverse, |reverse| {
            let (read, first) = list.read(|list, tx| {
                let end = to.index(list.len());
                let count = end.saturating_sub(*from).min(STEP_ELEMENTS as u64);
                let first = if reverse { end - count } else { *from };
                let mut read = Vec::new();
                list.for_each(tx, first, count, |element| read.push(Value::from(element)))?;
                Ok((read, first))
            })?;
            if read.is_empty() {
                return Ok(None);
            }
            let count = read.len() as u64;
            match to {
                _ if !reverse => *from += count,
                Until::Index(_) => *to = Until::Index(first),
                Until::FromBack(behind) => *to = Until::FromBack(*behind + count),
            }
            Ok(Some(if reverse { read.into_iter().rev().collect() } else { read }))
        })
    }
}

impl Iterator for Elements {
    type Item = Result<Value, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(false)
    }
}

impl DoubleEndedIterator for Elements {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}

impl std::iter::FusedIterator for Elements {}
