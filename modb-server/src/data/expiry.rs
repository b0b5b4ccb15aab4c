//! Active expiry: removes keys whose time has come, in order of time, a bounded number per call.
//!
//! The index is ordered by buckets of 1,024 ms, so what is due stands at its beginning. Invariant: every entry
//! whose bucket is before the floor has been dealt with, so that a call does not walk over what is long gone.

use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::{self, Place};
use super::{Data, DataError, Tally, Tx};
use crate::store::Write;

/// An entry that expires later than this after its own commit need not lower the floor: nobody has raised it
/// that far meanwhile.
const FLOOR_MARGIN_MS: u64 = 60_000;

/// Keys removed in one batch, whose stripes are held together.
const KEYS_PER_BATCH: usize = 64;

/// The first bucket that may have entries (low 32 bits), and how often it was lowered (high 32 bits): raising
/// it must not overlook an entry that was committed after the index was read.
#[derive(Default)]
pub(super) struct Floor(AtomicU64);

impl Floor {
    /// Entries from `soonest_ms` on were committed at `now_ms`.
    pub(super) fn lower(&self, soonest_ms: u64, now_ms: u64) {
        if soonest_ms > now_ms.saturating_add(FLOOR_MARGIN_MS) {
            return;
        }
        let bucket = u64::from(layout::bucket(soonest_ms));
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
    /// there may be more.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn remove_expired(&self, now_ms: u64, limit: usize, tally: &Tally) -> Result<bool, DataError> {
        let seen = self.expiry_floor.read();
        let current = layout::bucket(now_ms);
        let from = layout::expiry_from(seen as u32);
        let page = self.store.scan(&from, &layout::expiry_to(current), limit)?;
        let mut due: Vec<(Place<'_>, u64)> = Vec::with_capacity(page.records.len());
        for (key, _) in &page.records {
            let entry = Place::from_expiry_key(key);
            due.push(entry.ok_or(DataError::Corrupt("an entry of the expiry index is too short"))?);
        }
        let more = page.next.is_some();
        let reached = due.last().map_or(current, |(_, at)| layout::bucket(*at));
        due.retain(|(_, at)| *at <= now_ms);
        for group in due.chunks(KEYS_PER_BATCH) {
            self.remove_group(group, now_ms, tally)?;
        }
        self.expiry_floor.raise(seen, if more { reached } else { current });
        Ok(more && !due.is_empty())
    }

    fn remove_group(&self, group: &[(Place<'_>, u64)], now_ms: u64, tally: &Tally) -> Result<(), DataError> {
        let mut hashes: Vec<u64> = group.iter().map(|(place, _)| place.hash).collect();
        let mut key_buf = Vec::new();
        let held = self.stripes.many(&mut hashes);
        let mut tx = Tx::new(self, tally, &mut key_buf, now_ms);
        for (place, at) in group {
            let entry = tx.entry_at(*place)?;
            if entry.expires_at_ms() == Some(*at) {
                tx.remove(&entry);
            } else {
                // Only a namespace that is being swept leaves an entry without its record.
                let mut key = Vec::new();
                place.expiry_key(*at, &mut key);
                tx.write(Write::Delete(key.into()));
            }
        }
        tx.commit()?;
        drop(held);
        Ok(())
    }
}
