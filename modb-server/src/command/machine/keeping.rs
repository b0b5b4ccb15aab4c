//! What a client keeps by its own doing for longer than a request: what it has queued, and the keys that it watches and tracks.
//!
//! Invariant: all of it is counted for its connection, and what is more than little has found room before it is kept.

use modb_net::Limits;

use super::client::Client;
use super::spec::{Flags, Spec};
use super::tracking::Caching;
use super::transaction::{Load, QUEUED_BYTES, WATCH_BYTES};
use crate::data::TRACKED_BYTES;

impl Client {
    /// What it keeps so, in bytes.
    #[inline]
    pub fn kept_bytes(&self) -> usize {
        let tracked = self.caching().map_or(0, |caching| caching.tracker().bytes());
        self.transaction_bytes() + tracked
    }

    /// Whether it may come to keep more than little, at a glance.
    #[inline(always)]
    pub fn may_keep_much(&self, load: &Load) -> bool {
        let Some(rare) = self.rare() else { return load.flags.has(Flags::WATCHES) };
        match &rare.transaction {
            Some(transaction) if rare.watches.is_none() && rare.caching.is_none() => {
                // What grows is there once as it was, and once twice as large.
                3 * transaction.bytes() + load.bytes + load.words * QUEUED_BYTES > Limits::SMALL_REQUEST_BYTES
            }
            _ => true,
        }
    }

    /// So many bytes more it keeps at most once this has been executed, if they need room; 0: they need none.
    #[inline]
    pub fn room_to_keep(&self, spec: &Spec, load: &Load) -> usize {
        let each = |bytes: usize| load.words.saturating_mul(bytes);
        let queues = self.transaction().filter(|_| !spec.flags.has(Flags::AT_ONCE));
        let more = if let Some(transaction) = queues {
            transaction.room_to_queue(load)
        } else {
            let watched = if load.flags.has(Flags::WATCHES) {
                each(WATCH_BYTES).saturating_add(load.bytes.saturating_mul(3))
            } else {
                0
            };
            let remembers = load.flags.has(Flags::READONLY) && self.caching().is_some_and(Caching::remembers);
            let tracked = if remembers { each(TRACKED_BYTES).saturating_add(load.bytes) } else { 0 };
            watched.saturating_add(tracked)
        };
        let is_little = self.kept_bytes().saturating_add(more) <= Limits::SMALL_REQUEST_BYTES;
        if is_little { 0 } else { more }
    }
}
