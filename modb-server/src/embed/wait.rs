//! Waiting for what others bring: threads of a program, in the queues in which clients stand.
//!
//! Invariants: who waits entered the queues of his keys under the stripes under which he found nothing there, and is served in the order of
//! arrival over threads and clients, by whoever brings something (`data/interests/serve.rs`); he holds no stripe and reads no
//! clock meanwhile, and the end of the database ends it; what he is given is as safe as the durability mode promises when he has it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Keyspace, List, SortedSet};
use crate::command::{Answer, Reply, Until, What, move_of_list, pop_of_lists, pop_of_sorted_sets};
use crate::data::{Committed, End, Parker, Tx};
use crate::error::Error;
use crate::handle::Open;
use crate::session::now_ms;
use crate::store::vast;
use crate::value::Value;

/// One of the two ends of a list, or of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first element of a list, which clients call its left end; the member of the lowest score.
    Front,
    /// The last element; the member of the highest score.
    Back,
}

impl Side {
    fn end(self) -> End {
        match self {
            Self::Front => End::Left,
            Self::Back => End::Right,
        }
    }
}

impl Keyspace {
    /// Takes the element at one end of the first of these lists that has any, and says which list that was. Where none has, this thread sleeps
    /// until one gets some, but for no longer than `timeout`; [`Duration::MAX`] is for ever, and [`Duration::ZERO`] does not wait. As
    /// `BLPOP` and `BRPOP`.
    ///
    /// Threads and clients that wait for the same key stand in one queue: first come, first served. Whatever brings an element serves
    /// the first of them, be it a command, a call, or a closure of [`Keyspace::update`] once it is committed.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use modb_server::Side;
    ///
    /// let database = modb_server::Database::in_memory()?;
    /// let urgent_first = ["urgent", "jobs"];
    /// database.list("jobs").push_back("wash")?;
    /// let job = database.pop_of_lists_wait(&urgent_first, Side::Front, Duration::MAX)?;
    /// assert_eq!(job, Some(("jobs".into(), "wash".into())));
    /// assert_eq!(database.pop_of_lists_wait(&urgent_first, Side::Front, Duration::from_millis(10))?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::WrongType`] if one of them that comes before holds another type; [`Error::Closed`], also when somebody closes the
    /// database meanwhile; as [`Keyspace::set`].
    pub fn pop_of_lists_wait(
        &self,
        keys: &[impl AsRef<[u8]>],
        side: Side,
        timeout: Duration,
    ) -> Result<Option<(Value, Value)>, Error> {
        let popped = self.do_or_wait(pop_of_lists(owned(keys), side.end()), timeout)?;
        let [Reply::Bulk(key), Reply::Bulk(element)] = &items(popped)[..] else { return Ok(None) };
        Ok(Some((key.clone().into(), element.clone().into())))
    }

    /// Takes the member of the lowest or the highest score of the first of these sorted sets that has any, and says which that was. Waits as
    /// [`Keyspace::pop_of_lists_wait`]. As `BZPOPMIN` and `BZPOPMAX`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use modb_server::Side;
    ///
    /// let database = modb_server::Database::in_memory()?;
    /// database.sorted_set("due").insert("wash", 9.0)?;
    /// let due = database.pop_of_sorted_sets_wait(&["overdue", "due"], Side::Front, Duration::MAX)?;
    /// assert_eq!(due, Some(("due".into(), "wash".into(), 9.0)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::pop_of_lists_wait`].
    pub fn pop_of_sorted_sets_wait(
        &self,
        keys: &[impl AsRef<[u8]>],
        side: Side,
        timeout: Duration,
    ) -> Result<Option<(Value, Value, f64)>, Error> {
        let popped = self.do_or_wait(pop_of_sorted_sets(owned(keys), side == Side::Back), timeout)?;
        let [Reply::Bulk(key), Reply::Bulk(member), Reply::Double(score)] = &items(popped)[..] else {
            return Ok(None);
        };
        Ok(Some((key.clone().into(), member.clone().into(), *score)))
    }

    /// Does what is asked for, or sleeps until it was done; null if there was nothing until then.
    fn do_or_wait(&self, what: Arc<dyn What>, timeout: Duration) -> Result<Reply, Error> {
        self.shared.run(|open| {
            let data = &open.instance.data;
            let keys = what.keys().iter().chain(what.target()).map(|key| &key[..]);
            data.store().wait_for_room();
            let later = vast::later();
            let (held, mut key_buf) = (open.hold(data.need_many(keys))?, Vec::new());
            let tx = Tx::new(data, &held, &open.instance.embedded, &mut key_buf, now_ms());
            let mut tx = tx.waiting();
            let (reply, committed) = match what.attempt(&mut tx, self.index)? {
                Some(reply) => {
                    let told = tx.all_messages();
                    let committed = tx.commit()?;
                    drop((held, later));
                    open.instance.data.wait_for_room_of(&told);
                    (reply, committed)
                }
                None if timeout.is_zero() => return Ok(Reply::Null),
                None => {
                    drop(tx);
                    let parker = Parker::default();
                    let until =
                        Until { what: Some(what), timeout_ms: whole_ms(timeout), timed_out: Reply::Null };
                    // A number as a client has one, under which it waits.
                    let client = open.instance.clients.add(None, now_ms()).id;
                    let who = (client, self.index);
                    let waiting = open.instance.waiting.begin(until, who, data, &held, parker.waker());
                    drop((held, later));
                    let Answer { reply, committed, .. } = waiting.sleep(&parker);
                    (reply?, committed)
                }
            };
            open.wait_for_all_of(committed)?;
            Ok(reply)
        })
    }
}

impl Open {
    /// Waits until what was written and read is as safe as the durability mode promises.
    fn wait_for_all_of(&self, committed: Committed) -> Result<(), Error> {
        Ok(self.wait_for(committed.awaited(self.instance.data.reads_wait()))?)
    }
}

impl List {
    /// Takes the first element away, and returns it; waits for one, as [`Keyspace::pop_of_lists_wait`].
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// use std::time::Duration;
    ///
    /// let jobs = database.list("jobs");
    /// let worker = std::thread::spawn({
    ///     let jobs = jobs.clone();
    ///     move || jobs.pop_front_wait(Duration::MAX)
    /// });
    /// jobs.push_back("wash")?;
    /// assert_eq!(worker.join().unwrap()?, Some("wash".into()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::pop_of_lists_wait`].
    pub fn pop_front_wait(&self, timeout: Duration) -> Result<Option<Value>, Error> {
        self.pop_wait(Side::Front, timeout)
    }

    /// Takes the last element away, and returns it; waits for one, as [`Keyspace::pop_of_lists_wait`].
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// use std::time::Duration;
    ///
    /// assert_eq!(database.list("jobs").pop_back_wait(Duration::from_millis(10))?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::pop_of_lists_wait`].
    pub fn pop_back_wait(&self, timeout: Duration) -> Result<Option<Value>, Error> {
        self.pop_wait(Side::Back, timeout)
    }

    fn pop_wait(&self, side: Side, timeout: Duration) -> Result<Option<Value>, Error> {
        let popped = self.access.pop_of_lists_wait(&[&self.key], side, timeout)?;
        Ok(popped.map(|(_, element)| element))
    }

    /// Moves the element at one end of this list to an end of the list at another key, as one commit, and returns it; waits for one,
    /// as [`Keyspace::pop_of_lists_wait`]. So a job is in one of two lists at any time, also if its worker dies. As `BLMOVE`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// use std::time::Duration;
    ///
    /// use modb_server::Side;
    ///
    /// let jobs = database.list("jobs");
    /// jobs.push_back("wash")?;
    /// let job = jobs.move_wait(Side::Front, "working", Side::Back, Duration::MAX)?;
    /// assert_eq!((job, database.list("working").len()?), (Some("wash".into()), 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::pop_of_lists_wait`].
    pub fn move_wait(
        &self,
        from: Side,
        target: impl AsRef<[u8]>,
        to: Side,
        timeout: Duration,
    ) -> Result<Option<Value>, Error> {
        let [source, target] = [self.key.as_ref(), target.as_ref()].map(Bytes::copy_from_slice);
        match self.access.do_or_wait(move_of_list(source, target, (from.end(), to.end())), timeout)? {
            Reply::Bulk(element) => Ok(Some(element.into())),
            _ => Ok(None),
        }
    }
}

impl SortedSet {
    /// Takes the member of the lowest score away, and returns it; waits for one, as [`Keyspace::pop_of_lists_wait`].
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// use std::time::Duration;
    ///
    /// let due = database.sorted_set("due");
    /// due.insert("wash", 9.0)?;
    /// assert_eq!(due.pop_first_wait(Duration::MAX)?, Some(("wash".into(), 9.0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::pop_of_lists_wait`].
    pub fn pop_first_wait(&self, timeout: Duration) -> Result<Option<(Value, f64)>, Error> {
        self.pop_wait(Side::Front, timeout)
    }

    /// Takes the member of the highest score away, and returns it; waits for one, as [`Keyspace::pop_of_lists_wait`].
    ///
    /// ```
    /// # let database = modb_server::Database::in_memory()?;
    /// use std::time::Duration;
    ///
    /// assert_eq!(database.sorted_set("due").pop_last_wait(Duration::from_millis(10))?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Keyspace::pop_of_lists_wait`].
    pub fn pop_last_wait(&self, timeout: Duration) -> Result<Option<(Value, f64)>, Error> {
        self.pop_wait(Side::Back, timeout)
    }

    fn pop_wait(&self, side: Side, timeout: Duration) -> Result<Option<(Value, f64)>, Error> {
        let popped = self.access.pop_of_sorted_sets_wait(&[&self.key], side, timeout)?;
        Ok(popped.map(|(_, member, score)| (member, score)))
    }
}

/// Keys that are kept while somebody waits.
fn owned(keys: &[impl AsRef<[u8]>]) -> Box<[Bytes]> {
    keys.iter().map(|key| Bytes::copy_from_slice(key.as_ref())).collect()
}

/// What an array holds; nothing else does.
fn items(reply: Reply) -> Vec<Reply> {
    match reply {
        Reply::Array(items) => items,
        _ => Vec::new(),
    }
}

/// Rounded up. What is more than can be counted is for ever.
fn whole_ms(timeout: Duration) -> Option<u64> {
    u64::try_from(timeout.as_nanos().div_ceil(1_000_000)).ok()
}
