//! The engine: a log with group commit, a table of recent records in memory, and an LSM tree behind them.
//!
//! ```text
//! apply  -> log buffer -> table (visible)            get  -> table -> cold store (-> table)
//! settle -> one write(2) for all workers' commits    scan -> dirty records merged with the cold store
//! sync thread  -> fdatasync for all (always: before replies leave; everysec: each second)
//! flush threads -> dirty records as one sorted run into the cold store, then their log is free
//! compact thread -> merges the cold store's runs
//! ```
//!
//! From the ground up: `chunk` (bytes of the log) and `disk` (its files), `writer` and `recover` (the log), `table`,
//! `cold` and `read_view` (the tree and reads of it), `merge` (both as one), `pressure` (how long writers wait for a flush),
//! `engine` (all of it, without a thread), and here the threads.

mod chunk;
mod cold;
#[cfg(test)]
mod crash_tests;
mod disk;
mod engine;
mod merge;
mod pressure;
mod read_view;
mod recover;
#[cfg(test)]
mod sim;
mod table;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use modb_net::Seq;

use self::cold::{Cold, LsmCold};
use self::disk::{Disk, RealDisk};
use self::engine::{DISK_FULL, Engine, FULL_DISK_PATIENCE, Tuning};
use super::folder::Folder;
use super::group::{GroupCommit, Purpose, lock};
use super::options::{EngineKind, OpenOptions};
use super::{Batch, Counter, Durability, ErrorClass, Got, Page, SettledHook, Store, StoreError};

/// The part of the memory that caches file blocks; the rest is the table's.
const BLOCK_CACHE_PART: u64 = 4;
/// Runs in the cold store above which a flush waits for the compaction.
const MAX_RUNS: usize = 24;
/// How long a thread waits before it tries again what the disk had no room for, or the system no descriptor.
const RETRY: Duration = Duration::from_secs(1);
/// How long it waits where it met damage, which rarely passes.
const RETRY_DAMAGE: Duration = Duration::from_secs(60);
/// How often who waits for others looks whether they still can.
const LOOK: Duration = Duration::from_millis(20);
/// How long a thread that the system cannot start now is tried again when a store is opened.
const THREAD_PATIENCE: Duration = Duration::from_secs(5);
/// Tasks, as `INFO` names them.
const FLUSH: &str = "flush";
const COMPACTION: &str = "compaction";
/// Records removed per batch of a sweep.
const SWEEP_RECORDS: usize = 512;

/// A folder with a log, and the threads that work on it.
pub(crate) struct LogStore {
    engine: Arc<Engine>,
    group: Arc<GroupCommit>,
    background: Arc<Background>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    folder: Folder,
    /// The files are looked at, not changed.
    passive: bool,
}

/// What the flush and compact threads wait on.
#[derive(Default)]
struct Background {
    flush_wanted: AtomicBool,
    /// Writers wait, or soon will: the flush is done by the thread that is put behind nobody.
    urgent_flush_wanted: AtomicBool,
    compact_wanted: AtomicBool,
    stop: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Background {
    fn want(&self, what: &AtomicBool) {
        if !what.swap(true, Ordering::AcqRel) {
            drop(lock(&self.lock));
            self.wake.notify_all();
        }
    }

    /// Waits until `what` is wanted or the time is over; false at the end.
    fn wait(&self, what: &AtomicBool, timeout: Duration) -> bool {
        let guard = lock(&self.lock);
        let idle = |_: &mut ()| !self.stop.load(Ordering::Acquire) && !what.load(Ordering::Acquire);
        drop(self.wake.wait_timeout_while(guard, timeout, idle).unwrap_or_else(PoisonError::into_inner));
        what.store(false, Ordering::Release);
        !self.stop.load(Ordering::Acquire)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        drop(lock(&self.lock));
        self.wake.notify_all();
    }
}

fn log_folder(folder: &Folder) -> Result<RealDisk, StoreError> {
    let path = folder.path().join("log");
    RealDisk::open(path).map_err(|e| StoreError::io("cannot make the log's folder", e))
}

fn tables_folder(folder: &Folder, cache_bytes: u64) -> Result<LsmCold, StoreError> {
    LsmCold::open(&folder.path().join("tables"), cache_bytes)
}

impl LogStore {
    pub(crate) fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        let folder = Folder::take(&options.folder, EngineKind::Log.name())?;
        let block_cache_mb = options.cache_mb / BLOCK_CACHE_PART;
        let cold: Arc<dyn Cold> = Arc::new(tables_folder(&folder, block_cache_mb << 20)?);
        let disk: Arc<dyn Disk> = Arc::new(log_folder(&folder)?);
        let tuning = Tuning::new(options.cache_mb - block_cache_mb);
        let engine = Arc::new(Engine::recover(disk, cold, tuning, options.accept_data_loss)?);
        let group = GroupCommit::new(options.durability, options.min_free_bytes, engine.log.committed());
        let store = Self {
            engine,
            group,
            background: Arc::default(),
            threads: Mutex::default(),
            folder,
            passive: options.passive,
        };
        store.start()?;
        Ok(store)
    }

    fn start(&self) -> Result<(), StoreError> {
        self.group.start(Arc::<Engine>::clone(&self.engine))?;
        if self.passive {
            return Ok(());
        }
        self.spawn("modb-flush", Priority::Low, run_flusher)?;
        self.spawn("modb-flush-now", Priority::Normal, run_urgent_flusher)?;
        self.spawn("modb-compact", Priority::Low, run_compactor)?;
        self.background.want(&self.background.compact_wanted);
        if self.engine.wants_flush() {
            self.background.want(&self.background.flush_wanted);
        }
        Ok(())
    }

    fn spawn(
        &self,
        name: &'static str,
        priority: Priority,
        run: fn(&Engine, &GroupCommit, &Background),
    ) -> Result<(), StoreError> {
        let begin = Instant::now();
        loop {
            let (engine, group) = (Arc::clone(&self.engine), Arc::clone(&self.group));
            let background = Arc::clone(&self.background);
            let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
                if priority == Priority::Low {
                    crate::sys::lower_thread_priority();
                }
                group.guard(name, || run(&engine, &group, &background));
            });
            match spawned {
                Ok(handle) => {
                    lock(&self.threads).push(handle);
                    return Ok(());
                }
                // Others may end theirs.
                Err(_) if begin.elapsed() < THREAD_PATIENCE => thread::sleep(LOOK),
                Err(error) => return Err(StoreError::io(format!("cannot start the thread {name}"), error)),
            }
        }
    }

    fn commit(&self, batch: Batch, purpose: Purpose) -> Result<Seq, StoreError> {
        batch.check_keys()?;
        self.group.health.check_write(purpose)?;
        self.wait_for_room(purpose)?;
        let seq = self.or_fail(self.engine.apply(batch))?;
        if self.engine.wants_flush() {
            self.background.want(&self.background.flush_wanted);
            if self.engine.pressure.is_high(self.engine.filled()) {
                self.background.want(&self.background.urgent_flush_wanted);
            }
        }
        Ok(seq)
    }

    /// Waits while memory or log are at their bound. Not for a flush that cannot be done: that is an error.
    fn wait_for_room(&self, purpose: Purpose) -> Result<(), StoreError> {
        let (engine, background) = (&self.engine, &self.background);
        while engine.pressure.is_at_bound(engine.filled()) && !background.stop.load(Ordering::Acquire) {
            background.want(&background.urgent_flush_wanted);
            self.group.health.check_write(purpose)?;
            if let Some(reason) = self.group.health.trouble(FLUSH) {
                return Err(StoreError::ReadOnly(format!(
                    "memory is full of what cannot be moved to the disk now: {reason}"
                )));
            }
            engine.pressure.wait(LOOK);
        }
        Ok(())
    }

    /// Poisons the store if `result` is an error after which the outcome of commits is unknown.
    fn or_fail<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result
            && error.class() == ErrorClass::Poison
        {
            self.group.fail(error);
        }
        result
    }
}

/// How a thread stands to those that serve.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Priority {
    /// Behind them.
    Low,
    /// As one of them. A thread that was lowered cannot be raised again by everyone, so it is decided at its start.
    Normal,
}

/// Flushes while nobody waits for it.
fn run_flusher(engine: &Engine, group: &GroupCommit, background: &Background) {
    loop {
        if group.mode() == Durability::Always
            && let Err(error) = engine.log.prepare_file()
        {
            // The next segment is then made when it is needed, which is slower and no worse.
            tracing::warn!(%error, "cannot prepare a file for the log");
        }
        if !background.wait(&background.flush_wanted, RETRY) {
            return;
        }
        while engine.wants_flush() && flush(engine, group, background, &background.flush_wanted) {
            if engine.pressure.is_high(engine.filled()) {
                background.want(&background.urgent_flush_wanted);
                break;
            }
        }
    }
}

/// Flushes when writers wait for it, or soon will.
fn run_urgent_flusher(engine: &Engine, group: &GroupCommit, background: &Background) {
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
    // Each run is one more for reads to look at. Whoever waits asks for what it waits for, and not while that is impossible.
    while engine.cold.runs() > MAX_RUNS && health.trouble(COMPACTION).is_none() && !stop() {
        background.want(&background.compact_wanted);
        background.wait(wanted, LOOK);
    }
    if stop() || health.poisoned().is_some() {
        return false;
    }
    match engine.flush() {
        Ok(()) => {
            health.note_success(FLUSH);
            background.want(&background.compact_wanted);
            true
        }
        Err(error) => {
            group.note_failure(FLUSH, &error);
            false
        }
    }
}

fn run_compactor(engine: &Engine, group: &GroupCommit, background: &Background) {
    let mut retry = Duration::MAX;
    while background.wait(&background.compact_wanted, retry) {
        retry = loop {
            match engine.cold.compact_step() {
                Ok(true) if !background.stop.load(Ordering::Acquire) => {}
                Ok(_) => {
                    group.health.note_success(COMPACTION);
                    break Duration::MAX;
                }
                Err(error) => {
                    group.note_failure(COMPACTION, &error);
                    break if error.class() == ErrorClass::Damage { RETRY_DAMAGE } else { RETRY };
                }
            }
        };
    }
}

impl Store for LogStore {
    fn get(&self, key: &[u8]) -> Result<Got, StoreError> {
        self.group.health.check_read()?;
        if !super::is_possible_key(key) {
            return Ok(Got::default());
        }
        self.engine.get(key)
    }

    fn scan_some(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        most_looked_at: usize,
    ) -> Result<Page, StoreError> {
        self.group.health.check_read()?;
        super::check_bounds(from, to)?;
        self.engine.scan(from, to, limit, most_looked_at)
    }

    fn counter(&self, counter: Counter) -> i64 {
        self.engine.counter(counter)
    }

    fn apply(&self, batch: Batch) -> Result<Seq, StoreError> {
        self.commit(batch, Purpose::Keep)
    }

    fn apply_freeing(&self, batch: Batch) -> Result<Seq, StoreError> {
        self.commit(batch, Purpose::Free)
    }

    fn settle(&self) -> Result<Seq, StoreError> {
        if let Some(error) = self.group.health.poisoned() {
            return Err(error);
        }
        let before = self.engine.log.written();
        let written = self.or_fail(self.engine.log.write_out())?;
        let settled = self.group.settle(written)?;
        if self.engine.log.is_full_for(FULL_DISK_PATIENCE) {
            // What waits will be written once there is space, unless the process ends first. Nobody is told that it was, nor
            // kept waiting for it.
            return Err(StoreError::ReadOnly(DISK_FULL.to_owned()));
        }
        if written > before {
            let pause = self.engine.pressure.pause(self.engine.filled(), Instant::now());
            if !pause.is_zero() {
                thread::sleep(pause);
            }
        }
        Ok(settled)
    }

    fn settled(&self) -> Seq {
        self.group.settled()
    }

    fn committed(&self) -> Seq {
        self.engine.log.committed()
    }

    fn on_settled(&self, hook: SettledHook) {
        self.group.on_settled(hook);
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.group.health.check_read()?;
        self.group.wait_for(self.engine.log.committed())
    }

    fn sweep(&self, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        super::sweep_by_pages(self, from, to, SWEEP_RECORDS)
    }

    fn backup(&self, target: &Path) -> Result<(), StoreError> {
        self.group.health.check_read()?;
        let folder = Folder::create(target)?;
        self.engine.copy_to(&tables_folder(&folder, 1 << 20)?, &log_folder(&folder)?)?;
        folder.mark(EngineKind::Log.name())
    }

    fn check(&self) -> Result<(), StoreError> {
        self.group.health.check_read()?;
        self.engine.check()
    }

    fn compact(&self) -> Result<(), StoreError> {
        self.group.health.check_write(Purpose::Free)?;
        self.or_fail(self.engine.flush())?;
        self.or_fail(self.engine.cold.compact_all())
    }

    fn read_only_reason(&self) -> Option<String> {
        let full = || self.engine.log.is_full().then(|| DISK_FULL.to_owned());
        self.group.health.reason().or_else(full)
    }

    fn stats(&self) -> Vec<(&'static str, String)> {
        let engine = &self.engine;
        vec![
            ("store_engine", EngineKind::Log.name().to_owned()),
            ("store_folder", self.folder.path().display().to_string()),
            ("store_commits", engine.log.committed().0.to_string()),
            ("store_syncs", self.group.syncs().to_string()),
            ("store_memory_bytes", engine.table.bytes().to_string()),
            ("store_memory_limit_bytes", engine.table.budget_bytes().to_string()),
            ("store_dirty_bytes", engine.table.dirty_bytes().to_string()),
            ("store_log_bytes", engine.log.live_bytes().to_string()),
            ("store_log_written_bytes", engine.log.total_bytes().to_string()),
            ("store_disk_bytes", engine.cold.disk_bytes().to_string()),
            ("store_runs", engine.cold.runs().to_string()),
            ("store_waiting_writers", engine.pressure.waiters().to_string()),
            ("store_trouble", self.group.health.troubles().replace(['\r', '\n'], " ")),
        ]
    }

    fn close(&self) -> Result<(), StoreError> {
        if !self.group.health.close() {
            return Ok(());
        }
        self.background.stop();
        for thread in lock(&self.threads).drain(..) {
            // A panic there has been reported by its own hook.
            let _ = thread.join();
        }
        self.group.stop();
        match self.group.health.poisoned() {
            Some(error) => Err(error),
            None if self.passive => Ok(()),
            None => self.engine.log.seal_clean(),
        }
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the last sync of the store failed");
        }
    }
}
