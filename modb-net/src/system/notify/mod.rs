//! Waking a poll loop from another thread, with wake-ups that coalesce.
//!
//! One [`Notifier`] belongs to a loop; any number of [`Waker`]s belong to other threads. The notifier is a
//! socket (or an eventfd) that any `select`, `poll`, `epoll`, `kqueue` or IOCP loop can wait on. While the loop
//! is awake a wake-up costs no system call; while it sleeps, there is one write, however many wake it. In a burst the
//! loop does not fall asleep between any two wake-ups: one that comes while it is awake makes the next wait a mere look
//! at what else there is, and one that comes during the look makes it look again, which spares the write that a loop asleep
//! would need. So does a second one that comes before a loop asleep has woken; a single one costs no look. In a long burst
//! not each look asks whether more came, since that takes a cache line from the wakers (`pace.rs`).
//!
//! The queue is the caller's. The producer publishes its item, then calls [`Waker::wake`]. The loop does,
//! in this order (see [`Wait`], which keeps it):
//!
//! ```no_run
//! # use modb_net::{notify::{Notifier, NotifyError}, poll::{Events, Interest, Poller}};
//! # fn drain_queue() -> bool { true } // Whether the queue is empty now.
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! const KEY: usize = 0;
//! let (notifier, mut poller, mut events) = (Notifier::new()?, Poller::new()?, Events::new());
//! poller.add(KEY, notifier.source(), Interest::READ)?;
//! loop {
//!     let drained = drain_queue();
//!     let wait = notifier.begin_wait(drained);
//!     poller.wait(&mut events, wait.timeout(None))?;
//!     wait.end(events.iter().any(|event| event.key == KEY))?;
//!     // ... serve the other events ...
//! }
//! # }
//! ```
//!
//! Invariants: an item published before a wake-up is seen by the drain that follows, or the loop does not
//! sleep (`state.rs`, checked by loom in `model.rs`). A full socket buffer is success: there is a byte to
//! read. A write that keeps failing breaks the notifier for good and wakes the loop to be told so, since
//! another waker may already have relied on that byte.

mod channel;
mod pace;
mod state;

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use socket2::Socket;

use crate::system::poll::Source;
use crate::system::socketpair::{self, PairError};
use crate::system::sys;
use channel::{Receiver, Sender};
use pace::Pace;
use state::State;

/// How often a failing write is tried before the notifier counts as broken. What can pass (a lack of
/// kernel memory) passes quickly or not at all, and the caller must not be held.
const WRITE_ATTEMPTS: u32 = 16;

/// A wake-up cannot be delivered, now or ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// The [`Notifier`] is gone: nobody waits.
    #[error("the notifier is closed")]
    Closed,
    /// Its socket has failed; wake-ups may have been lost. The loop must drain its queue and end.
    #[error("the notifier's socket has failed")]
    Broken,
}

/// Whether wake-ups can still be delivered. Goes up only.
const LIVE: u8 = 0;
const BROKEN: u8 = 1;
const CLOSED: u8 = 2;

#[derive(Debug)]
struct Shared {
    state: State,
    fate: AtomicU8,
    sender: Sender,
}

/// The receiving half: belongs to one loop, on one thread at a time.
#[derive(Debug)]
pub struct Notifier {
    shared: Arc<Shared>,
    receiver: Receiver,
    /// Whether the next wait only looks. Not shared: two threads in a wait on one notifier would break the protocol, and so
    /// the notifier is not `Sync`.
    pace: Cell<Pace>,
    /// It is in a poller that reports each write once, so that nothing has to be emptied.
    is_reported_once: Cell<bool>,
}

sys::impl_as_socket!(Notifier, receiver);

impl Notifier {
    /// A notifier over what is fastest here: an `eventfd` on Linux, [`socketpair::pair`] elsewhere.
    ///
    /// # Errors
    /// If neither can be had.
    pub fn new() -> Result<Self, PairError> {
        // Where there is no eventfd, as in some sandboxes, the pair will do or say what is wrong.
        channel::of_event().map_or_else(|_| Ok(Self::over(socketpair::pair()?)), |ends| Ok(Self::on(ends)))
    }

    /// A notifier over a pair of the caller's choice: connected, non-blocking stream sockets.
    pub fn over((receiver, sender): (Socket, Socket)) -> Self {
        Self::on(channel::of_pair(receiver, sender))
    }

    fn on((receiver, sender): (Receiver, Sender)) -> Self {
        let shared = Arc::new(Shared { state: State::new(), fate: AtomicU8::new(LIVE), sender });
        Self { shared, receiver, pace: Cell::new(Pace::Calm), is_reported_once: Cell::new(false) }
    }

    /// A waker for this notifier; clone it for more.
    pub fn waker(&self) -> Waker {
        Waker { shared: self.shared.clone() }
    }

    /// What to add to a [`Poller`](crate::poll::Poller), to be told when it is readable.
    pub fn source(&self) -> Arc<dyn Source> {
        self.is_reported_once.set(self.receiver.is_reported_once());
        self.receiver.source()
    }

    /// Begins a wait. `drained`: whether the queue was emptied since the last wait and nothing else was
    /// left undone; if not, or if there was a wake-up since the last wait, or in a burst of them, the wait
    /// will not block.
    pub fn begin_wait(&self, drained: bool) -> Wait<'_> {
        let live = self.shared.fate.load(Ordering::Acquire) == LIVE;
        let looks = self.pace.get().looks() || !drained || !live;
        Wait { notifier: self, may_block: !looks && self.shared.state.try_sleep(), ended: false }
    }

    /// Empties the channel, then makes what was published visible: in this order. What is reported once is emptied after, and only
    /// if nothing was published: then a write was late, or somebody reports it until it is emptied. Nobody writes
    /// meanwhile, since the loop is awake. A look of a long burst does neither, unless it has found something to empty.
    fn end_wait(&self, was_asleep: bool, readable: bool) -> Result<(), NotifyError> {
        let pace = self.pace.get();
        if let Some(pace) = pace.without_asking().filter(|_| !readable) {
            self.pace.set(pace);
            return self.shared.check();
        }
        let once = self.is_reported_once.get();
        let mut emptied = if readable && !once { self.receiver.empty() } else { Ok(()) };
        let notifies = self.shared.state.wake();
        if readable && once && notifies == 0 {
            emptied = self.receiver.empty();
        }
        // Of those that came to a loop asleep the first has ended its wait; any other is one of a burst.
        self.pace.set(pace.told(notifies > u64::from(was_asleep)));
        if emptied.is_err() {
            self.shared.break_down();
        }
        self.shared.check()
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.shared.fate.fetch_max(CLOSED, Ordering::AcqRel);
    }
}

/// One wait of the loop, from before it blocks until after it woke. Dropping it ends it too.
#[derive(Debug)]
#[must_use = "the loop counts as asleep until the wait is ended"]
pub struct Wait<'a> {
    notifier: &'a Notifier,
    may_block: bool,
    ended: bool,
}

impl Wait<'_> {
    /// How long to wait: as long as the caller `wanted` (`None`: for ever), or not at all.
    pub fn timeout(&self, wanted: Option<Duration>) -> Option<Duration> {
        if self.may_block { wanted } else { Some(Duration::ZERO) }
    }

    /// Whether the wait may block.
    pub fn may_block(&self) -> bool {
        self.may_block
    }

    /// Ends the wait; `readable`: the notifier's socket was reported. Drain the queue after this, not
    /// before, and also if it was not reported.
    ///
    /// # Errors
    /// [`NotifyError::Broken`]: nobody can wake this loop any more.
    pub fn end(mut self, readable: bool) -> Result<(), NotifyError> {
        self.ended = true;
        self.notifier.end_wait(self.may_block, readable)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // Whether the socket is readable is not known here; asking it is harmless. An error is kept
            // in the notifier and told by the next wait.
            let _ = self.notifier.end_wait(self.may_block, true);
        }
    }
}

/// The sending half: clone it, send it, drop it as you like, also when the notifier is gone.
#[derive(Clone, Debug)]
pub struct Waker {
    shared: Arc<Shared>,
}

impl Waker {
    /// Wakes the loop. Publish the item first.
    ///
    /// No system call unless the loop sleeps and this is the first wake-up since. Does not wait for the loop; at
    /// most for another waker's write of its byte.
    ///
    /// # Errors
    /// [`NotifyError`]; what was published may never be seen.
    pub fn wake(&self) -> Result<(), NotifyError> {
        self.shared.check()?;
        if self.shared.state.notify() { self.shared.write() } else { Ok(()) }
    }
}

impl Shared {
    fn check(&self) -> Result<(), NotifyError> {
        match self.fate.load(Ordering::Acquire) {
            LIVE => Ok(()),
            BROKEN => Err(NotifyError::Broken),
            _ => Err(NotifyError::Closed),
        }
    }

    /// Writes, and if that is impossible makes sure that everybody learns it.
    fn write(&self) -> Result<(), NotifyError> {
        for _ in 0..WRITE_ATTEMPTS {
            match self.sender.write() {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => std::thread::yield_now(),
            }
            // The notifier has gone meanwhile: that is why.
            self.check()?;
        }
        // Putting the state back to ASLEEP would not do: others may have coalesced onto this write.
        self.break_down();
        self.check()
    }

    /// Ends the notifier for good, and its stream, so that a sleeping loop finds it readable.
    fn break_down(&self) {
        self.fate.fetch_max(BROKEN, Ordering::AcqRel);
        self.sender.end_stream();
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
