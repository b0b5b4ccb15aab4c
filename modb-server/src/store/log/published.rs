//! The tree's tables as they were last published, for reads and for `INFO`.
//!
//! A read through the tree itself takes a lock that the tree holds while it publishes a new list of its tables, four
//! syncs long: on a busy disk all workers stood still for 0.1 to 0.3 s, at each flush and at each compaction. Tables do not change
//! and live as long as somebody has them, so reads go on in those of the last list meanwhile.
//!
//! Invariants: what is published is never replaced by something older; whoever publishes in the tree calls
//! [`Published::renew`] before it relies on reads to see it.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use lsm_tree::merge::{BoxedIterator, Merger};
use lsm_tree::mvcc_stream::MvccStream;
use lsm_tree::table::filter::standard_bloom;
use lsm_tree::{AbstractTree, AnyTree, SeqNo, Slice};

use crate::store::group::lock;

/// Reads a record in the tables of one list. A closure, since the crate does not export the list's type.
type Get = dyn Fn(&[u8]) -> lsm_tree::Result<Option<Bytes>> + Send + Sync;

/// Calls the last argument for the records from the first key to below the second, until it answers false.
type Range = dyn Fn(&[u8], &[u8], &mut Visit) -> lsm_tree::Result<()> + Send + Sync;

type Visit<'a> = dyn FnMut(Bytes, Bytes) -> bool + 'a;

/// One list of tables.
struct List {
    get: Box<Get>,
    range: Box<Range>,
    runs: usize,
    disk_bytes: u64,
}

/// See the top of this file.
pub(super) struct Published {
    list: RwLock<Arc<List>>,
    /// Held from asking the tree until its answer is in place: or a slower thread would put back an older one.
    renewing: Mutex<()>,
}

impl Published {
    pub(super) fn new(tree: &AnyTree) -> Self {
        Self { list: RwLock::new(list(tree)), renewing: Mutex::default() }
    }

    pub(super) fn get(&self, key: &[u8]) -> lsm_tree::Result<Option<Bytes>> {
        (self.list().get)(key)
    }

    /// Calls `f` for the records with `from <= key < to` in order until it answers false.
    pub(super) fn range(&self, from: &[u8], to: &[u8], f: &mut Visit) -> lsm_tree::Result<()> {
        (self.list().range)(from, to, f)
    }

    /// Sorted runs above the levels.
    pub(super) fn runs(&self) -> usize {
        self.list().runs
    }

    /// Bytes of table files.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.list().disk_bytes
    }

    fn list(&self) -> Arc<List> {
        Arc::clone(&self.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what the tree has published.
    pub(super) fn renew(&self, tree: &AnyTree) {
        let _alone = lock(&self.renewing);
        let renewed = list(tree);
        let before =
            std::mem::replace(&mut *self.list.write().unwrap_or_else(PoisonError::into_inner), renewed);
        // Without the lock that reads need: it may be the last to hold tables, whose files are then removed.
        drop(before);
    }
}

fn list(tree: &AnyTree) -> Arc<List> {
    Arc::new(List {
        get: get(tree),
        range: range(tree),
        runs: tree.l0_run_count(),
        disk_bytes: tree.disk_space(),
    })
}

/// As the tree reads, less its memory tables, which nothing is written to: newest tables first.
fn get(tree: &AnyTree) -> Box<Get> {
    let version = tree.current_version();
    Box::new(move |key| {
        let hash = standard_bloom::Builder::get_hash(key);
        let runs = version.iter_levels().flat_map(|level| level.iter());
        for table in runs.filter_map(|run| run.get_for_key(key)) {
            if let Some(entry) = table.get(key, SeqNo::MAX, hash)? {
                return Ok((!entry.is_tombstone()).then(|| entry.value.into()));
            }
        }
        Ok(None)
    })
}

/// As the tree reads a range, less its memory tables: all runs merged, of each key the newest.
fn range(tree: &AnyTree) -> Box<Range> {
    let version = tree.current_version();
    Box::new(move |from, to, f| {
        let bounds = Slice::from(from)..Slice::from(to);
        let runs = version.iter_levels().flat_map(|level| level.iter()).filter_map(|run| {
            // Tables of a run follow each other; each is opened when the one before it has ended.
            let (first, last) = run.range_overlap_indexes(&bounds)?;
            let tables = run[first..=last].iter().flat_map(|table| table.range(bounds.clone()));
            Some(Box::new(tables) as BoxedIterator)
        });
        for entry in MvccStream::new(Merger::new(runs.collect())) {
            let entry = entry?;
            if !entry.is_tombstone() && !f(entry.key.user_key.into(), entry.value.into()) {
                break;
            }
        }
        Ok(())
    })
}
