//! The tree's tables as they were last published, for reads and for `INFO`.
//!
//! A read through the tree itself takes a lock that the tree holds while it publishes a new list of its tables, four
//! syncs long: on a busy disk all workers stood still for 0.1 to 0.3 s, at each flush and at each compaction. Tables do not change
//! and live as long as somebody has them, so reads go on in those of the last list meanwhile.
//!
//! Invariants: a view never changes; the current one is never replaced by something older, and has a run in both trees or in neither;
//! whoever publishes calls [`CurrentView::publish`] or [`CurrentView::renew`] before it relies on reads to see it, and these open the files
//! (`open_files`).

use std::ops::{self, Bound};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use lsm_tree::table::filter::standard_bloom;
use lsm_tree::{AbstractTree, AnyTree, SeqNo, Slice, Table, TreeId};

use super::cold::Kept;
use super::large::Mark;
use super::merge::{Layer, Merge, Record, Stubs};
use super::open_files::OpenFiles;
use super::table_range::TableRange;
use super::tree::{self, PublishedFile, in_table, name_of};
use crate::store::locking::lock;
use crate::store::{Glimpse, StoreError};

/// Reads a record in the tables of one list. A closure, since the crate does not export the list's type.
type Get = dyn Fn(&[u8]) -> Result<Option<Bytes>, StoreError> + Send + Sync;

/// The records from the first key to below the second, deleted ones included.
type Range = dyn Fn(&[u8], &[u8]) -> Merge + Send + Sync;

/// One list of tables, of both trees.
pub(super) struct ReadView {
    records: Arc<Records>,
    runs: usize,
    backlog_bytes: u64,
    disk_bytes: u64,
    merge_bytes: usize,
}

struct Records {
    /// Small records, and stubs.
    small: Box<Get>,
    large: Arc<LargeValues>,
    range: Box<Range>,
}

impl Records {
    fn of(small: &AnyTree, large: &AnyTree, mark: Mark, files: &Arc<OpenFiles>) -> Arc<Self> {
        let large = Arc::new(LargeValues { get: get(large, files), mark });
        let range = range(small, files, Arc::<LargeValues>::clone(&large));
        Arc::new(Self { small: get(small, files), range, large })
    }

    fn look(&self, key: &[u8], most_bytes: usize) -> Result<Option<Kept>, StoreError> {
        let Some(value) = (self.small)(key)? else { return Ok(None) };
        Ok(Some(match self.large.glimpse(&value) {
            None => Kept::Whole(value),
            Some(stub) if stub.value_bytes() > most_bytes => Kept::Apart(stub),
            Some(stub) => Kept::Whole(self.large.value(key, &stub)?),
        }))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(value) = (self.small)(key)? else { return Ok(None) };
        match self.large.glimpse(&value) {
            None => Ok(Some(value)),
            Some(stub) => self.large.value(key, &stub).map(Some),
        }
    }
}

/// The values that stubs stand for.
struct LargeValues {
    get: Box<Get>,
    mark: Mark,
}

impl Stubs for LargeValues {
    fn glimpse(&self, value: &[u8]) -> Option<Glimpse> {
        self.mark.glimpse(value)
    }

    fn value(&self, key: &[u8], stub: &Glimpse) -> Result<Bytes, StoreError> {
        let found = (self.get)(key)?.filter(|value| Glimpse::of(value) == *stub);
        found.ok_or_else(|| StoreError::Corrupt {
            place: "table files".to_owned(),
            what: format!("a value of {} bytes is missing", stub.value_bytes()),
        })
    }
}

impl ReadView {
    fn of(records: Arc<Records>, small: &AnyTree, large: &AnyTree) -> Arc<Self> {
        Arc::new(Self {
            records,
            runs: small.l0_run_count().max(large.l0_run_count()),
            backlog_bytes: tree::backlog_bytes(large),
            disk_bytes: small.disk_space() + large.disk_space(),
            // They are merged one after the other.
            merge_bytes: merge_bytes(small).max(merge_bytes(large)),
        })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.records.get(key)
    }

    /// As [`ReadView::get`], but for a large value of more than so many bytes.
    pub(super) fn look(&self, key: &[u8], most_bytes: usize) -> Result<Option<Kept>, StoreError> {
        self.records.look(key, most_bytes)
    }

    /// The records with `from <= key < to`.
    pub(super) fn range(&self, from: &[u8], to: &[u8]) -> Merge {
        (self.records.range)(from, to)
    }

    /// Sorted runs above the levels, of the tree that has most of them.
    pub(super) fn runs(&self) -> usize {
        self.runs
    }

    /// Bytes of the runs of large values that are to be merged, once that is due.
    pub(super) fn backlog_bytes(&self) -> u64 {
        self.backlog_bytes
    }

    /// Bytes of table files.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    /// What merging all runs holds in memory at once, in bytes.
    pub(super) fn merge_bytes(&self) -> usize {
        self.merge_bytes
    }
}

/// The view that reads take. See the top of this file.
pub(super) struct CurrentView {
    view: RwLock<Arc<ReadView>>,
    mark: Mark,
    files: Arc<OpenFiles>,
    /// Held from asking the trees until their answer is in place: or a slower thread would put back an older one.
    published: Mutex<Published>,
}

/// What the trees have published.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Published {
    Whole,
    /// One has published its part of a run, the other failed to, or has not yet. Reads go on in what was there before.
    Half,
}

impl CurrentView {
    pub(super) fn new(small: &AnyTree, large: &AnyTree, mark: Mark, files: Arc<OpenFiles>) -> Self {
        let view = ReadView::of(Records::of(small, large, mark, &files), small, large);
        let new = Self { view: RwLock::new(view), mark, files, published: Mutex::new(Published::Whole) };
        new.open_as_many(small, large);
        new
    }

    /// Which files are open.
    pub(super) fn files(&self) -> Arc<OpenFiles> {
        Arc::clone(&self.files)
    }

    /// Opens the files that are published, but for those that are more than may be open.
    pub(super) fn open_files(&self, small: &AnyTree, large: &AnyTree) -> Result<(), StoreError> {
        let _alone = lock(&self.published);
        self.files.publish(&published_files(small, large))
    }

    /// The same for who cannot wait until that can be done.
    fn open_as_many(&self, small: &AnyTree, large: &AnyTree) {
        if let Err(error) = self.files.publish(&published_files(small, large)) {
            tracing::debug!(%error, "a table file is opened by who reads it");
        }
    }

    pub(super) fn get(&self) -> Arc<ReadView> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes a run in both trees, and takes it over.
    pub(super) fn publish(
        &self,
        small: &AnyTree,
        large: &AnyTree,
        publish: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut published = lock(&self.published);
        *published = Published::Half;
        publish()?;
        *published = Published::Whole;
        self.replace(Records::of(small, large, self.mark, &self.files), small, large);
        Ok(())
    }

    /// Takes over what the trees have rearranged.
    pub(super) fn renew(&self, small: &AnyTree, large: &AnyTree) {
        let published = lock(&self.published);
        let records = match *published {
            Published::Whole => Records::of(small, large, self.mark, &self.files),
            Published::Half => Arc::clone(&self.get().records),
        };
        self.replace(records, small, large);
    }

    fn replace(&self, records: Arc<Records>, small: &AnyTree, large: &AnyTree) {
        let renewed = ReadView::of(records, small, large);
        self.files.expect();
        let before =
            std::mem::replace(&mut *self.view.write().unwrap_or_else(PoisonError::into_inner), renewed);
        // Without the lock that reads need: it may be the last to hold tables, whose files are then removed.
        drop(before);
        self.open_as_many(small, large);
    }
}

fn published_files(small: &AnyTree, large: &AnyTree) -> Vec<PublishedFile> {
    [small, large].into_iter().flat_map(tree::published_files).collect()
}

/// As the tree reads, less its memory tables, which nothing is written to: newest tables first.
fn get(tree: &AnyTree, files: &Arc<OpenFiles>) -> Box<Get> {
    let (tree_id, version, files) = (tree.id(), tree.current_version(), Arc::clone(files));
    Box::new(move |key| {
        let hash = standard_bloom::Builder::get_hash(key);
        let runs = version.iter_levels().flat_map(|level| level.iter());
        for table in runs.filter_map(|run| run.get_for_key(key)) {
            ensure_memory_to_read(table)?;
            let id = (tree_id, table.id()).into();
            let found = files.read(id, || table.get(key, SeqNo::MAX, hash));
            if let Some(entry) = found.map_err(|e| in_table(table, e))? {
                return Ok((!entry.is_tombstone()).then(|| entry.value.into()));
            }
        }
        Ok(None)
    })
}

/// As the tree reads a range, less its memory tables: all runs merged, of each key the newest.
fn range(tree: &AnyTree, files: &Arc<OpenFiles>, stubs: Arc<dyn Stubs>) -> Box<Range> {
    let (tree_id, version, files) = (tree.id(), tree.current_version(), Arc::clone(files));
    Box::new(move |from, to| {
        let bounds = Slice::from(from)..Slice::from(to);
        let runs = version.iter_levels().flat_map(|level| level.iter()).filter_map(|run| {
            let (first, last) = run.range_overlap_indexes(&bounds)?;
            let (run, bounds, files) = (Arc::clone(run), bounds.clone(), Arc::clone(&files));
            // Tables of a run follow each other; each is opened when the one before it has ended.
            let records = (first..=last).flat_map(move |at| {
                let table = run[at].clone();
                let short = ensure_memory_to_read(&table).err();
                let records =
                    short.is_none().then(|| records_of(table, tree_id, &bounds, Arc::clone(&files)));
                short.map(Err).into_iter().chain(records.into_iter().flatten())
            });
            Some(Box::new(records) as Layer)
        });
        Merge::of_stubs(runs.collect(), Arc::clone(&stubs))
    })
}

/// The records of one table within the bounds, up to the first that cannot be read.
fn records_of(
    table: Table,
    tree_id: TreeId,
    bounds: &ops::Range<Slice>,
    files: Arc<OpenFiles>,
) -> impl Iterator<Item = Result<Record, StoreError>> + Send + use<> {
    let (id, end, of) = ((tree_id, table.id()).into(), bounds.end.clone(), table.clone());
    let begin = move |from| of.range((from, Bound::Excluded(end.clone())));
    let mut range = Some(TableRange::new(Bound::Included(bounds.start.clone()), begin));
    std::iter::from_fn(move || {
        let read = range.as_mut().map(|range| files.read(id, || range.read()))?;
        if !matches!(read, Ok(Some(_))) {
            range = None;
        }
        let entry = read.map_err(|e| in_table(&table, e)).transpose()?;
        Some(entry.map(|entry| {
            let value = (!entry.is_tombstone()).then(|| entry.value.into());
            (entry.key.user_key.into(), value)
        }))
    })
}

/// A merge holds one block of each run, and four more: the record that it writes, the one behind that, at which it looks, and the block which
/// that becomes, which grows to twice its length. How large the largest of a table is nobody wrote down, so its
/// average counts: where large records are few they rarely meet.
fn merge_bytes(tree: &AnyTree) -> usize {
    let version = tree.current_version();
    let block_bytes = |table: &Table| table.metadata.file_size / table.metadata.data_block_count.max(1);
    let runs = version.iter_levels().flat_map(|level| level.iter());
    let of_runs: Vec<u64> = runs.map(|run| run.iter().map(block_bytes).max().unwrap_or(0)).collect();
    let written = 4 * of_runs.iter().max().copied().unwrap_or(0);
    usize::try_from(of_runs.iter().sum::<u64>() + written).unwrap_or(usize::MAX)
}

/// Records below this are read without asking: memory for them is everywhere.
const LARGE_RECORD_BYTES: u64 = 1 << 20;
/// A table of blocks of up to so many bytes, and what else is in a file for them: records of usual sizes.
const SMALL_BLOCK_BYTES: u64 = 4608;

/// What is read of a table is as large as the record that is asked for, and the tree ends the process where there is no memory for
/// it. Nobody wrote down how large the largest is, so what all others together would not take is asked for; where large ones are few
/// among many small ones, up to some megabytes are not.
fn ensure_memory_to_read(table: &Table) -> Result<(), StoreError> {
    let (bytes, blocks) = (table.metadata.file_size, table.metadata.data_block_count);
    if has_memory_to_read(bytes, blocks, crate::sys::has_memory) {
        return Ok(());
    }
    let lack = std::io::ErrorKind::OutOfMemory.into();
    Err(StoreError::io(format!("cannot read a large record in {}", name_of(&table.path)), lack))
}

/// Of a table file of `bytes` in so many data blocks.
#[inline]
fn has_memory_to_read(bytes: u64, blocks: u64, has_memory: impl FnOnce(usize) -> bool) -> bool {
    let large = bytes.saturating_sub(blocks.saturating_sub(1).saturating_mul(SMALL_BLOCK_BYTES));
    large < LARGE_RECORD_BYTES || has_memory(usize::try_from(large).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_asked_for_where_a_table_has_large_records_and_nowhere_else() {
        let asked = |bytes, blocks| {
            let mut asked = None;
            has_memory_to_read(bytes, blocks, |bytes| {
                asked = Some(bytes);
                true
            });
            asked
        };
        let (mib, full) = (1 << 20, 32 << 20);
        assert_eq!(asked(full, full / 4200), None, "usual records, with filters and an index");
        assert_eq!(asked(100, 1), None);
        assert_eq!(asked(16 * mib, 1), Some(16 << 20));
        // One of 16 MiB among small ones.
        let large = asked(full, 16 * mib / 4200 + 1);
        assert!(large.is_some_and(|bytes| (13 << 20..=16 << 20).contains(&bytes)), "{large:?}");
        assert!(!has_memory_to_read(16 * mib, 1, |_| false));
    }
}
