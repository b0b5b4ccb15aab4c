//! The LSM tree of the `fjall` crate as a store.
//!
//! Commits go through one lock: fjall's own journal lock orders them in any case, and ours makes the order of the
//! numbers the order in the journal and keeps counters exact (they are written as absolute values, in the batch that
//! changes them). Nothing is held while syncing that a read needs; fjall itself holds its journal lock while it
//! syncs, so commits do wait for the disk then.
//!
//! Traps of the library that this file answers: a batch has one sequence number, so later writes of a key must
//! replace earlier ones here; keys must have 1 to 65,535 bytes; the defaults for memory are large.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use bytes::Bytes;
use modb_net::Seq;

use super::folder::{Folder, NewFolder};
use super::format::Format;
use super::group::{Backing, GroupCommit};
use super::health::Purpose;
use super::locking::lock;
use super::options::{EngineKind, OpenOptions};
use super::{BackupKind, Batch, Counter, Durability, Got, Page, SettledHook, Store, StoreError, Write, key};

/// Memory for unflushed writes; two are in flight when the disk keeps up.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// The least that fjall takes.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Records removed per batch of a sweep, and copied per batch of a backup.
const PAGE_RECORDS: usize = 512;
/// Below the data folder.
const FOLDER: &str = "fjall";

#[doc(hidden)]
impl From<::fjall::Error> for StoreError {
    fn from(error: ::fjall::Error) -> Self {
        match error {
            ::fjall::Error::Io(source) => Self::unknown("storage engine", source),
            // Its own threads write, too: what they met may have been met by a commit.
            ::fjall::Error::Storage(lsm_tree::Error::Io(source)) => Self::unknown("the table files", source),
            ::fjall::Error::Storage(error) => super::log::tree_error("the table files", error),
            other @ (::fjall::Error::Poisoned | ::fjall::Error::Locked | ::fjall::Error::KeyspaceDeleted) => {
                Self::Engine(other.to_string())
            }
            _ => Self::Corrupt {
                place: FOLDER.to_owned(),
                what: "its journal, or the list of its files, is not what was written".to_owned(),
            },
        }
    }
}

/// A folder of fjall's files, and the thread that syncs them.
pub(crate) struct FjallStore {
    inner: Arc<Inner>,
    group: Arc<GroupCommit>,
}

struct Inner {
    database: Database,
    records: Keyspace,
    meta: Keyspace,
    counters: Mutex<HashMap<Counter, i64>>,
    /// The number of the commit that is being made or was made last.
    started: AtomicU64,
    /// The last commit whose writes are in the journal.
    committed: AtomicU64,
    folder: Folder,
}

impl Backing for Inner {
    fn committed(&self) -> Seq {
        Seq(self.committed.load(Ordering::Acquire))
    }

    fn sync(&self) -> Result<Seq, StoreError> {
        let upto = Backing::committed(self);
        self.database.persist(PersistMode::SyncData)?;
        Ok(upto)
    }

    fn free_bytes(&self) -> std::io::Result<u64> {
        crate::sys::free_bytes(self.folder.path())
    }
}

impl FjallStore {
    pub(crate) fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        let folder = Folder::take(&options.folder, EngineKind::Fjall)?;
        let (database, records, meta) = open_database(&folder.path().join(FOLDER), options.cache_mb)?;
        let mut counters = HashMap::new();
        for entry in meta.iter() {
            let (key, value) = entry.into_inner()?;
            let (Ok(id), Ok(value)) = (<[u8; 4]>::try_from(&key[..]), <[u8; 8]>::try_from(&value[..])) else {
                return Err(StoreError::Corrupt {
                    place: folder.path().display().to_string(),
                    what: "a counter record has the wrong length".to_owned(),
                });
            };
            counters.insert(Counter(u32::from_be_bytes(id)), i64::from_be_bytes(value));
        }
        let inner = Arc::new(Inner {
            database,
            records,
            meta,
            counters: Mutex::new(counters),
            started: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            folder,
        });
        let group = GroupCommit::new(options.durability, options.min_free_bytes, Seq::ZERO);
        group.start(Arc::<Inner>::clone(&inner))?;
        Ok(Self { inner, group })
    }

    fn commit(&self, batch: Batch, purpose: Purpose) -> Result<Seq, StoreError> {
        batch.check_keys()?;
        self.group.health.check_write(purpose)?;
        let inner = &*self.inner;
        let mut records: HashMap<Bytes, Option<Bytes>> = HashMap::with_capacity(batch.writes.len());
        let mut added: HashMap<Counter, i64> = HashMap::new();
        for write in batch.writes {
            match write {
                Write::Put(key, value) => {
                    records.insert(key.into(), Some(value));
                }
                Write::Patch(patch) => {
                    records.insert(patch.key.into(), Some(patch.value));
                }
                Write::Delete(key) => {
                    records.insert(key.into(), None);
                }
                Write::Add(counter, by) => {
                    let sum = added.entry(counter).or_default();
                    *sum = sum.wrapping_add(by);
                }
            }
        }
        let mut out = inner.database.batch();
        for (key, value) in records {
            match value {
                Some(value) => out.insert(&inner.records, key, value),
                None => out.remove(&inner.records, key),
            }
        }
        let mut counters = lock(&inner.counters);
        for (counter, by) in &mut added {
            *by = counters.get(counter).copied().unwrap_or(0).wrapping_add(*by);
            out.insert(&inner.meta, counter.0.to_be_bytes(), by.to_be_bytes());
        }
        let seq = Seq(inner.started.load(Ordering::Relaxed) + 1);
        inner.started.store(seq.0, Ordering::Release);
        if let Err(error) = out.commit() {
            drop(counters);
            let error = StoreError::from(error);
            self.group.fail(&error);
            return Err(error);
        }
        counters.extend(added);
        inner.committed.store(seq.0, Ordering::Release);
        Ok(seq)
    }

    /// Pages through `records` as `view` sees them.
    fn page(&self, view: &impl Readable, from: &[u8], to: &[u8], limit: usize) -> Result<Page, StoreError> {
        let mut page = Page::default();
        if from >= to {
            return Ok(page);
        }
        for entry in view.range(&self.inner.records, from..to) {
            let (key, value) = entry.into_inner()?;
            if page.records.len() == limit {
                page.next = Some(key.to_vec());
                break;
            }
            page.records.push((Bytes::from(key), Bytes::from(value)));
        }
        Ok(page)
    }
}

fn open_database(folder: &Path, cache_mb: u64) -> Result<(Database, Keyspace, Keyspace), StoreError> {
    let database =
        Database::builder(folder).cache_size(cache_mb << 20).max_journaling_size(JOURNAL_BYTES).open()?;
    let records = database
        .keyspace("records", || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES))?;
    let meta = database.keyspace("meta", || KeyspaceCreateOptions::default().max_memtable_size(1 << 20))?;
    Ok((database, records, meta))
}

impl Store for FjallStore {
    fn get(&self, key: &[u8]) -> Result<Got, StoreError> {
        self.group.health.check_read()?;
        if !key::is_possible(key) {
            return Ok(Got::default());
        }
        let value = self.inner.records.get(key)?.map(Bytes::from);
        // fjall does not say which commit wrote a record: while any is on its way to the disk, it may be that one.
        let seq = if self.group.mode() == Durability::Always {
            let latest = Seq(self.inner.started.load(Ordering::Acquire));
            if latest > self.group.settled() { latest } else { Seq::ZERO }
        } else {
            Seq::ZERO
        };
        Ok(Got { value, seq })
    }

    fn scan_some(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        _most_looked_at: usize,
    ) -> Result<Page, StoreError> {
        self.group.health.check_read()?;
        key::check_bounds(from, to)?;
        self.page(&self.inner.database.snapshot(), from, to, limit)
    }

    fn counter(&self, counter: Counter) -> i64 {
        lock(&self.inner.counters).get(&counter).copied().unwrap_or(0)
    }

    fn apply(&self, batch: Batch) -> Result<Seq, StoreError> {
        self.commit(batch, Purpose::Keep)
    }

    fn apply_freeing(&self, batch: Batch) -> Result<Seq, StoreError> {
        self.commit(batch, Purpose::Free)
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

    fn backup(&self, target: &Path, _kind: BackupKind) -> Result<(), StoreError> {
        self.group.health.check_read()?;
        let mut copy_folder = NewFolder::create(target)?;
        let (copy, records, meta) = open_database(&copy_folder.path().join(FOLDER), 16)?;
        let view = self.inner.database.snapshot();
        let mut from = vec![0];
        loop {
            let page = self.page(&view, &from, super::AFTER_ALL_KEYS, PAGE_RECORDS)?;
            let mut out = copy.batch();
            for (key, value) in page.records {
                out.insert(&records, key, value);
            }
            out.commit()?;
            let Some(next) = page.next else { break };
            from = next;
        }
        let mut out = copy.batch();
        for entry in view.iter(&self.inner.meta) {
            let (key, value) = entry.into_inner()?;
            out.insert(&meta, key, value);
        }
        out.commit()?;
        copy.persist(PersistMode::SyncAll)?;
        drop((records, meta, copy));
        copy_folder.finish(&Format::of(EngineKind::Fjall, None))?;
        copy_folder.keep();
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        self.group.health.check_read()?;
        let view = self.inner.database.snapshot();
        for entry in view.iter(&self.inner.records) {
            entry.into_inner()?;
        }
        Ok(())
    }

    fn compact(&self) -> Result<(), StoreError> {
        self.group.health.check_write(Purpose::Free)?;
        Ok(self.inner.records.major_compact()?)
    }

    fn read_only_reason(&self) -> Option<String> {
        self.group.health.reason()
    }

    fn stats(&self) -> Vec<(&'static str, String)> {
        let inner = &self.inner;
        vec![
            ("store_engine", EngineKind::Fjall.name().to_owned()),
            ("store_commits", inner.committed.load(Ordering::Relaxed).to_string()),
            ("store_syncs", self.group.syncs().to_string()),
            ("store_disk_bytes", inner.database.disk_space().unwrap_or(0).to_string()),
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

impl Drop for FjallStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the last sync of the store failed");
        }
    }
}
