//! When the time of those is over who wait for what others bring: those of one worker, in order.
//!
//! Invariant: it holds a deadline for exactly those who wait here and have one, so that it does not grow with waits that are over.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::command::{Begun, Deadline};

/// By time, and by the number of the client.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeMap<(Instant, u64), Deadline>);

impl Deadlines {
    /// A client waits.
    pub(super) fn enter(&mut self, begun: &Begun, client: u64) {
        if let Some((at, deadline)) = begun.deadline() {
            self.0.insert((at, client), deadline);
        }
    }

    /// It waits no longer.
    pub(super) fn leave(&mut self, begun: &Begun, client: u64) {
        if let Some((at, _)) = begun.deadline() {
            self.0.remove(&(at, client));
        }
    }

    /// The first.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Tells those whose time is over.
    pub(super) fn reach(&mut self, now: Instant) {
        while let Some(first) = self.0.first_entry()
            && first.key().0 <= now
        {
            first.remove().reach();
        }
    }
}
