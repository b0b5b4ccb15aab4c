//! Waiting on Linux: `polling` registers, and its epoll descriptor is waited for directly.
//!
//! `polling` serves timeouts with a timer of its own and re-arms its notifier, both in every wait: five system
//! calls. Modb's timeouts are whole milliseconds and its notifier is a source like any other, so the one system
//! call that remains does it all. `polling` keeps the registrations, which is what its contract is about; its timer and
//! notifier stay in the set and are never armed or notified, so they report nothing.

#![allow(unsafe_code)] // `Send` for what the kernel fills.

use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventFlags};

use super::Event;

/// Each write to a count is reported by one wait, whether or not it was taken.
pub(crate) const REPORTS_EACH_WRITE: bool = true;

/// The events of one wait.
pub(crate) struct ReadyList(Vec<epoll::Event>);

// SAFETY: an event is plain data. Its type has a pointer only as a name that registration may choose; here the
// name is always a number, and nothing is reached through it.
unsafe impl Send for ReadyList {}

impl ReadyList {
    /// Takes up to `capacity` events per wait.
    pub(crate) fn with_capacity(capacity: NonZeroUsize) -> Self {
        Self(Vec::with_capacity(capacity.get()))
    }

    /// Waits for sources of `poller`, and replaces what was here.
    ///
    /// # Errors
    /// What the system says, interruption included.
    pub(crate) fn wait(&mut self, poller: &polling::Poller, timeout: Option<Duration>) -> io::Result<()> {
        self.0.clear();
        // One that is out of range is some hundred million years: for ever.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        epoll::wait(poller, spare_capacity(&mut self.0), timeout.as_ref())?;
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.iter().map(|event| {
            let flags = event.flags;
            let ended = EventFlags::HUP | EventFlags::ERR;
            Event {
                key: event.data.u64() as usize,
                readable: flags.intersects(EventFlags::IN | EventFlags::PRI | ended),
                writable: flags.intersects(EventFlags::OUT | ended),
                error: flags.contains(EventFlags::ERR),
                hangup: flags.contains(EventFlags::HUP),
            }
        })
    }
}
