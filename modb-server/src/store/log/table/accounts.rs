//! What the records in memory cost, and what they may cost: the one place that counts.
//!
//! Invariant: a change is counted while its shard is locked, by what the record cost before and costs after, so the sums are
//! those of the records that are there.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::index;
use super::records::{Handle, Record, State};

/// What a place in the eviction's queue takes, in bytes: the queue doubles as it grows.
const QUEUE_BYTES: usize = size_of::<Handle>() * 3 / 2;
/// Eviction goes on below the budget by this part of it, so that it is not begun anew for each record.
const SLACK_PART: usize = 256;

/// The part of the budget that ghosts of dropped records may take. Each is some 25 bytes, so it is worth its room where records are larger.
const GHOSTS_PART: usize = 8;

/// What one record costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    bytes: usize,
    dirty_bytes: usize,
}

impl Cost {
    /// A record that is not there.
    pub(super) const NOTHING: Self = Self { bytes: 0, dirty_bytes: 0 };

    /// All that a record takes: nearly each is in the queue sooner or later.
    pub(super) fn of(record: &Record) -> Self {
        let bytes = record.memory_bytes() + QUEUE_BYTES;
        match record.marks().state {
            State::Clean => Self { bytes, dirty_bytes: 0 },
            State::Dirty | State::Flushing => {
                let bytes = bytes + index::ENTRY_BYTES;
                Self { bytes, dirty_bytes: bytes }
            }
        }
    }
}

/// See the top of this file.
pub(super) struct Accounts {
    bytes: AtomicUsize,
    dirty_bytes: AtomicUsize,
    /// All that was ever added to the dirty ones.
    dirtied_bytes: AtomicU64,
    /// What of the budget somebody else uses now.
    lent_bytes: AtomicUsize,
    /// What is left of records that were dropped.
    ghost_bytes: AtomicUsize,
    budget_bytes: usize,
}

impl Accounts {
    pub(super) fn new(budget_bytes: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            dirty_bytes: AtomicUsize::new(0),
            dirtied_bytes: AtomicU64::new(0),
            lent_bytes: AtomicUsize::new(0),
            ghost_bytes: AtomicUsize::new(0),
            budget_bytes,
        }
    }

    pub(super) fn change(&self, before: Cost, after: Cost) {
        add(&self.bytes, before.bytes, after.bytes);
        add(&self.dirty_bytes, before.dirty_bytes, after.dirty_bytes);
        if let Some(more) = after.dirty_bytes.checked_sub(before.dirty_bytes).filter(|more| *more > 0) {
            self.dirtied_bytes.fetch_add(more as u64, Ordering::Relaxed);
        }
    }

    /// Bytes of all records.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of those that the cold store does not have.
    pub(super) fn dirty_bytes(&self) -> usize {
        self.dirty_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn dirtied_bytes(&self) -> u64 {
        self.dirtied_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn budget_bytes(&self) -> usize {
        self.budget_bytes
    }

    /// Somebody else uses so much of the budget from now on, or no longer.
    pub(super) fn change_lent(&self, before: usize, after: usize) {
        add(&self.lent_bytes, before, after);
    }

    /// What somebody else uses of the budget: never more than half of it, whatever is asked for.
    pub(super) fn lent_bytes(&self) -> usize {
        self.lent_bytes.load(Ordering::Relaxed).min(self.budget_bytes / 2)
    }

    /// What ghosts take in one shard has changed.
    pub(super) fn change_ghosts(&self, before: usize, after: usize) {
        add(&self.ghost_bytes, before, after);
    }

    /// What they may take of the budget in all.
    pub(super) fn most_ghost_bytes(&self) -> usize {
        self.budget_bytes / GHOSTS_PART
    }

    /// What is left for records.
    fn room_bytes(&self) -> usize {
        self.budget_bytes - self.lent_bytes() - self.ghost_bytes.load(Ordering::Relaxed)
    }

    /// Whether clean records are to be dropped.
    pub(super) fn is_over(&self) -> bool {
        self.bytes() > self.room_bytes() && self.has_clean()
    }

    /// Whether more of them should be dropped by whoever has begun to.
    pub(super) fn wants_more_room(&self) -> bool {
        self.bytes() > self.room_bytes() - self.budget_bytes / SLACK_PART && self.has_clean()
    }

    fn has_clean(&self) -> bool {
        self.bytes() > self.dirty_bytes()
    }
}

/// Nothing is written where nothing changes: all cores share the sum.
fn add(sum: &AtomicUsize, before: usize, after: usize) {
    if after > before {
        sum.fetch_add(after - before, Ordering::Relaxed);
    } else if before > after {
        sum.fetch_sub(before - after, Ordering::Relaxed);
    }
}
