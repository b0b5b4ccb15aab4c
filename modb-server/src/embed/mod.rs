//! Using a database inside a program: typed calls, closures that are one commit, keys one by one, and any command.
//!
//! Every call returns when what it wrote is as safe as the durability mode promises. Invariants: nothing is open
//! between two calls: a closure names its keys beforehand, works with no others, and holds their stripes only while it
//! runs, so a program cannot stall the server that serves the same database; what a call does is written once, in `ops`.

mod access;
mod calls;
mod client;
mod hash;
mod keys;
mod list;
mod map;
mod ops;
mod set;
mod sorted_set;
mod subscription;
#[cfg(test)]
mod tests;
mod update;
mod wait;
mod walk;

use std::sync::Arc;
use std::time::Duration;

pub use self::access::{Access, InUpdate};
pub use self::client::LocalClient;
pub use self::hash::{Fields, Hash};
pub use self::keys::Keys;
pub use self::list::{Elements, List};
pub use self::map::{Entries, Map};
pub use self::ops::Ttl;
pub use self::set::{Members, Set};
pub use self::sorted_set::{Scored, SortedSet};
pub use self::subscription::{Message, Messages, Subscription};
pub use self::update::Update;
pub use self::wait::Side;

use self::calls::Way;
use crate::data::{Kind, MAX_VALUE_BYTES, Need, Tx};
use crate::error::Error;
use crate::handle::Shared;
use crate::session::now_ms;
use crate::value::Value;

/// One of the databases of a [`Database`](crate::Database), as a client selects it: keys of its own. It is a handle, to be cloned
/// and sent to other threads as one likes. A [`Database`](crate::Database) has the same calls, which go to keyspace 0.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let database = modb_server::Database::in_memory()?;
/// let sessions = database.keyspace(1)?;
/// sessions.set_for("session:1", "ann", Duration::from_secs(60))?;
/// assert_eq!(sessions.get("session:1")?.as_deref(), Some(&b"ann"[..]));
/// assert!(!database.exists("session:1")?);
/// # Ok(())
/// # }
/// ```
///
/// # What can wait for what
///
/// | a call of | may wait for |
/// |---|---|
/// | `get`, `exists`, `kind`, `ttl`, `len`, `keys` | nothing but the disk, and the instant in which a change of several keys becomes visible |
/// | `set`, `increment` and whatever else writes | commands and closures of [`Keyspace::update`] that use a key of the same stripe (there are 1,024, chosen by the key's hash), and the disk where writes come faster than it takes them |
/// | `get_many`, `update` | the same, for any of their keys |
/// | reads of a [`Hash`](struct@Hash), [`List`], [`Set`], [`SortedSet`] or [`Map`], each step of an iterator among them | who writes a key of the same stripe; not for each other |
/// | `clear` | the same, for all keys |
/// | [`Database::publish`](crate::Database::publish), and whatever else tells others (events of keys, if they are wanted) | workers of servers with 16 MiB of messages before them |
/// | [`List::pop_front_wait`] and whatever else ends in `_wait` | what any other call of its kind waits for; then somebody who brings an element, holding nothing |
/// | [`Subscription::recv`] | somebody who publishes, and the sync of what a message tells of |
/// | [`Database::close`](crate::Database::close) | calls, closures and backups under way |
///
/// A wait for a closure ends after 10 seconds, with [`Error::UpdateTooSlow`], also where commands of clients stand between, which wait
/// for it themselves; no other wait does.
/// With [`Durability::Always`](crate::Durability::Always) all wait for the sync that makes safe what they have written or read.
#[derive(Clone)]
pub struct Keyspace {
    pub(crate) shared: Arc<Shared>,
    pub(crate) index: u32,
}

impl Keyspace {
    /// Its number, from 0, as `SELECT` takes it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.keyspace(3)?.index(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The string at a key.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.get("name")?, None);
    /// database.set("name", "Ann")?;
    /// assert_eq!(database.get("name")?, Some("Ann".into()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::WrongType`] if the key holds another type; as every call: [`Error::Closed`], [`Error::InsideUpdate`],
    /// [`Error::Forked`], [`Error::Store`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.look(|ops| ops.get(key.as_ref()))
    }

    /// The strings at several keys, as they are at one moment.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::in_memory()?;
    /// database.set("a", "1")?;
    /// assert_eq!(database.get_many(&["a", "b"])?, [Some("1".into()), None]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::get`], and [`Error::UpdateTooSlow`].
    pub fn get_many(&self, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Value>>, Error> {
        self.with_ops(keys, Way::Read, |ops| keys.iter().map(|key| ops.get(key.as_ref())).collect())
    }

    /// Whether the key is there.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// database.set("a", "1")?;
    /// assert!(database.exists("a")? && !database.exists("b")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::get`].
    pub fn exists(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.look(|ops| ops.exists(key.as_ref()))
    }

    /// What a key holds, if it is there: a string, unless a later version wrote it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// use modb_server::Kind;
    ///
    /// database.set("a", "1")?;
    /// assert_eq!(database.kind("a")?, Some(Kind::String));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::get`].
    pub fn kind(&self, key: impl AsRef<[u8]>) -> Result<Option<Kind>, Error> {
        self.look(|ops| ops.kind(key.as_ref()))
    }

    /// How long the key has.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use modb_server::Ttl;
    /// # use std::time::Duration;
    ///
    /// let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.ttl("code")?, Ttl::NoKey);
    /// database.set("code", "1234")?;
    /// assert_eq!(database.ttl("code")?, Ttl::Forever);
    /// database.expire("code", Duration::from_secs(60))?;
    /// assert!(matches!(database.ttl("code")?, Ttl::Left(time) if time <= Duration::from_secs(60)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::get`].
    pub fn ttl(&self, key: impl AsRef<[u8]>) -> Result<Ttl, Error> {
        self.look(|ops| ops.ttl(key.as_ref()))
    }

    /// Sets a key to a string that does not expire, whatever it held before.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// database.set("name", "Ann")?;
    /// database.set([0, 159], vec![1, 2, 3])?; // keys and values are any bytes
    /// assert_eq!(database.get([0, 159])?.as_deref(), Some(&[1, 2, 3][..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::KeyTooLong`], [`Error::ValueTooLong`], [`Error::ReadOnly`], [`Error::UpdateTooSlow`]; as every call:
    /// [`Error::Closed`], [`Error::InsideUpdate`], [`Error::Forked`], [`Error::Store`].
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.change_one(key.as_ref(), |ops, key| ops.set(key, value.as_ref(), None))
    }

    /// Sets a key to a string that expires after `time`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// use std::time::Duration;
    ///
    /// database.set_for("code", "1234", Duration::from_millis(20))?;
    /// std::thread::sleep(Duration::from_millis(30));
    /// assert_eq!(database.get("code")?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::set`].
    pub fn set_for(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<(), Error> {
        self.change_one(key.as_ref(), |ops, key| ops.set(key, value.as_ref(), Some(time)))
    }

    /// Sets a key that is not there to a string that does not expire; says whether it did.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::in_memory()?;
    /// assert!(database.set_if_absent("leader", "me")?);
    /// assert!(!database.set_if_absent("leader", "somebody else")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::set`].
    pub fn set_if_absent(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.change_one(key.as_ref(), |ops, key| ops.set_if_absent(key, value.as_ref()))
    }

    /// Sets a key that holds `expected`, and leaves its expiry; says whether it did.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::in_memory()?;
    /// database.set("state", "new")?;
    /// assert!(database.compare_and_set("state", "new", "running")?);
    /// assert!(!database.compare_and_set("state", "new", "running")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::set`], and [`Error::WrongType`].
    pub fn compare_and_set(
        &self,
        key: impl AsRef<[u8]>,
        expected: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        self.change_one(key.as_ref(), |ops, key| ops.compare_and_set(key, expected.as_ref(), value.as_ref()))
    }

    /// Adds bytes to the end of a string, and leaves its expiry; gives its length.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// database.append("log", "one ")?;
    /// assert_eq!(database.append("log", "two")?, 7);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::set`], and [`Error::WrongType`].
    pub fn append(&self, key: impl AsRef<[u8]>, tail: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.change_one(key.as_ref(), |ops, key| ops.append(key, tail.as_ref()))
    }

    /// Adds to the integer at a key (0 if there is none), and leaves its expiry; gives the sum.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.increment("visits", 1)?, 1);
    /// assert_eq!(database.increment("visits", 1)?, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotAnInteger`], [`Error::Overflow`], [`Error::WrongType`], and as [`Keyspace::set`].
    pub fn increment(&self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        self.change_one(key.as_ref(), |ops, key| ops.increment(key, by))
    }

    /// Removes a key of any type; says whether it was there.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// database.set("a", "1")?;
    /// assert!(database.delete("a")?);
    /// assert!(!database.delete("a")?); // it was gone
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::set`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.change_one(key.as_ref(), |ops, key| ops.delete(key))
    }

    /// Lets a key expire after `time`; `false` if there is none.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// use std::time::Duration;
    ///
    /// assert!(!database.expire("a", Duration::from_secs(60))?); // there is none
    /// database.set("a", "1")?;
    /// assert!(database.expire("a", Duration::from_secs(60))?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::set`].
    pub fn expire(&self, key: impl AsRef<[u8]>, time: Duration) -> Result<bool, Error> {
        self.change_one(key.as_ref(), |ops, key| ops.expire(key, Some(time)))
    }

    /// Lets a key stay until it is removed; `false` if there is none.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// use std::time::Duration;
    ///
    /// database.set_for("a", "1", Duration::from_secs(60))?;
    /// assert!(database.persist("a")?);
    /// assert_eq!(database.ttl("a")?, modb_server::Ttl::Forever);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::set`].
    pub fn persist(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.change_one(key.as_ref(), |ops, key| ops.expire(key, None))
    }

    /// How many keys there are; expired ones count until they are removed, some tenths of a second later.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// database.set("a", "1")?;
    /// assert_eq!((database.len()?, database.keyspace(1)?.len()?), (1, 0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::InsideUpdate`], [`Error::Forked`].
    pub fn len(&self) -> Result<u64, Error> {
        self.shared.run(|open| Ok(open.instance.data.sizes(self.index).0))
    }

    /// Whether there is none.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// assert!(database.is_empty()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::len`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// Removes all keys at once; their space is given back in the background.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// let cache = database.keyspace(1)?;
    /// cache.set("a", "1")?;
    /// cache.clear()?;
    /// assert!(cache.is_empty()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::set`].
    pub fn clear(&self) -> Result<(), Error> {
        self.shared.run(|open| {
            let data = &open.instance.data;
            data.store().wait_for_room();
            let (held, mut key_buf) = (open.hold(Need::everything())?, Vec::new());
            let mut tx = Tx::new(data, &held, &open.instance.embedded, &mut key_buf, now_ms()).freeing(true);
            tx.flush_database(self.index)?;
            let told = tx.all_messages();
            let written = tx.commit()?.written;
            drop(held);
            data.wait_for_room_of(&told);
            Ok(open.wait_for(written)?)
        })
    }

    /// The keys, one by one, in no order that means anything. A key that is there throughout comes exactly once; one that
    /// comes or goes meanwhile may come or not. Nothing is held between two steps, however long they take.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::in_memory()?;
    /// database.set("user:1", "Ann")?;
    /// database.set("user:2", "Bob")?;
    /// for key in database.keys() {
    ///     println!("{}", key?);
    /// }
    /// assert_eq!(database.keys().count(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A step is an error, and the last one, where [`Keyspace::get`] would be.
    pub fn keys(&self) -> Keys {
        Keys::new(self.clone())
    }

    /// Reads and writes `keys` as one command: nobody sees a part of it, and it is one commit. The closure has access to these
    /// keys only. If it fails, with an error of this crate or of its own, nothing is written; and so if it panics.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::in_memory()?;
    /// database.set("from", "10")?;
    /// let left = database.update(&["from", "to"], |keys| {
    ///     keys.increment("to", 3)?;
    ///     keys.increment("from", -3)
    /// })?;
    /// assert_eq!((left, database.get("to")?), (7, Some("3".into())));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// An error of one's own needs `From<modb_server::Error>`. Where nothing else says which error it is, the closure does:
    ///
    /// ```
    /// # fn main() -> Result<(), modb_server::OpenError> {
    /// # let database = modb_server::Database::in_memory()?;
    /// #[derive(Debug)]
    /// enum Refused {
    ///     Poor,
    ///     Database(modb_server::Error),
    /// }
    ///
    /// impl From<modb_server::Error> for Refused {
    ///     fn from(error: modb_server::Error) -> Self {
    ///         Self::Database(error)
    ///     }
    /// }
    ///
    /// let outcome = database.update(&["from", "to"], |keys| {
    ///     keys.increment("to", 3)?;
    ///     if keys.increment("from", -3)? < 0 {
    ///         return Err(Refused::Poor); // and nothing was written
    ///     }
    ///     Ok(())
    /// });
    /// assert!(matches!(outcome, Err(Refused::Poor)) && !database.exists("to").unwrap());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The closure keeps others from its keys while it runs, so it should be quick. Any other call of the same database from
    /// inside it, through whatever handle, is [`Error::InsideUpdate`], since it could wait for the closure for ever; a handle may
    /// be dropped there. Another thread of this program that has waited for it for 10 seconds gets [`Error::UpdateTooSlow`], which
    /// names the keys and the thread: the closure may be waiting for that very thread. Clients of a server wait as long as it takes.
    ///
    /// # Errors
    /// What the closure fails with, [`Error::KeyNotNamed`] among it; and as [`Keyspace::set`].
    pub fn update<R, E: From<Error>>(
        &self,
        keys: &[impl AsRef<[u8]>],
        change: impl FnOnce(&mut Update<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.with_tx(keys, Way::Write, |open, tx, keys| {
            let named: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
            let stripes = open.instance.data.need_many(named.iter().copied()).to_list();
            let running = open.closures.begin(named.iter().map(|&key| key.into()).collect(), stripes);
            let inside = self.shared.go_inside();
            let mut update = Update::new(tx, self.index, named);
            let done = change(&mut update);
            drop((inside, running));
            Ok((done?, update.into_tx()?))
        })
    }

    /// The hash at a key, which is made by the first insertion: fields with values.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// database.hash("user:ann").insert("town", "Bergen")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hash(&self, key: impl AsRef<[u8]>) -> Hash {
        Hash::new(self.clone(), key.as_ref().into())
    }

    /// The list at a key, which is made by the first element: a queue, a stack, the latest of something.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// database.list("jobs").push_back("wash")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn list(&self, key: impl AsRef<[u8]>) -> List {
        List::new(self.clone(), key.as_ref().into())
    }

    /// The set at a key, which is made by the first member.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// database.set_at("online").insert("ann")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_at(&self, key: impl AsRef<[u8]>) -> Set {
        Set::new(self.clone(), key.as_ref().into())
    }

    /// The sorted set at a key, which is made by the first member: members in the order of their scores.
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// database.sorted_set("players").insert("ann", 310.0)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sorted_set(&self, key: impl AsRef<[u8]>) -> SortedSet {
        SortedSet::new(self.clone(), key.as_ref().into())
    }

    /// The map at a key, which is made by the first insertion: many keys in the order of their bytes.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// let ages = database.map("ages");
    /// ages.insert("Ann", "41")?;
    /// assert_eq!(ages.first()?, Some(("Ann".into(), "41".into())));
    /// # Ok(())
    /// # }
    /// ```
    pub fn map(&self, key: impl AsRef<[u8]>) -> Map {
        Map::new(self.clone(), key.as_ref().into())
    }
}

/// Whether elements of so many bytes may be written, before one of them is.
fn fit(mut bytes: impl Iterator<Item = usize>) -> Result<(), Error> {
    if bytes.any(|bytes| bytes > MAX_VALUE_BYTES) { Err(Error::ValueTooLong) } else { Ok(()) }
}

/// Whether a message of these two may be sent.
pub(crate) fn fit_message(channel: &[u8], message: &[u8]) -> Result<(), Error> {
    fit([channel.len(), message.len()].into_iter())
}

impl std::fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyspace").field("index", &self.index).finish_non_exhaustive()
    }
}
