//! The tree's tables as they were last published, for reads and for `INFO`.
//!
//! A read through the tree itself takes a lock that the tree holds while it publishes a new list of its tables, four
//! syncs long: on a busy disk all workers stood still for 0.1 to 0.3 s, at each flush and at each compaction. Tables do not change
//! and live as long as somebody has them, so reads go on in those of the last list meanwhile.
//!
//! Invariants: a view never changes; the current one is never replaced by something older; whoever publishes in the
//! tree calls [`CurrentView::renew`] before it relies on reads to see it.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use lsm_tree::table::filter::standard_bloom;
use lsm_tree::{AbstractTree, AnyTree, SeqNo, Slice, TableId};

use super::merge::{Layer, Merge};
use super::tree_error::tree_error;
use crate::store::StoreError;
use crate::store::group::lock;

/// Reads a record in the tables of one list. A closure, since the crate does not export the list's type.
type Get = dyn Fn(&[u8]) -> Result<Option<Bytes>, StoreError> + Send + Sync;

/// The records from the first key to below the second, deleted ones included.
type Range = dyn Fn(&[u8], &[u8]) -> Merge + Send + Sync;

/// One list of tables.
pub(super) struct ReadView {
    get: Box<Get>,
    range: Box<Range>,
    runs: usize,
    disk_bytes: u64,
    merge_bytes: usize,
}

impl ReadView {
    fn of(tree: &AnyTree) -> Arc<Self> {
        Arc::new(Self {
            get: get(tree),
            range: range(tree),
            runs: tree.l0_run_count(),
            disk_bytes: tree.disk_space(),
            merge_bytes: merge_bytes(tree),
        })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        (self.get)(key)
    }

    /// The records with `from <= key < to`.
    pub(super) fn range(&self, from: &[u8], to: &[u8]) -> Merge {
        (self.range)(from, to)
    }

    /// Sorted runs above the levels.
    pub(super) fn runs(&self) -> usize {
        self.runs
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
    /// Held from asking the tree until its answer is in place: or a slower thread would put back an older one.
    renewing: Mutex<()>,
}

impl CurrentView {
    pub(super) fn new(tree: &AnyTree) -> Self {
        Self { view: RwLock::new(ReadView::of(tree)), renewing: Mutex::default() }
    }

    pub(super) fn get(&self) -> Arc<ReadView> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what the tree has published.
    pub(super) fn renew(&self, tree: &AnyTree) {
        let _alone = lock(&self.renewing);
        let renewed = ReadView::of(tree);
        let before =
            std::mem::replace(&mut *self.view.write().unwrap_or_else(PoisonError::into_inner), renewed);
        // Without the lock that reads need: it may be the last to hold tables, whose files are then removed.
        drop(before);
    }
}

/// As the tree reads, less its memory tables, which nothing is written to: newest tables first.
fn get(tree: &AnyTree) -> Box<Get> {
    let version = tree.current_version();
    Box::new(move |key| {
        let hash = standard_bloom::Builder::get_hash(key);
        let runs = version.iter_levels().flat_map(|level| level.iter());
        for table in runs.filter_map(|run| run.get_for_key(key)) {
            ensure_memory_to_read(table)?;
            if let Some(entry) = table.get(key, SeqNo::MAX, hash).map_err(|e| in_table(table.id(), e))? {
                return Ok((!entry.is_tombstone()).then(|| entry.value.into()));
            }
        }
        Ok(None)
    })
}

/// As the tree reads a range, less its memory tables: all runs merged, of each key the newest.
fn range(tree: &AnyTree) -> Box<Range> {
    let version = tree.current_version();
    Box::new(move |from, to| {
        let bounds = Slice::from(from)..Slice::from(to);
        let runs = version.iter_levels().flat_map(|level| level.iter()).filter_map(|run| {
            let (first, last) = run.range_overlap_indexes(&bounds)?;
            let (run, bounds) = (Arc::clone(run), bounds.clone());
            // Tables of a run follow each other; each is opened when the one before it has ended.
            let records = (first..=last).flat_map(move |at| {
                let (table, id) = (&run[at], run[at].id());
                let short = ensure_memory_to_read(table).err();
                let records = short.is_none().then(|| table.range(bounds.clone()));
                let records = records.into_iter().flatten().map(move |entry| {
                    let entry = entry.map_err(|e| in_table(id, e))?;
                    let value = (!entry.is_tombstone()).then(|| entry.value.into());
                    Ok((entry.key.user_key.into(), value))
                });
                short.map(Err).into_iter().chain(records)
            });
            Some(Box::new(records) as Layer)
        });
        Merge::new(runs.collect())
    })
}

/// A merge holds one block of each run, of that which it writes two. How large the largest of a table is nobody wrote down, so its
/// average counts: where large records are few they rarely meet.
fn merge_bytes(tree: &AnyTree) -> usize {
    let version = tree.current_version();
    let block_bytes =
        |table: &lsm_tree::Table| table.metadata.file_size / table.metadata.data_block_count.max(1);
    let runs = version.iter_levels().flat_map(|level| level.iter());
    let of_runs: Vec<u64> = runs.map(|run| run.iter().map(block_bytes).max().unwrap_or(0)).collect();
    let written = 2 * of_runs.iter().max().copied().unwrap_or(0);
    usize::try_from(of_runs.iter().sum::<u64>() + written).unwrap_or(usize::MAX)
}

/// Records below this are read without asking: memory for them is everywhere.
const LARGE_RECORD_BYTES: u64 = 1 << 20;
/// A table of blocks of up to so many bytes, and what else is in a file for them: records of usual sizes.
const SMALL_BLOCK_BYTES: u64 = 4608;

/// What is read of a table is as large as the record that is asked for, and the tree ends the process where there is no memory for
/// it. Nobody wrote down how large the largest is, so what all others together would not take is asked for; where large ones are few
/// among many small ones, up to some megabytes are not.
fn ensure_memory_to_read(table: &lsm_tree::Table) -> Result<(), StoreError> {
    let (bytes, blocks) = (table.metadata.file_size, table.metadata.data_block_count);
    if has_memory_to_read(bytes, blocks, crate::sys::has_memory) {
        return Ok(());
    }
    let lack = std::io::ErrorKind::OutOfMemory.into();
    Err(StoreError::io(format!("cannot read a large record in tables/{}", table.id()), lack))
}

/// Of a table file of `bytes` in so many data blocks.
#[inline]
fn has_memory_to_read(bytes: u64, blocks: u64, has_memory: impl FnOnce(usize) -> bool) -> bool {
    let large = bytes.saturating_sub(blocks.saturating_sub(1).saturating_mul(SMALL_BLOCK_BYTES));
    large < LARGE_RECORD_BYTES || has_memory(usize::try_from(large).unwrap_or(usize::MAX))
}

/// What went wrong in one table file.
fn in_table(id: TableId, error: lsm_tree::Error) -> StoreError {
    tree_error(&format!("tables/{id}"), error)
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
