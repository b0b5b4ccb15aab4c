//! The threads behind the writers: one that writes what is much for a turn, one that makes files ready for the log, two that
//! flush, one that compacts; and what they wait on.
//!
//! Invariant: none of them fails a commit. What cannot be done now is noted and tried again; only an unknown outcome poisons.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::engine::Engine;
use crate::store::group::GroupCommit;
use crate::store::locking::lock;
use crate::store::{Durability, ErrorClass};

/// How long a thread waits before it tries again what the disk had no room for, or the system no descriptor.
const RETRY: Duration = Duration::from_secs(1);
/// How long it waits where it met damage, which rarely passes.
const RETRY_DAMAGE: Duration = Duration::from_secs(60);
/// How often who waits for others looks whether they still can.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// Tasks, as `INFO` names them.
pub(super) const FLUSH: &str = "flush";
const COMPACTION: &str = "compaction";

/// What the threads wait on.
#[derive(Default)]
pub(super) struct Background {
    pub(super) flush_wanted: AtomicBool,
    /// Writers wait, or soon will: the flush is done by the thread that is put behind nobody.
    pub(super) urgent_flush_wanted: AtomicBool,
    /// More is committed than a turn writes.
    pub(super) write_wanted: AtomicBool,
    pub(super) files_wanted: AtomicBool,
    pub(super) compact_wanted: AtomicBool,
    pub(super) stop: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Background {
    pub(super) fn want(&self, what: &AtomicBool) {
        if !what.swap(true, Ordering::AcqRel) {
            drop(lock(&self.lock));
            self.wake.notify_all();
        }
    }

    /// Waits until `what` is wanted or the time is over; false at the end.
    pub(super) fn wait(&self, what: &AtomicBool, timeout: Duration) -> bool {
        let guard = lock(&self.lock);
        let idle = |_: &mut ()| !self.stop.load(Ordering::Acquire) && !what.load(Ordering::Acquire);
        drop(self.wake.wait_timeout_while(guard, timeout, idle).unwrap_or_else(PoisonError::into_inner));
        what.store(false, Ordering::Release);
        !self.stop.load(Ordering::Acquire)
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        drop(lock(&self.lock));
        self.wake.notify_all();
    }
}

/// How a thread stands to those that serve.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// Behind them.
    Low,
    /// As one of them. A thread that was lowered cannot be raised again by everyone, so it is decided at its start.
    Normal,
}

/// Writes what is much for those who serve, and tells them when it is written.
pub(super) fn run_writer(engine: &Engine, group: &GroupCommit, background: &Background) {
    while background.wait(&background.write_wanted, Duration::MAX) {
        // No space: it is written when there is some.
        let written = engine.log.write_out().and_then(|written| group.settle(written));
        match written {
            Ok(_) => group.call_hooks(),
            Err(error) if error.class() == ErrorClass::Poison => group.fail(&error),
            // It was failed before, which everybody knows.
            Err(_) => {}
        }
        engine.pressure.charge(engine.filled(), Instant::now);
    }
}

/// Makes files ready for the log, so that no turn waits for that.
pub(super) fn run_preparer(engine: &Engine, group: &GroupCommit, background: &Background) {
    while background.wait(&background.files_wanted, Duration::MAX) {
        // Where syncs are many, they are cheaper in a file that was written through.
        let zeroed = group.mode() == Durability::Always;
        while let Err(error) = engine.log.prepare_files(zeroed) {
            // The next segment is then made when it is needed, which is slower and no worse.
            tracing::warn!(%error, "the next file of the log is not ready yet");
            // Each turn asks for more meanwhile; that makes no room.
            if !background.wait(&AtomicBool::new(false), RETRY) {
                return;
            }
        }
    }
}

/// Flushes while nobody waits for it.
pub(super) fn run_flusher(engine: &Engine, group: &GroupCommit, background: &Background) {
    while background.wait(&background.flush_wanted, RETRY) {
        while engine.wants_flush() && flush(engine, group, background, &background.flush_wanted) {
            if engine.pressure.is_high(engine.filled()) {
                background.want(&background.urgent_flush_wanted);
                break;
            }
        }
    }
}

/// Flushes when writers wait for it, or soon will.
pub(super) fn run_urgent_flusher(engine: &Engine, group: &GroupCommit, background: &Background) {
    while background.wait(&background.urgent_flush_wanted, RETRY) {
        while engine.pressure.is_high(engine.filled())
            && flush(engine, group, background, &background.urgent_flush_wanted)
            && background.wait(&background.urgent_flush_wanted, LOOK)
        {}
    }
}

/// One flush; false if it is not to be tried again at once.
fn flush(engine: &Engine, group: &GroupCommit, background: &Background, wanted: &AtomicBool) -> bool {
    let (health, stop) = (&group.health, || background.stop.load(Ordering::Acquire));
    // Whoever waits asks for what it waits for, and not while that is impossible.
    while engine.is_compaction_behind() && health.trouble(COMPACTION).is_none() && !stop() {
        background.want(&background.compact_wanted);
        background.wait(wanted, LOOK);
    }
    if stop() || health.poisoned().is_some() {
        return false;
    }
    match engine.flush() {
        Ok(()) => {
            health.note_success(FLUSH);
            engine.give_memory_back();
            background.want(&background.compact_wanted);
            true
        }
        Err(error) => {
            group.note_failure(FLUSH, &error);
            false
        }
    }
}

pub(super) fn run_compactor(engine: &Engine, group: &GroupCommit, background: &Background) {
    let mut retry = Duration::MAX;
    while background.wait(&background.compact_wanted, retry) {
        retry = loop {
            match engine.compact_step() {
                Ok(is_more_due) => {
                    // At once: what is still due may take minutes, and nothing is amiss meanwhile.
                    group.health.note_success(COMPACTION);
                    if !is_more_due || background.stop.load(Ordering::Acquire) {
                        engine.give_memory_back();
                        break Duration::MAX;
                    }
                }
                Err(error) => {
                    group.note_failure(COMPACTION, &error);
                    break if error.class() == ErrorClass::Damage { RETRY_DAMAGE } else { RETRY };
                }
            }
        };
    }
}
