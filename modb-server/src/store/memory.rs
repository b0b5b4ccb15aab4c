//! Everything in memory, nothing on disk: the model that the other engines are tested against, and a cache that may
//! forget. A commit is as safe as it will ever be when `apply` returns.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use modb_net::Seq;

use super::vast::{self, COPIED_RECORD_BYTES};
use super::{BackupKind, Batch, Counter, Got, Page, SettledHook, Store, StoreError, StoreKey, Write};

/// An ordered map behind a lock.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    records: BTreeMap<Bytes, Bytes>,
    counters: HashMap<Counter, i64>,
    last: Seq,
    closed: bool,
}

impl Inner {
    fn put(&mut self, key: StoreKey, value: Bytes) {
        let is_small = key.len() + value.len() <= COPIED_RECORD_BYTES;
        // What is a part of something larger would keep all of that.
        let value = if is_small && !value.is_unique() { Bytes::copy_from_slice(&value) } else { value };
        self.records.insert(key.into(), value);
    }
}

impl MemoryStore {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, Inner>, StoreError> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        if inner.closed { Err(StoreError::Closed) } else { Ok(inner) }
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, Inner>, StoreError> {
        let inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.closed { Err(StoreError::Closed) } else { Ok(inner) }
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Got, StoreError> {
        Ok(Got { value: self.read()?.records.get(key).cloned(), seq: Seq::ZERO })
    }

    fn look(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<Option<Seq>, StoreError> {
        Ok(self.read()?.records.get(key).map(|value| {
            see(value);
            Seq::ZERO
        }))
    }

    fn scan_some(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        _most_looked_at: usize,
    ) -> Result<Page, StoreError> {
        let inner = self.read()?;
        if from >= to {
            return Ok(Page::default());
        }
        let mut range = inner.records.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        let records = range.by_ref().take(limit).map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(Page { records, next: range.next().map(|(k, _)| k.to_vec()) })
    }

    fn counter(&self, counter: Counter) -> i64 {
        self.read().ok().and_then(|inner| inner.counters.get(&counter).copied()).unwrap_or(0)
    }

    fn apply(&self, batch: Batch) -> Result<Seq, StoreError> {
        batch.check_keys()?;
        let _later = vast::later();
        let mut inner = self.write()?;
        for write in batch.writes {
            match write {
                Write::Put(key, value) => inner.put(key, value),
                Write::Patch(patch) => inner.put(patch.key, patch.value),
                Write::Delete(key) => {
                    inner.records.remove(&key[..]);
                }
                Write::Add(counter, by) => {
                    let value = inner.counters.entry(counter).or_default();
                    *value = value.wrapping_add(by);
                }
            }
        }
        inner.last.0 += 1;
        Ok(inner.last)
    }

    fn settle(&self) -> Result<Seq, StoreError> {
        Ok(self.read()?.last)
    }

    fn settled(&self) -> Seq {
        self.read().map_or(Seq::ZERO, |inner| inner.last)
    }

    fn committed(&self) -> Seq {
        self.settled()
    }

    fn on_settled(&self, _hook: SettledHook) {}

    fn sync(&self) -> Result<(), StoreError> {
        self.read().map(drop)
    }

    fn sweep(&self, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        let mut inner = self.write()?;
        if from < to {
            let mut tail = inner.records.split_off(from);
            let mut after = tail.split_off(to);
            inner.records.append(&mut after);
        }
        Ok(())
    }

    fn backup(&self, _target: &Path, _kind: BackupKind) -> Result<(), StoreError> {
        Err(StoreError::Unsupported("the in-memory store has no files to back up"))
    }

    fn check(&self) -> Result<(), StoreError> {
        self.read().map(drop)
    }

    fn compact(&self) -> Result<(), StoreError> {
        self.read().map(drop)
    }

    fn read_only_reason(&self) -> Option<String> {
        None
    }

    fn stats(&self) -> Vec<(&'static str, String)> {
        let records = self.read().map_or(0, |inner| inner.records.len());
        vec![("store_engine", "memory".to_owned()), ("store_records", records.to_string())]
    }

    fn close(&self) -> Result<(), StoreError> {
        self.write()?.closed = true;
        Ok(())
    }
}
