//! Who watches a key, as the key's stripe knows him: a flag that is set by whoever changes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether any of the keys that somebody watches was changed. Looked at under their stripes it is exact.
#[derive(Debug, Default)]
pub struct Told(AtomicBool);

impl Told {
    /// Whether one was changed.
    pub fn is_told(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn tell(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// One who watches a key.
pub(super) struct Watcher {
    pub(super) told: Arc<Told>,
    /// The key had expired when he began to watch it: that it is removed then changes nothing.
    pub(super) expired: bool,
}

/// What is of a key in one namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    /// As good as absent, and not removed yet.
    Expired,
    There,
}

impl Watcher {
    /// The key was written or removed.
    pub(super) fn see(&mut self, removed: bool) {
        if self.expired && removed {
            self.expired = false;
        } else {
            self.told.tell();
        }
    }

    /// Another namespace has come into the place of the key's.
    pub(super) fn see_other_database(&mut self, before: State, after: State) {
        match (before, after) {
            (State::Absent, State::Absent) => {}
            // What was gone already for who watches it is gone, or still there and expired.
            (_, State::Absent) if self.expired => self.expired = false,
            (_, State::Expired) if self.expired => {}
            (State::Absent, State::Expired) => self.expired = true,
            _ => self.told.tell(),
        }
    }
}
