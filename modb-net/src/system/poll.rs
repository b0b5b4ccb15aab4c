//! Waiting for many sockets at once: a safe wrapper of `polling`, in level mode.
//!
//! `polling` requires that a source is deleted before it is dropped. Here that cannot be got wrong: the
//! [`Poller`] holds a share of every source that it watches, so a source lives until [`Poller::delete`].
//! What can be forgotten is the deletion, and the price of that is a socket that stays open.
//!
//! Invariants: events of one wait never mix with those of the last; a wait may return early with nothing;
//! an interrupted wait is resumed. Level mode, since edge mode does not exist on Windows: what is not
//! dealt with is reported again, but for a notifier's count on Linux, of which each write is reported once. The system reports [`Event::error`] and [`Event::hangup`] even for a
//! source without any interest, at once and for ever: close it or delete it in the same turn, or it spins.

#![allow(unsafe_code)] // `polling::Poller::add`, whose contract this file exists to keep.

use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// What the system watches: a descriptor or socket that can be borrowed.
pub use polling::AsSource;
use socket2::Socket;

pub use crate::system::sys::Event;
use crate::system::sys::{EventFd, ReadyList};

/// A key the poller keeps for itself (`polling` uses it for its own notification).
pub const RESERVED_KEY: usize = usize::MAX;

/// Events taken per wait unless asked otherwise. A wait costs the same whatever it returns, so it should return
/// much; 1024 events are 12 KiB.
pub const DEFAULT_EVENTS_PER_WAIT: usize = 1024;

/// A socket that the poller can hold. Sealed: the descriptor must not change while it is registered,
/// which an arbitrary type could not promise.
pub trait Source: AsSource + Send + Sync + sealed::Sealed {}

mod sealed {
    use polling::PollMode;

    pub trait Sealed {
        /// How it is reported.
        fn mode(&self) -> PollMode {
            PollMode::Level
        }
    }
    impl Sealed for std::net::TcpListener {}
    impl Sealed for std::net::TcpStream {}
    impl Sealed for socket2::Socket {}
    impl Sealed for crate::system::sys::EventFd {
        fn mode(&self) -> PollMode {
            if crate::system::sys::REPORTS_EACH_WRITE { PollMode::Edge } else { PollMode::Level }
        }
    }
}

impl Source for TcpListener {}
impl Source for TcpStream {}
impl Source for Socket {}
impl Source for EventFd {}

/// What to be told about a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Whether it can be read (or accepted from) without blocking.
    pub readable: bool,
    /// Whether it can be written without blocking.
    pub writable: bool,
}

impl Interest {
    /// Nothing: paused. Errors and hang-ups are still reported by some systems.
    pub const NONE: Self = Self { readable: false, writable: false };
    /// Readable only.
    pub const READ: Self = Self { readable: true, writable: false };
    /// Writable only.
    pub const WRITE: Self = Self { readable: false, writable: true };
    /// Both.
    pub const BOTH: Self = Self { readable: true, writable: true };

    fn event(self, key: usize) -> polling::Event {
        polling::Event::new(key, self.readable, self.writable)
    }
}

/// The events of one wait.
pub struct Events {
    inner: ReadyList,
}

impl Events {
    /// Takes up to [`DEFAULT_EVENTS_PER_WAIT`] events per wait.
    pub fn new() -> Self {
        Self::with_capacity(NonZeroUsize::new(DEFAULT_EVENTS_PER_WAIT).expect("the default is not zero"))
    }

    /// Takes up to `capacity` events per wait; the rest come with the next one.
    pub fn with_capacity(capacity: NonZeroUsize) -> Self {
        Self { inner: ReadyList::with_capacity(capacity) }
    }

    /// The events, each source at most once.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.inner.iter()
    }

    /// How many sources have something to tell.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether the wait returned with nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The longest that one wait lasts. Whoever wants to wait longer waits again; and a longer one would ask Linux for a
/// system call that kernels before 5.11 do not have.
const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Watches sources, each under a key of the caller's choice. For one thread at a time.
pub struct Poller {
    inner: polling::Poller,
    /// Every source that the system watches for us, and the reason why it is still open.
    sources: HashMap<usize, Arc<dyn Source>>,
}

impl Poller {
    /// A poller that watches nothing yet. Takes three descriptors on Linux.
    ///
    /// # Errors
    /// What the system says, as a rule that descriptors have run out.
    pub fn new() -> io::Result<Self> {
        Ok(Self { inner: polling::Poller::new()?, sources: HashMap::new() })
    }

    /// Watches `source` under `key` and keeps it open until [`Poller::delete`].
    ///
    /// # Errors
    /// `InvalidInput` for [`RESERVED_KEY`], `AlreadyExists` for a key in use, else what the system says
    /// (a source can be in one poller once).
    pub fn add(&mut self, key: usize, source: Arc<dyn Source>, interest: Interest) -> io::Result<()> {
        if key == RESERVED_KEY {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "usize::MAX is reserved as a key"));
        }
        if self.sources.contains_key(&key) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("key {key} is in use")));
        }
        // SAFETY: the source must be deleted from the poller before it is dropped. `sources` holds a share
        // of it from here until `delete` has succeeded, or until `drop` has deleted it. `Source` is sealed
        // to types whose descriptor lives as long as they do.
        unsafe { self.inner.add_with_mode(&source.source(), interest.event(key), source.mode())? };
        self.sources.insert(key, source);
        Ok(())
    }

    /// Changes what to be told about the source under `key`.
    ///
    /// # Errors
    /// `NotFound` if there is none, else what the system says.
    pub fn modify(&self, key: usize, interest: Interest) -> io::Result<()> {
        let source = self.sources.get(&key).ok_or_else(|| unknown(key))?;
        self.inner.modify_with_mode(source.source(), interest.event(key), source.mode())
    }

    /// Stops watching the source under `key` and gives its share back. Events of it that a wait has
    /// already returned are still in [`Events`]: reuse a key only after the batch.
    ///
    /// # Errors
    /// `NotFound` if there is none, else what the system says; the source then stays held.
    pub fn delete(&mut self, key: usize) -> io::Result<()> {
        let source = self.sources.get(&key).ok_or_else(|| unknown(key))?;
        self.inner.delete(source.source())?;
        self.sources.remove(&key);
        Ok(())
    }

    /// How many sources are watched.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Waits until a source has something to tell, at most for `timeout` (`None`: for ever), and puts it
    /// into `events` in place of what was there. May return early with no event, at the latest after a day.
    ///
    /// # Errors
    /// What the system says; an interruption by a signal is not an error.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match events.inner.wait(&self.inner, timeout.map(|timeout| whole_millis(timeout.min(MAX_WAIT)))) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Some systems count whole milliseconds and round down: waking a moment early would turn into a spin until the deadline.
fn whole_millis(timeout: Duration) -> Duration {
    Duration::from_millis(u64::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

impl Drop for Poller {
    fn drop(&mut self) {
        for source in self.sources.values() {
            // Nothing better can be done about a failure: the poller itself is closed next.
            let _ = self.inner.delete(source.source());
        }
    }
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}

fn unknown(key: usize) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no source under key {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::socketpair;
    use std::io::Write;

    const SECOND: Option<Duration> = Some(Duration::from_secs(1));
    const NOW: Option<Duration> = Some(Duration::ZERO);

    fn watched_pair(key: usize, interest: Interest) -> (Poller, Arc<Socket>, Socket) {
        let (near, far) = socketpair::pair().unwrap();
        let (mut poller, near) = (Poller::new().unwrap(), Arc::new(near));
        poller.add(key, near.clone(), interest).unwrap();
        (poller, near, far)
    }

    #[test]
    fn what_is_not_read_is_reported_again_and_only_once_per_wait() {
        let (poller, _near, mut far) = watched_pair(7, Interest::READ);
        let mut events = Events::new();
        poller.wait(&mut events, NOW).unwrap();
        assert!(events.is_empty());
        far.write_all(b"x").unwrap();
        for _ in 0..3 {
            poller.wait(&mut events, SECOND).unwrap();
            let told: Vec<_> = events.iter().map(|event| (event.key, event.readable)).collect();
            assert_eq!(told, [(7, true)]);
        }
    }

    #[test]
    fn interest_can_change_and_end() {
        let (mut poller, _near, mut far) = watched_pair(1, Interest::NONE);
        far.write_all(b"x").unwrap();
        let mut events = Events::new();
        poller.wait(&mut events, NOW).unwrap();
        assert!(events.is_empty());
        poller.modify(1, Interest::BOTH).unwrap();
        poller.wait(&mut events, SECOND).unwrap();
        assert!(events.iter().any(|event| event.key == 1 && event.readable && event.writable));
        poller.delete(1).unwrap();
        poller.wait(&mut events, NOW).unwrap();
        assert!(events.is_empty());
    }

    #[test]
    fn a_watched_source_stays_open_until_it_is_deleted() {
        let (mut poller, near, mut far) = watched_pair(1, Interest::READ);
        drop(near);
        far.write_all(b"x").unwrap();
        let mut events = Events::new();
        poller.wait(&mut events, SECOND).unwrap();
        assert_eq!(events.len(), 1);
        poller.delete(1).unwrap();
        assert!(far.write_all(b"x").is_err(), "the near end is closed now");
    }

    #[test]
    fn wrong_keys_are_refused() {
        let (mut poller, near, far) = watched_pair(1, Interest::READ);
        let far: Arc<dyn Source> = Arc::new(far);
        let kind = |result: io::Result<()>| result.unwrap_err().kind();
        assert_eq!(kind(poller.add(RESERVED_KEY, far.clone(), Interest::READ)), io::ErrorKind::InvalidInput);
        assert_eq!(kind(poller.add(1, far, Interest::READ)), io::ErrorKind::AlreadyExists);
        assert_eq!(kind(poller.modify(2, Interest::READ)), io::ErrorKind::NotFound);
        assert_eq!(kind(poller.delete(2)), io::ErrorKind::NotFound);
        assert!(poller.add(2, near, Interest::READ).is_err(), "the same source twice");
        assert_eq!(poller.len(), 1);
    }

    #[test]
    fn a_closed_peer_is_told() {
        let (poller, _near, far) = watched_pair(1, Interest::READ);
        drop(far);
        let mut events = Events::new();
        poller.wait(&mut events, SECOND).unwrap();
        assert!(events.iter().any(|event| event.key == 1 && event.readable));
    }
}
