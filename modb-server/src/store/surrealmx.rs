//! The in-memory index with an append-only log of the `surrealmx` crate as a store: for measuring it beside the others.
//!
//! Commits go through one lock, which makes the order of the numbers the order in the log and keeps counters exact (they
//! are records under `00`, which no other key begins with, written as absolute values). The library writes
//! a commit to its log before `commit` returns; it has no call that syncs, so the thread that syncs for all does it through
//! the file's name. All records must fit into memory.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::surrealmx::{AolMode, Database, DatabaseOptions, FsyncMode, PersistenceOptions, SnapshotMode};
use bytes::Bytes;
use modb_net::Seq;

use super::folder::Folder;
use super::group::{Backing, GroupCommit, lock};
use super::open::{EngineKind, OpenOptions};
use super::{Batch, Counter, Durability, Got, Page, SettledHook, Store, StoreError, Write};

/// How often everything is written anew, so that the log does not grow for ever.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);
/// The library's name for its log.
const LOG_FILE: &str = "aol.bin";
/// Records removed per batch of a sweep, and copied per batch of a backup.
const PAGE_RECORDS: usize = 512;

impl From<::surrealmx::Error> for StoreError {
    fn from(error: ::surrealmx::Error) -> Self {
        Self::Engine(error.to_string())
    }
}

/// A folder of surrealmx's files, and the thread that syncs them.
pub(crate) struct SurrealmxStore {
    inner: Arc<Inner>,
    group: Arc<GroupCommit>,
}

struct Inner {
    database: Database,
    log: PathBuf,
    counters: Mutex<HashMap<Counter, i64>>,
    /// The number of the commit that is being made or was made last.
    started: AtomicU64,
    committed: AtomicU64,
    folder: Folder,
}

impl Backing for Inner {
    fn committed(&self) -> Seq {
        Seq(self.committed.load(Ordering::Acquire))
    }

    fn sync(&self) -> Result<Seq, StoreError> {
        let upto = Backing::committed(self);
        let synced = File::options().write(true).open(&self.log).and_then(|log| log.sync_data());
        synced.map_err(|e| StoreError::io("cannot sync the log", e))?;
        Ok(upto)
    }

    fn free_bytes(&self) -> std::io::Result<u64> {
        crate::sys::free_bytes(self.folder.path())
    }
}

fn open_database(folder: &Path) -> Result<Database, StoreError> {
    let persistence = PersistenceOptions::new(folder)
        .with_aol_mode(AolMode::SynchronousOnCommit)
        .with_snapshot_mode(SnapshotMode::Interval(SNAPSHOT_EVERY))
        .with_fsync_mode(FsyncMode::Never);
    Database::new_with_persistence(DatabaseOptions::default(), persistence)
        .map_err(|e| StoreError::io("storage engine", e))
}

impl SurrealmxStore {
    pub(crate) fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        let folder = Folder::take(&options.folder, EngineKind::Surrealmx.name())?;
        let files = folder.path().join("surrealmx");
        let database = open_database(&files)?;
        let mut counters = HashMap::new();
        database.scan_with(&[0u8][..]..&[1u8][..], None, None, |key, value| {
            if let (Some(id), Ok(value)) = (key.as_ref().last_chunk::<4>(), <[u8; 8]>::try_from(value)) {
                counters.insert(Counter(u32::from_be_bytes(*id)), i64::from_be_bytes(value));
            }
            true
        })?;
        let inner = Arc::new(Inner {
            database,
            log: files.join(LOG_FILE),
            counters: Mutex::new(counters),
            started: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            folder,
        });
        let group = GroupCommit::new(options.durability, options.min_free_bytes, Seq::ZERO);
        group.start(Arc::<Inner>::clone(&inner))?;
        Ok(Self { inner, group })
    }
}

fn counter_key(counter: Counter) -> [u8; 5] {
    let mut key = [0; 5];
    key[1..].copy_from_slice(&counter.0.to_be_bytes());
    key
}

impl Store for SurrealmxStore {
    fn get(&self, key: &[u8]) -> Result<Got, StoreError> {
        self.group.health.check_read()?;
        if !super::is_possible_key(key) {
            return Ok(Got::default());
        }
        let value = self.inner.database.with_value(key, Bytes::copy_from_slice)?;
        let seq = if self.group.mode() == Durability::Always {
            let latest = Seq(self.inner.started.load(Ordering::Acquire));
            if latest > self.group.settled() { latest } else { Seq::ZERO }
        } else {
            Seq::ZERO
        };
        Ok(Got { value, seq })
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Page, StoreError> {
        self.group.health.check_read()?;
        super::check_bounds(from, to)?;
        let mut page = Page::default();
        let from = from.max(&[1]);
        if from < to {
            self.inner.database.scan_with(from..to, None, Some(limit + 1), |key, value| {
                if page.records.len() == limit {
                    page.next = Some(key.as_ref().to_vec());
                    return false;
                }
                page.records.push((Bytes::copy_from_slice(key.as_ref()), Bytes::copy_from_slice(value)));
                true
            })?;
        }
        Ok(page)
    }

    fn counter(&self, counter: Counter) -> i64 {
        lock(&self.inner.counters).get(&counter).copied().unwrap_or(0)
    }

    fn apply(&self, batch: Batch) -> Result<Seq, StoreError> {
        batch.check_keys()?;
        self.group.health.check_write()?;
        let inner = &*self.inner;
        let mut counters = lock(&inner.counters);
        let mut transaction = inner.database.transaction(true);
        let mut added: HashMap<Counter, i64> = HashMap::new();
        let made = (|| {
            for write in batch.writes {
                match write {
                    Write::Put(key, value) => transaction.set(key, value)?,
                    Write::Delete(key) => transaction.del(key)?,
                    Write::Add(counter, by) => {
                        let before = added.get(&counter).or_else(|| counters.get(&counter)).copied();
                        added.insert(counter, before.unwrap_or(0).wrapping_add(by));
                    }
                }
            }
            for (counter, value) in &added {
                transaction.set(&counter_key(*counter)[..], &value.to_be_bytes()[..])?;
            }
            inner.started.fetch_add(1, Ordering::AcqRel);
            transaction.commit()
        })();
        if let Err(error) = made {
            drop(counters);
            let error = StoreError::from(error);
            self.group.fail(&error);
            return Err(error);
        }
        counters.extend(added);
        let seq = inner.started.load(Ordering::Acquire);
        inner.committed.store(seq, Ordering::Release);
        Ok(Seq(seq))
    }

    fn settle(&self) -> Result<Seq, StoreError> {
        self.group.settle(Backing::committed(&*self.inner))
    }

    fn settled(&self) -> Seq {
        self.group.settled()
    }

    fn committed(&self) -> Seq {
        Backing::committed(&*self.inner)
    }

    fn on_settled(&self, hook: SettledHook) {
        self.group.on_settled(hook);
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.group.health.check_read()?;
        self.group.wait_for(Backing::committed(&*self.inner))
    }

    fn sweep(&self, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        super::sweep_by_pages(self, from, to, PAGE_RECORDS)
    }

    fn backup(&self, target: &Path) -> Result<(), StoreError> {
        self.group.health.check_read()?;
        let copy_folder = Folder::create(target)?;
        let files = copy_folder.path().join("surrealmx");
        let copy = open_database(&files)?;
        let mut transaction = copy.transaction(true);
        let mut copied = Ok(());
        let all = self.inner.database.transaction(false);
        all.scan_with(&[0u8][..]..super::AFTER_ALL_KEYS, None, None, |key, value| {
            copied = transaction.set(key, value);
            copied.is_ok()
        })?;
        copied.and_then(|()| transaction.commit())?;
        let synced = File::options().write(true).open(files.join(LOG_FILE)).and_then(|log| log.sync_data());
        synced.map_err(|e| StoreError::io("cannot sync the copy", e))?;
        drop(copy);
        copy_folder.mark(EngineKind::Surrealmx.name())
    }

    fn check(&self) -> Result<(), StoreError> {
        // All of it was read, and its checksums verified, when the folder was opened.
        self.group.health.check_read()
    }

    fn compact(&self) -> Result<(), StoreError> {
        self.group.health.check_write()?;
        self.inner.database.run_gc();
        Ok(())
    }

    fn read_only_reason(&self) -> Option<String> {
        self.group.health.reason()
    }

    fn stats(&self) -> Vec<(&'static str, String)> {
        vec![
            ("store_engine", EngineKind::Surrealmx.name().to_owned()),
            ("store_folder", self.inner.folder.path().display().to_string()),
            ("store_commits", self.inner.committed.load(Ordering::Relaxed).to_string()),
            ("store_syncs", self.group.syncs().to_string()),
        ]
    }

    fn close(&self) -> Result<(), StoreError> {
        if !self.group.health.close() {
            return Ok(());
        }
        self.group.stop();
        if let Some(error) = self.group.health.poisoned() {
            return Err(error);
        }
        Backing::sync(&*self.inner).map(drop)
    }
}

impl Drop for SurrealmxStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the last sync of the store failed");
        }
    }
}
