//! Using a database inside a program: typed calls, several writes as one commit, closures, and any command.
//!
//! Every call returns when what it wrote is as safe as the durability mode promises. Invariant: nothing is open
//! between two calls: a closure names its keys beforehand and holds their stripes only while it runs, so a
//! program cannot stall the server that serves the same database.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use modb_net::Seq;
use modb_net::resp::{Decoded, Encoder, Limits, ReplyDecoder, RequestDecoder, Value, encode_request};

use crate::command::{self, Client, Env, Flags, NoNetwork, Scratch, Waits};
use crate::data::{DataError, Kind, Parker, Tx};
use crate::database::Database;
use crate::session::now_ms;

thread_local! {
    /// Space for keys, used again by every call of a thread.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Calls on database 0. [`Database::keyspace`] gives those on another one.
impl Database {
    /// The database of that index.
    ///
    /// # Errors
    /// [`DataError::NoSuchDatabase`].
    pub fn keyspace(&self, index: u32) -> Result<Keyspace<'_>, DataError> {
        if index < self.instance().data.databases() {
            Ok(Keyspace { database: self, index })
        } else {
            Err(DataError::NoSuchDatabase)
        }
    }

    fn first(&self) -> Keyspace<'_> {
        Keyspace { database: self, index: 0 }
    }

    /// The string at a key.
    ///
    /// # Errors
    /// [`DataError::WrongType`] if the key holds another type; [`DataError::Store`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, DataError> {
        self.first().get(key)
    }

    /// Sets a key to a string that does not expire.
    ///
    /// # Errors
    /// [`DataError::KeyTooLong`], [`DataError::ValueTooLong`], [`DataError::Store`].
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), DataError> {
        self.first().set(key, value)
    }

    /// Removes a key of any type; says whether it was there.
    ///
    /// # Errors
    /// As [`Database::set`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, DataError> {
        self.first().delete(key)
    }

    /// Adds to the integer at a key (0 if there is none); gives the sum.
    ///
    /// # Errors
    /// [`DataError::NotAnInteger`], [`DataError::Overflow`], and as [`Database::set`].
    pub fn increment(&self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, DataError> {
        self.first().increment(key, by)
    }

    /// Reads and writes `keys` as one command: nobody sees a part of it, and it is one commit. What `change`
    /// does to other keys is not kept apart from others. If it fails, nothing is written.
    ///
    /// `change` holds the stripes of the keys: it must be quick, and must not write through the database
    /// itself, which would wait for it for ever.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// let database = modb_server::Database::open(folder.path())?;
    /// database.set("from", "10")?;
    /// database.update(&["from", "to"], |keys| {
    ///     keys.increment("from", -3)?;
    ///     keys.increment("to", 3)
    /// })?;
    /// assert_eq!(database.get("to")?.as_deref(), Some(&b"3"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What `change` fails with, and as [`Database::set`].
    pub fn update<R>(
        &self,
        keys: &[impl AsRef<[u8]>],
        change: impl FnOnce(&mut Keys<'_, '_>) -> Result<R, DataError>,
    ) -> Result<R, DataError> {
        self.first().update(keys, change)
    }

    /// A client in this process, which can execute any command, in sequence, with a state of its own.
    pub fn client(&self) -> LocalClient {
        let instance = self.instance();
        let info = instance.clients.add(None, now_ms());
        LocalClient {
            client: Client::new(info, true),
            scratch: Scratch::default(),
            parker: Parker::default(),
            database: self.clone(),
        }
    }
}

/// One of the databases of a [`Database`].
#[derive(Clone, Copy, Debug)]
pub struct Keyspace<'d> {
    database: &'d Database,
    index: u32,
}

impl Keyspace<'_> {
    /// The string at a key.
    ///
    /// # Errors
    /// As [`Database::get`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, DataError> {
        let key = key.as_ref();
        // One record: no stripe is needed.
        self.run(&[] as &[&[u8]], |keys| keys.get(key))
    }

    /// Sets a key to a string that does not expire.
    ///
    /// # Errors
    /// As [`Database::set`].
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), DataError> {
        self.run(&[key.as_ref()], |keys| keys.set(key.as_ref(), value.as_ref()))
    }

    /// Sets a key to a string that expires.
    ///
    /// # Errors
    /// As [`Database::set`].
    pub fn set_for(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<(), DataError> {
        self.run(&[key.as_ref()], |keys| keys.set_for(key.as_ref(), value.as_ref(), time))
    }

    /// Removes a key of any type; says whether it was there.
    ///
    /// # Errors
    /// As [`Database::set`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, DataError> {
        self.run(&[key.as_ref()], |keys| keys.delete(key.as_ref()))
    }

    /// Adds to the integer at a key; gives the sum.
    ///
    /// # Errors
    /// As [`Database::increment`].
    pub fn increment(&self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, DataError> {
        self.run(&[key.as_ref()], |keys| keys.increment(key.as_ref(), by))
    }

    /// Lets a key expire; `false` if there is none.
    ///
    /// # Errors
    /// As [`Database::set`].
    pub fn expire(&self, key: impl AsRef<[u8]>, time: Duration) -> Result<bool, DataError> {
        self.run(&[key.as_ref()], |keys| keys.expire(key.as_ref(), time))
    }

    /// What a key holds, if it is there.
    ///
    /// # Errors
    /// [`DataError::Store`].
    pub fn kind(&self, key: impl AsRef<[u8]>) -> Result<Option<Kind>, DataError> {
        let key = key.as_ref();
        self.run(&[] as &[&[u8]], |keys| Ok(keys.tx.read(keys.database, key)?.map(|record| record.head.kind)))
    }

    /// How many keys there are; expired ones count until they are removed.
    pub fn len(&self) -> u64 {
        self.database.instance().data.sizes(self.index).0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `visit` with every key, in no order that means anything, until it answers `false`. Keys that are
    /// there throughout are visited exactly once.
    ///
    /// # Errors
    /// [`DataError::Store`].
    pub fn for_each_key(&self, mut visit: impl FnMut(&[u8]) -> bool) -> Result<(), DataError> {
        let data = &self.database.instance().data;
        drop(data.hold_sleeping(data.need_to_walk()));
        data.for_each_key(self.index, now_ms(), |key, _| visit(&key))
    }

    /// As [`Database::update`].
    ///
    /// # Errors
    /// As [`Database::update`].
    pub fn update<R>(
        &self,
        keys: &[impl AsRef<[u8]>],
        change: impl FnOnce(&mut Keys<'_, '_>) -> Result<R, DataError>,
    ) -> Result<R, DataError> {
        self.run(keys, change)
    }

    fn run<R>(
        &self,
        keys: &[impl AsRef<[u8]>],
        work: impl FnOnce(&mut Keys<'_, '_>) -> Result<R, DataError>,
    ) -> Result<R, DataError> {
        let instance = self.database.instance();
        // Taken out, so that a closure may read through the database.
        let mut key_buf = SCRATCH.take();
        let need = instance.data.need_many(keys.iter().map(AsRef::as_ref));
        let held = instance.data.hold_sleeping(need);
        let tx = Tx::new(&instance.data, &held, &instance.embedded, &mut key_buf, now_ms());
        let mut tx = tx.waiting();
        let done = work(&mut Keys { tx: &mut tx, database: self.index })
            .and_then(|result| Ok((result, tx.commit()?)));
        drop(held);
        SCRATCH.set(key_buf);
        let (result, committed) = done?;
        self.database.wait_for(committed.awaited(instance.data.reads_wait()))?;
        Ok(result)
    }
}

/// The keys that a closure works with.
pub struct Keys<'t, 'd> {
    tx: &'t mut Tx<'d>,
    database: u32,
}

impl Keys<'_, '_> {
    /// The string at a key, with what this closure has written.
    ///
    /// # Errors
    /// As [`Database::get`].
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, DataError> {
        self.tx.get(self.database, key.as_ref())
    }

    /// Sets a key to a string that does not expire.
    ///
    /// # Errors
    /// As [`Database::set`].
    pub fn set(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), DataError> {
        self.tx.set(self.database, key.as_ref(), value.as_ref(), None)
    }

    /// Sets a key to a string that expires.
    ///
    /// # Errors
    /// As [`Database::set`].
    pub fn set_for(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<(), DataError> {
        let at = self.after(time);
        self.tx.set(self.database, key.as_ref(), value.as_ref(), Some(at))
    }

    /// Removes a key; says whether it was there.
    ///
    /// # Errors
    /// As [`Database::set`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool, DataError> {
        self.tx.delete(self.database, key.as_ref())
    }

    /// Adds to the integer at a key; gives the sum.
    ///
    /// # Errors
    /// As [`Database::increment`].
    pub fn increment(&mut self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, DataError> {
        self.tx.increment(self.database, key.as_ref(), by)
    }

    /// Adds bytes to the end of a string; gives its length.
    ///
    /// # Errors
    /// As [`Database::set`].
    pub fn append(&mut self, key: impl AsRef<[u8]>, tail: impl AsRef<[u8]>) -> Result<usize, DataError> {
        self.tx.append(self.database, key.as_ref(), tail.as_ref())
    }

    /// Lets a key expire; `false` if there is none.
    ///
    /// # Errors
    /// As [`Database::set`].
    pub fn expire(&mut self, key: impl AsRef<[u8]>, time: Duration) -> Result<bool, DataError> {
        let at = self.after(time);
        let entry = self.tx.entry(self.database, key.as_ref())?;
        let Some(record) = entry.live() else { return Ok(false) };
        self.tx.put(&entry, record.head.expiring(Some(at)), &[&record.payload])?;
        Ok(true)
    }

    fn after(&self, time: Duration) -> u64 {
        self.tx.now_ms().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A client in the same process.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let database = modb_server::Database::open(folder.path())?;
/// let mut client = database.client();
/// client.run(["SET", "greeting", "hello", "EX", "60"])?;
/// let length = client.run(["STRLEN", "greeting"])?;
/// assert_eq!(length, modb_server::Value::Integer(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LocalClient {
    client: Client,
    scratch: Scratch,
    /// Where its thread sleeps while a command waits for others.
    parker: Parker,
    database: Database,
}

impl LocalClient {
    /// Executes a command, given as its words, and returns its reply once its writes are safe. An error reply is
    /// [`Value::Error`].
    ///
    /// # Errors
    /// If the writes cannot be made safe; their outcome is unknown then.
    pub fn run<I>(&mut self, words: I) -> Result<Value, DataError>
    where
        I: IntoIterator<IntoIter: ExactSizeIterator, Item: AsRef<[u8]>>,
    {
        let mut request = Vec::new();
        encode_request(&mut request, words);
        let mut decoder = RequestDecoder::new();
        let Ok(Decoded::Request { .. }) = decoder.decode(&request, &Limits::default()) else {
            return Ok(Value::Error(b"ERR Protocol error: no command, or one that is too long".to_vec()));
        };
        let args = decoder.args(&request);
        let instance = self.database.instance();
        let parker = self.parker.clone();
        let env = Env {
            instance,
            network: &NoNetwork,
            tally: &instance.embedded,
            now_ms: now_ms(),
            room: &|_| true,
            wake: &|| parker.waker(),
        };
        let mut awaited = Seq::ZERO;
        let reply = command::resolve(args).and_then(|resolved| {
            if resolved.spec.flags.has(Flags::BLOCKING) {
                return Err("ERR this command waits, which a client in the same process cannot"
                    .to_owned()
                    .into());
            }
            let mut waits = Waits::default();
            let outcome = loop {
                let Self { client, scratch, parker, .. } = self;
                match command::execute(resolved, args, client, env, scratch, &mut waits) {
                    Some(outcome) => break outcome,
                    None => parker.wait(),
                }
            };
            awaited = outcome.committed.awaited(instance.data.reads_wait());
            outcome.reply
        });
        self.database.wait_for(awaited)?;
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out, self.client.protocol);
        match reply {
            Ok(reply) => reply.encode(&mut encoder),
            Err(error) => encoder.error(error.text()),
        }
        // What was encoded here decodes, unless there is no reply (`SHUTDOWN`).
        Ok(ReplyDecoder::default().decode(&mut &out[..]).ok().flatten().unwrap_or(Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Options;

    fn in_memory() -> Database {
        Options::new("").set("store", "memory").unwrap().open().unwrap()
    }

    #[test]
    fn handles_are_send_and_sync() {
        fn check<T: Send + Sync>() {}
        check::<Database>();
        check::<crate::Server>();
    }

    #[test]
    fn typed_calls_and_commands_see_the_same_data() {
        let database = in_memory();
        database.set("a", "1").unwrap();
        assert_eq!(database.increment("a", 4).unwrap(), 5);
        let mut client = database.client();
        assert_eq!(client.run(["GET", "a"]).unwrap(), Value::Bulk(b"5".to_vec()));
        assert_eq!(client.run(["SELECT", "3"]).unwrap(), Value::Simple(b"OK".to_vec()));
        client.run(["SET", "b", "x"]).unwrap();
        let third = database.keyspace(3).unwrap();
        assert_eq!(third.get("b").unwrap().as_deref(), Some(&b"x"[..]));
        assert!(third.expire("b", Duration::ZERO).unwrap() && third.is_empty());
        assert!(matches!(database.keyspace(16), Err(DataError::NoSuchDatabase)));
        assert!(database.delete("a").unwrap() && !database.delete("a").unwrap());
        assert!(matches!(client.run(["NOPE"]).unwrap(), Value::Error(_)));
    }

    #[test]
    fn a_closure_that_fails_writes_nothing() {
        let database = in_memory();
        database.set("text", "x").unwrap();
        let failed = database.update(&["a", "text"], |keys| {
            keys.set("a", "1")?;
            keys.increment("text", 1)
        });
        assert!(matches!(failed, Err(DataError::NotAnInteger)));
        assert_eq!(database.get("a").unwrap(), None);
    }

    #[test]
    fn increments_of_several_threads_are_all_counted() {
        let database = in_memory();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let database = database.clone();
                scope.spawn(move || {
                    for _ in 0..500 {
                        database
                            .update(&["a", "b"], |keys| {
                                let a = keys.increment("a", 1)?;
                                assert_eq!(keys.increment("b", 1)?, a, "nobody sees half of it");
                                Ok(())
                            })
                            .unwrap();
                    }
                });
            }
        });
        assert_eq!(database.get("b").unwrap().as_deref(), Some(&b"2000"[..]));
    }

    #[test]
    fn a_closed_database_answers_errors() {
        let database = in_memory();
        database.close().unwrap();
        assert!(matches!(database.set("a", "1"), Err(DataError::Store(_))));
    }
}
