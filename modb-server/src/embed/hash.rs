//! Hashes: fields with values, under one key of the database.

use super::Keyspace;
use super::access::{Access, reads_and_writes};
use super::walk::{STEP_ELEMENTS, Walk};
use crate::data::{Hash as Tree, Tx};
use crate::error::Error;
use crate::messages::Event;
use crate::value::Value;

/// A hash: fields with values, in no order, at one key of a [`Keyspace`]; see [`Keyspace::hash`]. The same that clients reach with `HSET`
/// and `HGET`, millions of fields if need be, each found in a time that hardly grows with their number.
///
/// A handle, to be cloned and sent to other threads as one likes; each call is a commit of its own. What is done to the key is done to
/// the whole hash: it expires, is copied, renamed and deleted in the same time whatever it holds. A hash without fields is no key.
///
/// ```
/// # let database = modb_server::Database::in_memory()?;
/// let ann = database.hash("user:ann");
/// ann.insert("town", "Bergen")?;
/// ann.insert("visits", "1")?;
/// assert_eq!(ann.get("town")?, Some("Bergen".into()));
///
/// // Several keys as one commit, of which nobody sees a part.
/// database.update(&["user:ann", "user:bob"], |keys| {
///     let town = keys.hash("user:ann")?.remove("town")?.unwrap_or_default();
///     keys.hash("user:bob")?.insert("town", &town)
/// })?;
/// assert_eq!((ann.len()?, database.hash("user:bob").get("town")?), (1, Some("Bergen".into())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hash<A = Keyspace> {
    access: A,
    key: Value,
}

impl<A: Access> Hash<A> {
    pub(super) fn new(access: A, key: Value) -> Self {
        Self { access, key }
    }

    reads_and_writes!(Tree);

    /// The value of a field.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.hash("user:ann").get("town")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::WrongType`] if what lies there is no hash, and as [`Keyspace::set`]; so in all that follow.
    pub fn get(&self, field: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.read(|hash, tx| Ok(hash.get(tx, field.as_ref())?.map(Value::from)))
    }

    /// The values of several fields, as they are at one moment.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let ann = database.hash("user:ann");
    /// ann.insert("town", "Bergen")?;
    /// assert_eq!(ann.get_many(&["town", "age"])?, [Some("Bergen".into()), None]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn get_many(&self, fields: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Value>>, Error> {
        let values = self.read(|hash, tx| {
            let value = |field: &_| Ok(hash.get(tx, AsRef::<[u8]>::as_ref(field))?.map(Value::from));
            fields.iter().map(value).collect::<Result<Vec<_>, Error>>()
        })?;
        Ok(if values.is_empty() { vec![None; fields.len()] } else { values })
    }

    /// Whether it has a field.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert!(!database.hash("user:ann").contains("town")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn contains(&self, field: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.get(field)?.is_some())
    }

    /// Gives a field a value; returns the one that it had.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let ann = database.hash("user:ann");
    /// assert_eq!(ann.insert("town", "Bergen")?, None);
    /// assert_eq!(ann.insert("town", "Oslo")?, Some("Bergen".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Hash::get`], and [`Error::ValueTooLong`].
    pub fn insert(&self, field: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.write(Event::hash("hset"), |hash, tx| {
            Ok(hash.insert(tx, field.as_ref(), value.as_ref())?.map(Value::from))
        })
    }

    /// Gives several fields values, as one commit; says how many of the fields are new.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let ann = database.hash("user:ann");
    /// assert_eq!(ann.insert_many([("town", "Bergen"), ("age", "41")])?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Hash::insert`].
    pub fn insert_many<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (F, V)>,
    ) -> Result<usize, Error> {
        let entries: Vec<(F, V)> = entries.into_iter().collect();
        super::fit(entries.iter().map(|(field, value)| field.as_ref().len() + value.as_ref().len()))?;
        self.write(Event::hash("hset"), |hash, tx| {
            hash.expect(tx, entries.len());
            let mut new = 0;
            for (field, value) in &entries {
                new += usize::from(hash.set(tx, field.as_ref(), value.as_ref())?);
            }
            Ok(new)
        })
    }

    /// Gives a field that is not there a value; says whether it did.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let ann = database.hash("user:ann");
    /// assert!(ann.insert_if_absent("town", "Bergen")? && !ann.insert_if_absent("town", "Oslo")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Hash::insert`].
    pub fn insert_if_absent(&self, field: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.write(Event::hash("hset"), |hash, tx| {
            let absent = hash.get(tx, field.as_ref())?.is_none();
            Ok(absent && hash.set(tx, field.as_ref(), value.as_ref())?)
        })
    }

    /// Adds to the integer in a field (0 if there is none); gives the sum.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.hash("user:ann").increment("visits", 3)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Hash::get`], [`Error::NotAnInteger`], [`Error::Overflow`].
    pub fn increment(&self, field: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        self.write(Event::hash("hincrby"), |hash, tx| Ok(hash.increment(tx, field.as_ref(), by)?))
    }

    /// Takes a field away; returns its value.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let ann = database.hash("user:ann");
    /// ann.insert("town", "Bergen")?;
    /// assert_eq!(ann.remove("town")?, Some("Bergen".into()));
    /// assert!(!database.exists("user:ann")?); // that was its last
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn remove(&self, field: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.write(Event::hash("hdel"), |hash, tx| Ok(hash.remove(tx, field.as_ref())?.map(Value::from)))
    }

    /// How many fields it has.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.hash("user:ann").len()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn len(&self) -> Result<u64, Error> {
        self.read(|hash, _| Ok(hash.len()))
    }

    /// Whether it has none.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert!(database.hash("user:ann").is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// A field chosen at random with its value, all with the same probability.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let ann = database.hash("user:ann");
    /// ann.insert("town", "Bergen")?;
    /// assert_eq!(ann.choose()?, Some(("town".into(), "Bergen".into())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn choose(&self) -> Result<Option<(Value, Value)>, Error> {
        self.read(|hash, tx| Ok(hash.choose(tx)?.map(|(field, value)| (field.into(), value.into()))))
    }

    /// All fields with their values at one moment, which therefore are all in memory: for a small one. [`Hash::iter`] is for any.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// database.hash("user:ann").insert("town", "Bergen")?;
    /// let all = database.update(&["user:ann"], |keys| keys.hash("user:ann")?.to_vec())?;
    /// assert_eq!(all, [("town".into(), "Bergen".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Hash::get`].
    pub fn to_vec(&self) -> Result<Vec<(Value, Value)>, Error> {
        self.read(|hash, tx| {
            let mut all = Vec::new();
            hash.for_each(tx, |field, value| {
                all.push((field.into(), value.into()));
                true
            })?;
            Ok(all)
        })
    }
}

impl Hash {
    /// All fields with their values, in no order that means anything. It holds nothing between two steps: what is there throughout comes
    /// exactly once, what comes and goes meanwhile may or may not.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let ann = database.hash("user:ann");
    /// ann.insert("town", "Bergen")?;
    /// for entry in ann.iter() {
    ///     let (field, value) = entry?;
    ///     println!("{field}: {value}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A step is an error, and the last one, where [`Hash::get`] would be.
    pub fn iter(&self) -> Fields {
        Fields { hash: self.clone(), from: Some(0), walk: Walk::default() }
    }
}

/// Fields of a [`Hash`](struct@Hash) with their values: see [`Hash::iter`].
#[derive(Debug)]
pub struct Fields {
    hash: Hash,
    from: Option<u64>,
    walk: Walk<(Value, Value)>,
}

impl Iterator for Fields {
    type Item = Result<(Value, Value), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { hash, from, walk } = self;
        walk.step(&hash.access.shared, false, |_| {
            let Some(cursor) = *from else { return Ok(None) };
            let (entries, next) = hash.read(|hash, tx| Ok(hash.steps(tx, cursor, STEP_ELEMENTS)?))?;
            *from = Some(next).filter(|next| *next != 0);
            Ok(Some(entries.into_iter().map(|(field, value)| (field.into(), value.into())).collect()))
        })
    }
}

impl std::iter::FusedIterator for Fields {}
