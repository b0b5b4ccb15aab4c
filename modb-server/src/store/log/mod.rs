//! The engine: a log with group commit, a table of recent records in memory, and an LSM tree behind them.
//!
//! ```text
//! apply  -> log buffer -> table (visible)            get  -> table -> cold store (-> table)
//! settle -> one write(2) for all workers' commits    scan -> dirty records merged with the cold store
//! write thread -> the same, where it is much and would hold a worker
//! sync thread  -> fdatasync for all (always: before replies leave; everysec: each second)
//! flush threads -> dirty records as one sorted run into the cold store, then their log is free
//! compact thread -> merges the cold store's runs
//! ```
//!
//! From the ground up, each using only what comes before it: `body`, `chunk`, `difference`, `commit` and `file_head` (bytes of the log)
//! and `disk` (its files), `writer` and `recover` (the log); `merge` (sorted layers as one), `table` (records in memory), `cold` (the seam
//! to those on the disk), `list_file`, `open_files`, `table_range` and `tree` (an LSM tree), `large`, `read_view` and `lsm` (the two trees behind it), `scan` (table and tree as one); `pressure` (how
//! long writers wait for a flush), `engine` (all of it, without a thread); `folders`, `copy`, `start` and `open` (how it comes to be,
//! and a copy of it), `background` (the threads), and here the store.

mod background;
mod body;
mod chunk;
mod cold;
mod commit;
mod copy;
#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod crash_tests;
mod difference;
mod disk;
mod engine;
mod file_head;
#[cfg(test)]
mod file_tests;
mod folders;
mod large;
#[cfg(test)]
mod large_tests;
mod list_file;
mod lsm;
mod merge;
mod open;
mod open_files;
mod pressure;
mod read_view;
mod recover;
#[cfg(test)]
mod room_tests;
mod scan;
#[cfg(test)]
mod sim;
mod start;
mod table;
mod table_range;
mod tree;
mod tree_error;
mod view;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use modb_net::Seq;

use self::background::{
    Background, FLUSH, LOOK, Priority, run_compactor, run_flusher, run_preparer, run_urgent_flusher,
    run_writer,
};
use self::engine::{Engine, FULL_DISK_PATIENCE, Tuning};
pub(crate) use self::folders::LOG_FOLDER;
use self::folders::TABLES_FOLDER;
use self::open::{Opened, UseOfFiles, check_files};
use self::pressure::Payer;
#[cfg(feature = "fjall")]
pub(super) use self::tree_error::tree_error;
use super::end::Depth;
use super::folder::{Folder, NewFolder};
use super::format::{End, Format};
use super::group::GroupCommit;
use super::health::Purpose;
use super::locking::lock;
use super::options::{EngineKind, OpenOptions};
use super::{
    BackupKind, Batch, Counter, ErrorClass, Fetch, Glimpse, Got, Page, SettledHook, Soon, Store, StoreError,
    TELLING_BYTES,
};
use super::{key, spare};

/// The part of the memory that caches file blocks; the rest is the table's.
const BLOCK_CACHE_PART: u64 = 4;
/// How long a thread that the system cannot start now is tried again when a store is opened.
const THREAD_PATIENCE: Duration = Duration::from_secs(5);
/// How often those who may not sleep look whether there is room.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(5);
/// Records removed per batch of a sweep.
const SWEEP_RECORDS: usize = 512;

/// A folder with a log, and the threads that work on it.
pub(crate) struct LogStore {
    engine: Arc<Engine>,
    group: Arc<GroupCommit>,
    background: Arc<Background>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    folder: Folder,
    use_of_files: UseOfFiles,
}

/// Why a store that was opened to look takes no write.
const ONLY_LOOKED_AT: &str = "the store was opened for reading only";

impl LogStore {
    pub(crate) fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        let block_cache_mb = options.cache_mb / BLOCK_CACHE_PART;
        let tuning = Tuning::new(options.cache_mb - block_cache_mb);
        let open = if options.passive { open::look } else { open::start };
        let Opened { engine, folder, use_of_files } = open(options, block_cache_mb << 20, tuning)?;
        let group = GroupCommit::new(options.durability, options.min_free_bytes, engine.log.committed());
        let store = Self {
            engine: Arc::new(engine),
            group,
            background: Arc::default(),
            threads: Mutex::default(),
            folder,
            use_of_files,
        };
        store.start_threads()?;
        Ok(store)
    }

    fn start_threads(&self) -> Result<(), StoreError> {
        self.group.start(Arc::<Engine>::clone(&self.engine))?;
        if let UseOfFiles::Look { .. } = self.use_of_files {
            return Ok(());
        }
        self.spawn("modb-write", Priority::Normal, run_writer)?;
        self.spawn("modb-log", Priority::Low, run_preparer)?;
        self.spawn("modb-flush", Priority::Low, run_flusher)?;
        self.spawn("modb-flush-now", Priority::Normal, run_urgent_flusher)?;
        self.spawn("modb-compact", Priority::Low, run_compactor)?;
        self.background.want(&self.background.files_wanted);
        self.background.want(&self.background.compact_wanted);
        if self.engine.wants_flush() {
            self.background.want(&self.background.flush_wanted);
        }
        Ok(())
    }

    fn check_is_writable(&self, purpose: Purpose) -> Result<(), StoreError> {
        match self.use_of_files {
            UseOfFiles::Write => self.group.health.check_write(purpose),
            UseOfFiles::Look { .. } => Err(StoreError::ReadOnly(ONLY_LOOKED_AT.to_owned())),
        }
    }

    /// Writes and syncs the rest.
    fn end(&self) -> Result<(), StoreError> {
        let log = &self.engine.log;
        log.write_out()?;
        let synced = log.sync()?;
        if synced < log.committed() {
            let full = std::io::ErrorKind::StorageFull.into();
            return Err(StoreError::io("the last commits could not be written", full));
        }
        if let Err(error) = self.state_the_end() {
            // The next start takes it for one after a kill, which loses nothing.
            tracing::warn!(%error, "cannot say with what the data folder ended");
        }
        Ok(())
    }

    /// Says with what the folder ended, so that nothing of it can be lost unnoticed before it is opened again.
    fn state_the_end(&self) -> Result<(), StoreError> {
        let log =
            self.engine.log.segments_in_use().into_iter().map(|(name, _)| format!("{LOG_FOLDER}/{name}"));
        let tables = self.engine.cold.files().into_iter().map(|name| format!("{TABLES_FOLDER}/{name}"));
        let position = self.engine.log.position();
        let end = End::of_closed(
            self.folder.path(),
            log.chain(tables).collect(),
            position.seq,
            &position.counters,
        )?;
        self.folder.mark_ended(end)
    }

    /// Writes everything into the new folder; the end of it.
    fn copy_into(&self, to: &Path, kind: BackupKind) -> Result<End, StoreError> {
        let (engine, from) = (&*self.engine, self.folder.path());
        match &self.use_of_files {
            UseOfFiles::Write => {
                let write_out = || self.or_fail(engine.log.write_out()).map(drop);
                copy::copy_in_use(engine, from, to, kind, write_out)
            }
            UseOfFiles::Look { files: Some(files), .. } => {
                copy::copy_at_rest(&*engine.disk, files, from, to, kind)
            }
            UseOfFiles::Look { files: None, .. } => copy::merge(engine, to),
        }
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
        let applied = self.apply_to_engine(&batch, purpose);
        spare::keep(batch.writes);
        applied
    }

    fn apply_to_engine(&self, batch: &Batch, purpose: Purpose) -> Result<Seq, StoreError> {
        batch.check_keys()?;
        self.check_is_writable(purpose)?;
        self.check_is_useful()?;
        let seq = self.or_fail(self.engine.apply(batch))?;
        if self.engine.wants_flush() {
            self.background.want(&self.background.flush_wanted);
            if self.engine.pressure.is_high(self.engine.filled()) {
                self.background.want(&self.background.urgent_flush_wanted);
            }
        }
        Ok(seq)
    }

    /// Nothing more is taken while memory is full and cannot be emptied.
    fn check_is_useful(&self) -> Result<(), StoreError> {
        if !self.engine.pressure.is_at_bound(self.engine.filled()) {
            return Ok(());
        }
        self.why_stuck().map_or(Ok(()), |reason| Err(StoreError::ReadOnly(reason)))
    }

    /// At the bound: why it stays there, if so.
    #[cold]
    fn why_stuck(&self) -> Option<String> {
        let trouble = self.group.health.trouble(FLUSH)?;
        Some(format!("memory is full of what cannot be moved to the disk now: {trouble}"))
    }

    /// Until when nothing is taken of one of those who pay.
    fn crowded_for(&self, payer: Payer) -> Option<Instant> {
        let Engine { pressure, log, .. } = &*self.engine;
        if pressure.is_at_bound(self.engine.filled()) {
            self.full_until()
        } else if log.is_behind() {
            self.behind_until()
        } else {
            pressure.owed_until(payer)
        }
    }

    /// Sleeps as long as that.
    fn wait_as(&self, payer: Payer) {
        while let Some(until) = self.crowded_for(payer) {
            self.engine.pressure.wait(until.saturating_duration_since(Instant::now()).min(LOOK));
        }
    }

    /// At the bound: when to look again, unless there will be no room.
    #[cold]
    fn full_until(&self) -> Option<Instant> {
        self.flushed_until(&self.background.urgent_flush_wanted)
    }

    /// Asks for a flush; when to look again, unless there will be none.
    fn flushed_until(&self, wanted: &AtomicBool) -> Option<Instant> {
        let (background, health) = (&self.background, &self.group.health);
        background.want(wanted);
        let in_vain = background.stop.load(Ordering::Acquire)
            || health.check_write(Purpose::Free).is_err()
            || health.trouble(FLUSH).is_some();
        (!in_vain).then(|| Instant::now() + LOOK_FOR_ROOM)
    }

    /// While too much waits to be written: when to look again, unless it will not be.
    #[cold]
    fn behind_until(&self) -> Option<Instant> {
        self.background.want(&self.background.write_wanted);
        let in_vain = self.background.stop.load(Ordering::Acquire)
            || self.group.health.check_write(Purpose::Free).is_err()
            || self.engine.log.is_full();
        (!in_vain).then(|| Instant::now() + LOOK_FOR_ROOM)
    }

    /// Has a thread make the log's next files ready, if there are too few.
    fn make_files_ready(&self) {
        if self.engine.log.wants_files() {
            self.background.want(&self.background.files_wanted);
        }
    }

    /// Poisons the store if `result` is an error after which the outcome of commits is unknown.
    #[inline(always)]
    fn or_fail<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.inspect_err(|error| self.fail_of(error))
    }

    #[cold]
    fn fail_of(&self, error: &StoreError) {
        if error.class() == ErrorClass::Poison {
            self.group.fail(error);
        }
    }
}
impl Store for LogStore {
    fn get(&self, key: &[u8]) -> Result<Got, StoreError> {
        self.group.health.check_read()?;
        if !key::is_possible(key) {
            return Ok(Got::default());
        }
        self.engine.get(key)
    }

    fn look(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<Option<Seq>, StoreError> {
        self.group.health.check_read()?;
        Ok(self.engine.table().look(key, see).map(Seq))
    }

    fn is_worth_fetching_for(&self) -> bool {
        self.engine.table().is_worth_fetching_for()
    }

    fn fetch(&self, beginning: &[u8; TELLING_BYTES], fetch: Fetch) {
        self.engine.table().fetch(beginning, fetch);
    }

    #[cfg(test)]
    fn fetched(&self) -> u64 {
        self.engine.table().fetched()
    }

    fn get_soon(&self, key: &[u8], most_bytes: usize) -> Result<Soon, StoreError> {
        self.group.health.check_read()?;
        if !key::is_possible(key) {
            return Ok(Soon::Got(Got::default()));
        }
        self.engine.get_soon(key, most_bytes)
    }

    fn glimpse(&self, key: &[u8]) -> Result<Got<Glimpse>, StoreError> {
        self.glimpse_first(key, |_| false)
    }

    fn glimpse_first(&self, key: &[u8], suffices: fn(u8) -> bool) -> Result<Got<Glimpse>, StoreError> {
        self.group.health.check_read()?;
        if !key::is_possible(key) {
            return Ok(Got::default());
        }
        self.engine.glimpse(key, suffices)
    }

    fn scan_some(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        most_looked_at: usize,
    ) -> Result<Page, StoreError> {
        self.group.health.check_read()?;
        key::check_bounds(from, to)?;
        self.engine.scan(from, to, limit, most_looked_at)
    }

    fn glimpse_some(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        most_looked_at: usize,
    ) -> Result<Page<Glimpse>, StoreError> {
        self.group.health.check_read()?;
        key::check_bounds(from, to)?;
        self.engine.scan(from, to, limit, most_looked_at)
    }

    fn counter(&self, counter: Counter) -> i64 {
        self.engine.counter(counter)
    }

    fn apply(&self, batch: Batch) -> Result<Seq, StoreError> {
        self.wait_for_room();
        self.commit(batch, Purpose::Keep)
    }

    fn apply_freeing(&self, batch: Batch) -> Result<Seq, StoreError> {
        self.wait_for_room();
        self.engine.note_swept(batch.writes.len());
        self.commit(batch, Purpose::Free)
    }

    fn rest_from_sweeping(&self) -> bool {
        if !self.engine.is_much_swept() || self.flushed_until(&self.background.flush_wanted).is_none() {
            return false;
        }
        self.engine.pressure.wait(LOOK);
        true
    }

    fn apply_at_once(&self, batch: &mut Batch, frees: bool) -> Result<Seq, StoreError> {
        let applied = self.apply_to_engine(batch, if frees { Purpose::Free } else { Purpose::Keep });
        if spare::is_kept(&batch.writes) {
            spare::keep(std::mem::take(&mut batch.writes));
        }
        applied
    }

    fn apply_beside(&self, batch: Batch) -> Result<Seq, StoreError> {
        self.wait_as(Payer::Builders);
        let engine = &self.engine;
        let (bytes, records) = (commit::commit_bytes(&batch.writes), batch.writes.len());
        let building = engine.pressure.begin_building(bytes as u64, records as u64);
        let before = engine.filled();
        let seq = self.commit(batch, Purpose::Keep)?;
        engine.pressure.charge_builder(building, before, engine.filled(), Instant::now);
        Ok(seq)
    }

    fn crowded_until(&self) -> Option<Instant> {
        self.crowded_for(Payer::Turns)
    }

    fn wait_for_room(&self) {
        self.wait_as(Payer::Turns);
    }

    fn settle(&self) -> Result<Seq, StoreError> {
        if let Some(error) = self.group.health.poisoned() {
            return Err(error);
        }
        let log = &self.engine.log;
        let before = log.written();
        let written = if log.has_much_to_write() {
            self.background.want(&self.background.write_wanted);
            log.written()
        } else {
            self.or_fail(log.write_out())?
        };
        let settled = self.group.settle(written)?;
        self.make_files_ready();
        if log.is_full_for(FULL_DISK_PATIENCE)
            && let Some(reason) = log.why_full()
        {
            // What waits will be written once there is space, unless the process ends first. Nobody is told that it was, nor
            // kept waiting for it.
            return Err(StoreError::ReadOnly(reason));
        }
        if written > before {
            self.engine.pressure.charge(self.engine.filled(), Instant::now);
        }
        Ok(settled)
    }

    fn offers_lead(&self) -> bool {
        // What is much is written by a thread, too.
        self.group.offers_lead() && !self.engine.log.has_much_to_write()
    }

    fn lead(&self) {
        self.group.lead(&*self.engine);
        self.make_files_ready();
        self.engine.pressure.charge(self.engine.filled(), Instant::now);
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

    fn backup(&self, target: &Path, kind: BackupKind) -> Result<(), StoreError> {
        self.group.health.check_read()?;
        let mut copy = NewFolder::create(target)?;
        let end = self.copy_into(copy.path(), kind)?;
        copy.finish(&Format::of(EngineKind::Log, Some(end)))?;
        copy.keep();
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        self.group.health.check_read()?;
        match self.use_of_files {
            UseOfFiles::Write => self.engine.check(),
            UseOfFiles::Look { .. } => {
                // The log was read when it was opened.
                check_files(&self.folder, Depth::Bytes, false)?;
                self.engine.check_tables()
            }
        }
    }

    fn compact(&self) -> Result<(), StoreError> {
        self.check_is_writable(Purpose::Free)?;
        self.or_fail(self.engine.flush())?;
        self.or_fail(self.engine.compact_all())
    }

    fn read_only_reason(&self) -> Option<String> {
        let engine = &self.engine;
        let stuck = || engine.pressure.is_at_bound(engine.filled()).then(|| self.why_stuck()).flatten();
        self.group.health.reason().or_else(|| engine.log.why_full()).or_else(stuck)
    }

    fn stats(&self) -> Vec<(&'static str, String)> {
        let engine = &self.engine;
        vec![
            ("store_engine", EngineKind::Log.name().to_owned()),
            ("store_folder", self.folder.path().display().to_string()),
            ("store_commits", engine.log.committed().0.to_string()),
            ("store_syncs", self.group.syncs().to_string()),
            ("store_syncs_led", self.group.led().to_string()),
            ("store_memory_bytes", engine.table.bytes().to_string()),
            ("store_memory_limit_bytes", engine.table.budget_bytes().to_string()),
            ("store_dirty_bytes", engine.table.dirty_bytes().to_string()),
            ("store_log_bytes", engine.log.live_bytes().to_string()),
            ("store_log_patched_commits", engine.log.patched().to_string()),
            ("store_log_written_bytes", engine.log.total_bytes().to_string()),
            ("store_disk_bytes", engine.cold.disk_bytes().to_string()),
            ("store_cold_reads", engine.cold_reads.load(Ordering::Relaxed).to_string()),
            ("store_range_reads", engine.range_reads.load(Ordering::Relaxed).to_string()),
            ("store_runs", engine.cold.runs().to_string()),
            ("store_waiting_threads", engine.pressure.waiters().to_string()),
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
            None => match self.use_of_files {
                UseOfFiles::Look { .. } => Ok(()),
                UseOfFiles::Write => self.end(),
            },
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
