//! Those who wait: each with what he waits to do, and a way to find him by his client's number.
//!
//! Invariants: one who waits is in the room, and in the queues of his keys, for as long as his [`Waiting`] lives, which his
//! connection or thread owns; whoever ends the wait gives the answer, wakes him, and leaves the rest to him.

mod exchange;
#[cfg(test)]
mod model;

/// What the exchange is made of, so that the model checker's can take its place (`model.rs`).
mod sync {
    pub(super) use std::sync::atomic::{AtomicU8, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard};
}

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::exchange::{End, Exchange};
use crate::command::language::error::CommandError;
use crate::command::language::reply::Reply;
use crate::command::language::until::{Until, What};
use crate::command::machine::stopwatch::Stopwatch;
use crate::data::{Committed, Data, Held, Kind, Parker, Places, Served, Tx, Waiter, Wake};

/// What a wait takes beside what it was asked for, about.
const WAIT_BYTES: usize = 512;

/// What one who waited is answered.
pub(crate) struct Answer {
    pub(crate) reply: Result<Reply, CommandError>,
    /// What the reply has to wait for.
    pub(crate) committed: Committed,
    /// How long whoever has served him has worked for him.
    pub(crate) worked_ns: u64,
}

/// One who waits.
struct Wait {
    /// What he waits to do; nothing if he waits for time only.
    what: Option<Arc<dyn What>>,
    database: u32,
    /// What he is answered when his time is over.
    timed_out: Reply,
    exchange: Exchange<Answer>,
    wake: Box<dyn Wake>,
    room: Room,
}

impl Wait {
    /// Whether it is this that ends it. Whoever has ended it is not counted any more, also if he has not gone on yet.
    fn stop(&self, end: End) -> bool {
        let ended = self.exchange.end(end);
        if ended {
            self.room.0.count.fetch_sub(1, Ordering::Relaxed);
        }
        ended
    }

    fn end(&self, end: End, reply: Result<Reply, CommandError>) -> bool {
        let ended = self.stop(end);
        if ended {
            self.give(Answer { reply, committed: Committed::default(), worked_ns: 0 });
        }
        ended
    }

    fn give(&self, answer: Answer) {
        self.exchange.answer(answer);
        self.wake.wake();
    }
}

impl Waiter for Wait {
    fn kind(&self) -> Kind {
        self.what.as_ref().map_or(Kind::String, |what| what.kind())
    }

    fn serve(self: Arc<Self>, tx: &mut Tx<'_>) -> Option<Served> {
        let mut watch = Stopwatch::start();
        let done = match self.what.as_ref()?.attempt(tx, self.database) {
            Ok(reply) => Ok(reply?),
            Err(error) => Err(error),
        };
        // Nothing was applied yet: if he waits no longer it is as if it had not been tried.
        if !self.stop(End::Served) {
            return None;
        }
        let read = Committed { read: tx.read_seq(), ..Committed::default() };
        let (reply, committed) = match done {
            Ok(reply) => match tx.commit() {
                Ok(committed) => (Ok(reply), committed),
                Err(error) => (Err(error.into()), read),
            },
            Err(error) => (Err(error), read),
        };
        let answer = Answer { reply, committed, worked_ns: watch.lap_ns() };
        Some(Served::new(move || self.give(answer)))
    }
}

/// All who wait.
#[derive(Clone, Default)]
pub struct Room(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// By the number of the client.
    waits: Mutex<Waits>,
    count: AtomicUsize,
}

#[derive(Default)]
struct Waits {
    by_client: HashMap<u64, Arc<Wait>>,
    /// Nobody begins any more.
    closed: bool,
}

impl Room {
    /// How many wait.
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Whether a client waits.
    pub(crate) fn has(&self, client: u64) -> bool {
        self.lock().by_client.contains_key(&client)
    }

    /// Ends the wait of a client, as if its time were over or with an error; says whether it was this that ended it.
    pub(crate) fn unblock(&self, client: u64, error: bool) -> bool {
        let Some(wait) = self.lock().by_client.get(&client).cloned() else { return false };
        let reply = if error {
            Err(CommandError::Text("UNBLOCKED client unblocked via CLIENT UNBLOCK".into()))
        } else {
            Ok(wait.timed_out.clone())
        };
        wait.end(End::Unblocked, reply)
    }

    /// Ends all waits, those that are yet to begin among them.
    pub fn close(&self) {
        let mut waits = self.lock();
        waits.closed = true;
        let all: Vec<Arc<Wait>> = waits.by_client.values().cloned().collect();
        drop(waits);
        for wait in all {
            wait.end(End::Closed, Err(CommandError::Closed));
        }
    }

    /// Has a client wait. `held`: the stripes of its keys, since it found nothing there.
    pub(crate) fn begin(
        &self,
        until: Until,
        (client, database): (u64, u32),
        data: &Data,
        held: &Held<'_>,
        wake: Box<dyn Wake>,
    ) -> Waiting {
        let bytes = WAIT_BYTES + until.bytes();
        let Until { what, timeout_ms, timed_out } = until;
        let timeout = timeout_ms.map(Duration::from_millis);
        let exchange = Exchange::new();
        let wait = Arc::new(Wait { what, database, timed_out, exchange, wake, room: self.clone() });
        self.0.count.fetch_add(1, Ordering::Relaxed);
        let mut waits = self.lock();
        waits.by_client.insert(client, Arc::clone(&wait));
        let closed = waits.closed;
        drop(waits);
        if closed {
            wait.end(End::Closed, Err(CommandError::Closed));
        }
        let waiter: Arc<dyn Waiter> = wait.clone();
        let places =
            wait.what.as_ref().map(|what| data.wait(held, database, what.keys(), what.target(), &waiter));
        // What is later than the clock can tell never comes.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Waiting { _places: places, wait, client, deadline, bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.0.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait under way. Dropped, it is over and has left nothing.
pub(crate) struct Waiting {
    /// Before the rest: who is no longer in a queue is served by nobody.
    _places: Option<Places>,
    wait: Arc<Wait>,
    client: u64,
    deadline: Option<Instant>,
    bytes: usize,
}

impl Waiting {
    /// The answer, once it is there.
    pub(crate) fn take(&self) -> Option<Answer> {
        self.wait.exchange.take()
    }

    /// The answer, for which the thread sleeps whose `parker` is woken with it.
    pub(crate) fn sleep(&self, parker: &Parker) -> Answer {
        loop {
            if let Some(answer) = self.take() {
                return answer;
            }
            sleep_until(parker, self.deadline());
        }
    }

    /// When its time is over, and what to tell then.
    pub(crate) fn deadline(&self) -> Option<(Instant, Deadline)> {
        self.deadline.map(|at| (at, Deadline(Arc::clone(&self.wait))))
    }

    /// What it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Whoever is about to serve it finds that it has gone, or it was served and its reply goes with it.
        self.wait.stop(End::Gone);
        self.wait.room.lock().by_client.remove(&self.client);
    }
}

/// The end of somebody's time.
pub struct Deadline(Arc<Wait>);

impl Deadline {
    /// The time has come.
    pub fn reach(&self) {
        let timed_out = self.0.timed_out.clone();
        self.0.end(End::TimedOut, Ok(timed_out));
    }
}

impl std::fmt::Debug for Deadline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deadline")
    }
}

/// Sleeps until `parker` is woken or the time is over, which is told then; or for no reason.
pub(crate) fn sleep_until(parker: &Parker, deadline: Option<(Instant, Deadline)>) {
    match deadline {
        None => parker.wait(),
        Some((at, deadline)) => {
            if !parker.wait_for(at.saturating_duration_since(Instant::now())) {
                deadline.reach();
            }
        }
    }
}
