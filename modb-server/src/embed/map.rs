//! Maps: many keys in the order of their bytes, under one key of the database.

use std::ops::{Bound, RangeBounds};

use super::Keyspace;
use super::access::{Access, reads_and_writes};
use super::walk::{STEP_ELEMENTS, Walk};
use crate::data::{Among, DataError, Map as Tree, Tx};
use crate::error::Error;
use crate::messages::Event;
use crate::value::Value;

/// A map in the order of its keys, which lies at one key of a [`Keyspace`]: see [`Keyspace::map`]. A handle, to be cloned and sent to
/// other threads as one likes; each call is a commit of its own. What is done to the key is done to the whole map: it expires, is
/// copied, renamed and deleted in the same time whatever it holds. A map without keys is no key.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let database = modb_server::Database::in_memory()?;
/// let towns = database.map("towns");
/// towns.insert("Bergen", "291940")?;
/// towns.insert("Oslo", "717710")?;
/// towns.insert("Alta", "21144")?;
///
/// assert_eq!(towns.get("Oslo")?, Some("717710".into()));
/// assert_eq!((towns.len()?, towns.rank("Oslo")?), (3, 2));
/// let names: Vec<_> = towns.range("B"..).map(|entry| Ok(entry?.0)).collect::<Result<_, modb_server::Error>>()?;
/// assert_eq!(names, ["Bergen", "Oslo"]);
/// let last = towns.iter().next_back().transpose()?;
/// assert_eq!(last, Some(("Oslo".into(), "717710".into())));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Map<A = Keyspace> {
    access: A,
    key: Value,
}

impl<A: Access> Map<A> {
    pub(super) fn new(access: A, key: Value) -> Self {
        Self { access, key }
    }

    reads_and_writes!(Tree);

    /// Gives a key a value, or takes it away.
    fn put(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Value>, Error> {
        // Redis has no such type, and no such event.
        let event = Event::other(if value.is_some() { "map.insert" } else { "map.remove" });
        self.write(event, |map, tx| Ok(map.put(tx, key, value)?.map(Value::from)))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`Error::WrongType`] if what lies there is no map, and as [`Keyspace::set`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.read(|map, tx| Ok(map.get(tx, key.as_ref())?.map(Value::from)))
    }

    /// Gives a key a value; returns the one that it had.
    ///
    /// # Errors
    /// As [`Map::get`], and [`Error::ValueTooLong`].
    pub fn insert(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.put(key.as_ref(), Some(value.as_ref()))
    }

    /// Takes a key away; returns its value.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.put(key.as_ref(), None)
    }

    /// How many keys it has.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub fn len(&self) -> Result<u64, Error> {
        self.read(|map, _| Ok(map.len()))
    }

    /// Whether it has none.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// How many keys stand before `key`, whether that is there or not; in a time that does not grow with their number.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub fn rank(&self, key: impl AsRef<[u8]>) -> Result<u64, Error> {
        self.read(|map, tx| Ok(map.rank(tx, Among::Before(key.as_ref()))?))
    }

    /// The key of a rank with its value, counted from 0; in a time that does not grow with their number.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub fn nth(&self, rank: u64) -> Result<Option<(Value, Value)>, Error> {
        self.read(|map, tx| Ok(nth(map, tx, rank)?))
    }

    /// The first key with its value.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub fn first(&self) -> Result<Option<(Value, Value)>, Error> {
        self.nth(0)
    }

    /// The last key with its value.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub fn last(&self) -> Result<Option<(Value, Value)>, Error> {
        self.read(|map, tx| match map.len().checked_sub(1) {
            Some(rank) => Ok(nth(map, tx, rank)?),
            None => Ok(None),
        })
    }
}

fn nth(map: &mut Tree<'_>, tx: &mut Tx<'_>, rank: u64) -> Result<Option<(Value, Value)>, DataError> {
    let mut found = None;
    if rank < map.len() {
        map.for_each(tx, rank, 1, false, |key, value| found = Some((key.into(), value.into())))?;
    }
    Ok(found)
}

impl Map {
    /// All keys with their values, in order, from both ends. It holds nothing between two steps: what is there throughout comes exactly
    /// once, what comes and goes meanwhile may or may not.
    pub fn iter(&self) -> Entries {
        Entries::new(self.clone(), Start::First, End::Last)
    }

    /// As [`Map::iter`], for the keys within a range.
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Entries {
        let value = |key: &K| Value::from(key.as_ref());
        let start = match range.start_bound() {
            Bound::Included(key) => Start::At(value(key)),
            Bound::Excluded(key) => Start::Behind(value(key)),
            Bound::Unbounded => Start::First,
        };
        let end = match range.end_bound() {
            Bound::Included(key) => End::Behind(value(key)),
            Bound::Excluded(key) => End::Before(value(key)),
            Bound::Unbounded => End::Last,
        };
        Entries::new(self.clone(), start, end)
    }

    /// As [`Map::iter`], for the keys that begin with `prefix`.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Entries {
        let prefix = Value::from(prefix.as_ref());
        Entries::new(self.clone(), Start::At(prefix.clone()), End::BehindPrefix(prefix))
    }
}

/// Keys of a [`Map`] with their values, from both ends: see [`Map::iter`].
#[derive(Debug)]
pub struct Entries {
    map: Map,
    start: Start,
    end: End,
    walk: Walk<(Value, Value)>,
}

#[derive(Clone, Debug)]
enum Start {
    First,
    At(Value),
    Behind(Value),
}

#[derive(Clone, Debug)]
enum End {
    Before(Value),
    Behind(Value),
    BehindPrefix(Value),
    Last,
}

impl Entries {
    fn new(map: Map, start: Start, end: End) -> Self {
        Self { map, start, end, walk: Walk::default() }
    }

    fn step(&mut self, reverse: bool) -> Option<Result<(Value, Value), Error>> {
        let Self { map, start, end, walk } = self;
        walk.step(&map.access.shared, reverse, |reverse| {
            let read = map.read(|map, tx| {
                let from = map.rank(
                    tx,
                    match &start {
                        Start::First => Among::First,
                        Start::At(key) => Among::Before(key),
                        Start::Behind(key) => Among::Behind(key),
                    },
                )?;
                let to = map.rank(
                    tx,
                    match &end {
                        End::Before(key) => Among::Before(key),
                        End::Behind(key) => Among::Behind(key),
                        End::BehindPrefix(key) => Among::BehindPrefix(key),
                        End::Last => Among::Last,
                    },
                )?;
                let count = to.saturating_sub(from).min(STEP_ELEMENTS as u64);
                let first = if reverse { to.saturating_sub(1) } else { from };
                let mut read = Vec::new();
                map.for_each(tx, first, count, reverse, |key, value| {
                    read.push((Value::from(key), Value::from(value)));
                })?;
                Ok(read)
            })?;
            // And moves that end behind them.
            match read.last() {
                None => return Ok(None),
                Some((key, _)) if reverse => *end = End::Before(key.clone()),
                Some((key, _)) => *start = Start::Behind(key.clone()),
            }
            Ok(Some(read))
        })
    }
}

impl Iterator for Entries {
    type Item = Result<(Value, Value), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(false)
    }
}

impl DoubleEndedIterator for Entries {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}

impl std::iter::FusedIterator for Entries {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{Database, Reply};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// Through the handle, with pages so small that the map is a tree of several levels.
        #[test]
        fn a_map_is_a_btree_map(
            steps in proptest::collection::vec((0u16..300, any::<bool>(), 0usize..40), 1..300), from in 0u16..300, to in 0u16..300,
        ) {
            let database = Database::in_memory().unwrap();
            database.shared().run(|open| {
                open.instance.data.keep_pages_small(true);
                Ok::<_, Error>(())
            }).unwrap();
            let (map, mut model) = (database.map("map"), BTreeMap::<Value, Value>::new());
            for (number, insert, length) in steps {
                let (key, value) = (Value::from(number.to_string()), Value::from("v".repeat(length)));
                if insert {
                    prop_assert_eq!(map.insert(&key, &value).unwrap(), model.insert(key, value));
                } else {
                    prop_assert_eq!(map.remove(&key).unwrap(), model.remove(&key));
                }
            }
            prop_assert_eq!(map.len().unwrap(), model.len() as u64);
            let (from, to) = (from.min(to).to_string(), from.max(to).to_string());
            let (from, to) = (Value::from(from.clone().min(to.clone())), Value::from(from.max(to)));
            let all = |entries: Entries| entries.collect::<Result<Vec<_>, _>>().unwrap();
            let pairs = |range: &mut dyn Iterator<Item = (&Value, &Value)>| {
                range.map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>()
            };
            prop_assert_eq!(all(map.iter()), pairs(&mut model.iter()));
            prop_assert_eq!(all(map.range(from.clone()..to.clone())), pairs(&mut model.range(from.clone()..to.clone())));
            prop_assert_eq!(all(map.range(from.clone()..=to.clone())), pairs(&mut model.range(from.clone()..=to)));
            let reversed: Vec<_> = map.iter().rev().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(reversed, pairs(&mut model.iter().rev()));
            prop_assert_eq!(all(map.prefix("1")), pairs(&mut model.iter().filter(|(key, _)| key.starts_with(b"1"))));
            prop_assert_eq!(map.rank(&from).unwrap(), model.range(..from).count() as u64);
            let mut both = map.iter();
            let mut met = 0;
            while let (Some(_), _) = (both.next().transpose().unwrap(), both.next_back().transpose().unwrap()) {
                met += 1;
            }
            prop_assert_eq!(met, model.len().div_ceil(2));
        }
    }

    #[test]
    fn an_iterator_obeys_the_rules_of_calls_also_between_two_reads() {
        let database = Database::in_memory().unwrap();
        let map = database.map("map");
        for number in 0..10 {
            map.insert(number.to_string(), "").unwrap();
        }
        let (mut inside, mut after) = (map.iter(), map.iter());
        assert!(inside.next().is_some_and(|entry| entry.is_ok()) && after.next_back().is_some());
        database
            .update(&["other"], |_| {
                assert!(matches!(inside.next(), Some(Err(Error::InsideUpdate))));
                assert!(inside.next().is_none(), "after an error there is nothing more");
                Ok::<_, Error>(())
            })
            .unwrap();
        database.close().unwrap();
        assert!(matches!(after.next_back(), Some(Err(Error::Closed))) && after.next().is_none());
    }

    #[test]
    fn several_maps_change_as_one_and_others_see_a_type_of_its_own() {
        let database = Database::in_memory().unwrap();
        database.map("from").insert("coin", "1").unwrap();
        database
            .update(&["from", "to"], |keys| {
                let coin = keys.map("from")?.remove("coin")?.unwrap_or_default();
                keys.map("to")?.insert("coin", &coin)?;
                assert_eq!(keys.map("to")?.len()?, 1);
                Ok::<_, Error>(())
            })
            .unwrap();
        assert!(!database.exists("from").unwrap(), "without keys it is none");
        let mut client = database.client().unwrap();
        let mut run = |line: &str| client.run(line.split(' ').collect::<Vec<_>>()).unwrap();
        assert_eq!(run("TYPE to"), Reply::Simple(b"map".to_vec()));
        for line in ["GET to", "ZADD to 1 a", "HGET to a", "LPUSH to a", "SADD to a"] {
            assert!(matches!(run(line), Reply::Error(text) if text.starts_with(b"WRONGTYPE")), "{line}");
        }
        assert!(matches!(database.get("to"), Err(Error::WrongType)));
        database.set("string", "1").unwrap();
        assert!(matches!(database.map("string").len(), Err(Error::WrongType)));
    }
}
