//! Sets: members, under one key of the database.

use super::Keyspace;
use super::access::{Access, reads_and_writes};
use super::walk::{STEP_ELEMENTS, Walk};
use crate::data::{Set as Tree, Tx};
use crate::error::Error;
use crate::messages::Event;
use crate::value::Value;

/// A set of members, in no order, at one key of a [`Keyspace`]; see [`Keyspace::set_at`]. The same that clients reach with `SADD` and
/// `SISMEMBER`. A handle, with the same properties as a [`Hash`](super::Hash).
///
/// ```
/// # let database = modb_server::Database::in_memory()?;
/// let online = database.set_at("online");
/// assert!(online.insert("ann")? && !online.insert("ann")?);
/// online.insert("bob")?;
/// assert!(online.contains("bob")?);
///
/// // Several keys as one commit, of which nobody sees a part.
/// database.update(&["online", "away"], |keys| {
///     if keys.set_at("online")?.remove("bob")? {
///         keys.set_at("away")?.insert("bob")?;
///     }
///     Ok::<_, modb_server::Error>(())
/// })?;
/// assert_eq!((online.len()?, database.set_at("away").len()?), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Set<A = Keyspace> {
    access: A,
    key: Value,
}

impl<A: Access> Set<A> {
    pub(super) fn new(access: A, key: Value) -> Self {
        Self { access, key }
    }

    reads_and_writes!(Tree);

    /// Whether this is a member.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert!(!database.set_at("online").contains("ann")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::WrongType`] if what lies there is no set, and as [`Keyspace::set`]; so in all that follow.
    pub fn contains(&self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.read(|set, tx| Ok(set.contains(tx, member.as_ref())?))
    }

    /// Adds a member; says whether it is new.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert!(database.set_at("online").insert("ann")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Set::contains`], and [`Error::ValueTooLong`].
    pub fn insert(&self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.write(Event::set("sadd"), |set, tx| Ok(set.add(tx, member.as_ref())?))
    }

    /// Adds several members, as one commit; says how many are new.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.set_at("online").insert_many(["ann", "bob", "ann"])?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Set::insert`].
    pub fn insert_many<M: AsRef<[u8]>>(&self, members: impl IntoIterator<Item = M>) -> Result<usize, Error> {
        let members: Vec<M> = members.into_iter().collect();
        super::fit(members.iter().map(|member| member.as_ref().len()))?;
        self.write(Event::set("sadd"), |set, tx| {
            if let Some(first) = members.first() {
                set.expect(tx, members.len(), first.as_ref());
            }
            let mut new = 0;
            for member in &members {
                new += usize::from(set.add(tx, member.as_ref())?);
            }
            Ok(new)
        })
    }

    /// Takes a member away; says whether it was there.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert!(!database.set_at("online").remove("ann")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn remove(&self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.write(Event::set("srem"), |set, tx| Ok(set.remove(tx, member.as_ref())?))
    }

    /// Takes a member away that is chosen at random, all with the same probability, and returns it.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let tickets = database.set_at("tickets");
    /// tickets.insert("7")?;
    /// assert_eq!((tickets.pop()?, tickets.pop()?), (Some("7".into()), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn pop(&self) -> Result<Option<Value>, Error> {
        self.write(Event::set("spop"), |set, tx| Ok(set.pop(tx)?.map(Value::from)))
    }

    /// A member chosen at random, all with the same probability.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let tickets = database.set_at("tickets");
    /// tickets.insert("7")?;
    /// assert_eq!(tickets.choose()?, Some("7".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn choose(&self) -> Result<Option<Value>, Error> {
        self.read(|set, tx| Ok(set.choose(tx)?.map(Value::from)))
    }

    /// How many members it has.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.set_at("online").len()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn len(&self) -> Result<u64, Error> {
        self.read(|set, _| Ok(set.len()))
    }

    /// Whether it has none.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// assert!(database.set_at("online").is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// All members at one moment, which therefore are all in memory: for a small one. [`Set::iter`] is for any.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// database.set_at("online").insert("ann")?;
    /// let all = database.update(&["online"], |keys| keys.set_at("online")?.to_vec())?;
    /// assert_eq!(all, ["ann"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Set::contains`].
    pub fn to_vec(&self) -> Result<Vec<Value>, Error> {
        self.read(|set, tx| {
            let mut all = Vec::new();
            set.for_each(tx, |member| {
                all.push(member.into());
                true
            })?;
            Ok(all)
        })
    }
}

impl Set {
    /// All members, in no order that means anything. It holds nothing between two steps: what is there throughout comes exactly once, what
    /// comes and goes meanwhile may or may not.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// let online = database.set_at("online");
    /// online.insert_many(["ann", "bob"])?;
    /// for member in online.iter() {
    ///     println!("{}", member?);
    /// }
    /// assert_eq!(online.iter().count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A step is an error, and the last one, where [`Set::contains`] would be.
    pub fn iter(&self) -> Members {
        Members { set: self.clone(), from: Some(0), walk: Walk::default() }
    }
}

/// Members of a [`Set`]: see [`Set::iter`].
#[derive(Debug)]
pub struct Members {
    set: Set,
    from: Option<u64>,
    walk: Walk<Value>,
}

impl Iterator for Members {
    type Item = Result<Value, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { set, from, walk } = self;
        walk.step(&set.access.shared, false, |_| {
            let Some(cursor) = *from else { return Ok(None) };
            let (members, next) = set.read(|set, tx| Ok(set.steps(tx, cursor, STEP_ELEMENTS)?))?;
            *from = Some(next).filter(|next| *next != 0);
            Ok(Some(members.into_iter().map(Value::from).collect()))
        })
    }
}

impl std::iter::FusedIterator for Members {}
