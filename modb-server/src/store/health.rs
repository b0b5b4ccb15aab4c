//! Whether the store takes writes, and what it cannot do now.
//!
//! Invariants: what poisons is for good. What may pass is noted and taken back by who succeeds ([`Health::note`]), and refuses
//! nothing; too little space on the disk refuses what would keep more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use super::StoreError;
use super::locking::lock;

/// Whether writes are taken.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// False while all is well: the one thing that a commit looks at.
    bad: AtomicBool,
    poison: OnceLock<String>,
    closed: AtomicBool,
    low_space: AtomicBool,
    /// What the store cannot do now and tries again, and why.
    troubles: Mutex<BTreeMap<&'static str, String>>,
}

/// What a batch does to the space on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Keep,
    /// Less is kept after it.
    Free,
}

impl Health {
    /// Whether a commit may be made.
    pub(crate) fn check_write(&self, purpose: Purpose) -> Result<(), StoreError> {
        if !self.bad.load(Ordering::Acquire) {
            return Ok(());
        }
        self.check_read()?;
        if let Some(error) = self.poisoned() {
            return Err(error);
        }
        match self.reason() {
            Some(reason) if purpose == Purpose::Keep => Err(StoreError::ReadOnly(reason)),
            _ => Ok(()),
        }
    }

    /// `task` failed with what may pass, and is tried again.
    pub(crate) fn note(&self, task: &'static str, error: &StoreError) {
        let reason = error.to_string();
        let before = lock(&self.troubles).insert(task, reason.clone());
        if before.as_ref() != Some(&reason) {
            tracing::warn!(task, %reason, "cannot be done now, is tried again");
        }
    }

    /// `task` succeeds, again or still.
    pub(crate) fn note_success(&self, task: &'static str) {
        if lock(&self.troubles).remove(task).is_some() {
            tracing::info!(task, "succeeds again");
        }
    }

    /// Why `task` cannot be done now, if so.
    pub(crate) fn trouble(&self, task: &'static str) -> Option<String> {
        lock(&self.troubles).get(task).cloned()
    }

    /// What cannot be done now, and why, in one line.
    pub(crate) fn troubles(&self) -> String {
        let troubles = lock(&self.troubles);
        troubles.iter().map(|(task, reason)| format!("{task}: {reason}")).collect::<Vec<_>>().join("; ")
    }

    /// Whether a record may be read.
    pub(crate) fn check_read(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Takes no write any more.
    pub(super) fn poison(&self, what: &str) {
        if self.poison.set(format!("{what}; no write is taken until the restart")).is_ok() {
            tracing::error!(what, "the store is read-only from now on");
        }
        self.bad.store(true, Ordering::Release);
    }

    pub(crate) fn poisoned(&self) -> Option<StoreError> {
        self.poison.get().map(|reason| StoreError::ReadOnly(reason.clone()))
    }

    pub(crate) fn reason(&self) -> Option<String> {
        if let Some(reason) = self.poison.get() {
            return Some(reason.clone());
        }
        let low = self.low_space.load(Ordering::Acquire);
        low.then(|| {
            "the disk is nearly full, no write is taken until there is space (see min-free-mb)".to_owned()
        })
    }

    /// The first call answers true.
    pub(crate) fn close(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::AcqRel);
        self.bad.store(true, Ordering::Release);
        first
    }

    /// Turns writes off below the floor and on again above it.
    pub(super) fn note_free_bytes(&self, free: u64, floor: u64) {
        let low = free < floor;
        if self.low_space.swap(low, Ordering::AcqRel) == low {
            return;
        }
        if low {
            tracing::error!(free_bytes = free, floor_bytes = floor, "disk nearly full: writes are refused");
            self.bad.store(true, Ordering::Release);
        } else {
            tracing::info!(free_bytes = free, "space on the disk again: writes are taken");
            let still_bad = self.poison.get().is_some() || self.closed.load(Ordering::Acquire);
            self.bad.store(still_bad, Ordering::Release);
            // A poisoning between the two lines above must not be forgotten.
            if self.poison.get().is_some() || self.closed.load(Ordering::Acquire) {
                self.bad.store(true, Ordering::Release);
            }
        }
    }
}
