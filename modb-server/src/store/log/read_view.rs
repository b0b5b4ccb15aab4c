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

use super::cold::{self, Layer};
use super::merge::Merge;
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
                table.range(bounds.clone()).map(move |entry| {
                    let entry = entry.map_err(|e| in_table(id, e))?;
                    let value = (!entry.is_tombstone()).then(|| entry.value.into());
                    Ok((entry.key.user_key.into(), value))
                })
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

/// What went wrong in one table file.
fn in_table(id: TableId, error: lsm_tree::Error) -> StoreError {
    cold::tree_error(&format!("tables/{id}"), error)
}
