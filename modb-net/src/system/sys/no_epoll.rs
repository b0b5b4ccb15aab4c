//! Waiting wherever there is no epoll: `polling` does it.

use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::Event;

/// What is there is reported until it is taken.
pub(crate) const REPORTS_EACH_WRITE: bool = false;

/// The events of one wait.
pub(crate) struct ReadyList(polling::Events);

impl ReadyList {
    /// Takes up to `capacity` events per wait.
    pub(crate) fn with_capacity(capacity: NonZeroUsize) -> Self {
        Self(polling::Events::with_capacity(capacity))
    }

    /// Waits for sources of `poller`, and replaces what was here.
    ///
    /// # Errors
    /// What the system says, interruption included.
    pub(crate) fn wait(&mut self, poller: &polling::Poller, timeout: Option<Duration>) -> io::Result<()> {
        self.0.clear();
        poller.wait(&mut self.0, timeout)?;
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.iter().map(|event| Event {
            key: event.key,
            readable: event.readable,
            writable: event.writable,
            error: event.is_err().unwrap_or(false),
            hangup: event.is_interrupt(),
        })
    }
}
