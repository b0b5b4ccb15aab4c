//! Active expiry: removes keys whose time has come, in order of time, a bounded number per call.
//!
//! The index is ordered by buckets of 1,024 ms, so what is due stands at its beginning. Invariant: every entry
//! whose bucket is before the floor has been dealt with, so that a call does not walk over what is long gone. The floor
//! also looks ahead: while it is in the future nothing is due, and a call reads nothing at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::{self, Place};
use super::{Data, DataError, Need, Tally, Tx};
use crate::messages::Frame;
use crate::store::{Page, Write, vast};

/// An entry that expires later than this after its own commit need not lower the floor: nobody has raised it
/// that far meanwhile.
const FLOOR_MARGIN_MS: u64 = 60_000;

/// How far ahead the floor may be raised: half of the margin, which leaves the other half to a commit on its way.
const LOOK_AHEAD_MS: u64 = FLOOR_MARGIN_MS / 2;

/// Entries, removed ones included, that looking ahead passes.
const MOST_LOOKED_AT: usize = 1000;

/// Keys removed in one batch, whose stripes are held together. So much is told without room for it.
const KEYS_PER_BATCH: usize = 64;

/// The first bucket that may have entries (low 32 bits), and how often it was lowered (high 32 bits): raising
/// it must not overlook an entry that was committed after the index was read.
#[derive(Default)]
pub(super) struct Floor(AtomicU64);

impl Floor {
    /// Entries from `soonest_ms` on were committed at `now_ms`.
    pub(super) fn lower(&self, soonest_ms: u64, now_ms: u64) {
        let bucket = u64::from(layout::bucket(soonest_ms));
        // A floor above it: the clock was set back.
        if soonest_ms > now_ms.saturating_add(FLOOR_MARGIN_MS) && bucket >= self.read() & u64::from(u32::MAX)
        {
            return;
        }
        let lowered = |state: u64| {
            let version = (state >> 32).wrapping_add(1) << 32;
            Some(version | (state & u64::from(u32::MAX)).min(bucket))
        };
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, lowered);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Nothing is before `bucket`, if nothing was lowered since `seen` was read.
    fn raise(&self, seen: u64, bucket: u32) {
        let raised = seen & !u64::from(u32::MAX) | u64::from(bucket);
        let _ = self.0.compare_exchange(seen, raised, Ordering::AcqRel, Ordering::Acquire);
    }
}

impl Data {
    /// Removes keys that have expired at `now_ms`, looking at up to `limit` entries of the index; says whether
    /// there may be more. Where there is no room for what it tells it waits for that behind each batch.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn remove_expired(&self, now_ms: u64, limit: usize, tally: &Tally) -> Result<bool, DataError> {
        let seen = self.expiry_floor.read();
        let (floor, current) = (seen as u32, layout::bucket(now_ms));
        if floor > current {
            return Ok(false);
        }
        let page = self.store.scan(&layout::expiry_from(floor), &layout::expiry_to(current), limit)?;
        let mut due = entries(&page)?;
        let last = due.last().map(|(_, at)| layout::bucket(*at));
        let seen_all = page.next.is_none();
        let left = due.len();
        due.retain(|(_, at)| *at <= now_ms);
        let left = left - due.len();
        for group in due.chunks(KEYS_PER_BATCH) {
            let told = self.remove_group(group, now_ms, tally)?;
            self.wait_for_room_of(&told);
        }
        let raised = match last {
            Some(last) if !seen_all => last,
            // Only the current bucket holds what is not due yet.
            _ if left > 0 => current,
            _ => self.next_bucket(current, now_ms)?,
        };
        self.expiry_floor.raise(seen, raised);
        Ok(!seen_all && !due.is_empty())
    }

    /// The first bucket behind `current` with an entry, as far as the floor may look ahead.
    fn next_bucket(&self, current: u32, now_ms: u64) -> Result<u32, DataError> {
        let horizon = layout::bucket(now_ms.saturating_add(LOOK_AHEAD_MS));
        let page = self.store.scan_some(
            &layout::expiry_from(current.saturating_add(1)),
            &layout::expiry_from(horizon),
            1,
            MOST_LOOKED_AT,
        )?;
        let first = page.records.first().map(|(key, _)| &key[..]).or(page.next.as_deref());
        Ok(first.map(entry).transpose()?.map_or(horizon, |(_, at)| layout::bucket(at)))
    }

    /// Answers what it has told.
    fn remove_group(
        &self,
        group: &[(Place<'_>, u64)],
        now_ms: u64,
        tally: &Tally,
    ) -> Result<Vec<Arc<Frame>>, DataError> {
        let mut key_buf = Vec::new();
        // Before it holds what others want.
        self.store.wait_for_room();
        let _later = vast::later();
        let held = self.hold_sleeping(Need::many(group.iter().map(|(place, _)| place.hash)));
        let mut tx = Tx::new(self, &held, tally, &mut key_buf, now_ms).freeing(true);
        for (place, at) in group {
            let entry = tx.outlined_at(*place, self.catalog.database_of(place.namespace))?;
            if entry.expires_at_ms() == Some(*at) {
                tx.remove(&entry);
            } else {
                // Only a namespace that is being swept leaves an entry without its record.
                let mut key = Vec::new();
                place.expiry_key(*at, &mut key);
                tx.write(Write::Delete(key.into()));
            }
        }
        let told = tx.all_messages();
        tx.commit()?;
        drop(held);
        Ok(told)
    }
}

/// The places of a page of the index, and when each expires.
fn entries(page: &Page) -> Result<Vec<(Place<'_>, u64)>, DataError> {
    page.records.iter().map(|(key, _)| entry(key)).collect()
}

fn entry(key: &[u8]) -> Result<(Place<'_>, u64), DataError> {
    Place::from_expiry_key(key).ok_or(DataError::Corrupt("an entry of the expiry index is too short"))
}
