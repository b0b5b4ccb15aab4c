//! The tree's tables as they were last published, for reads of one record and for `INFO`.
//!
//! A read through the tree itself takes a lock that the tree holds while it publishes a new list of its tables, four
//! syncs long: on a busy disk all workers stood still for 0.1 to 0.3 s, at each flush and at each compaction. Tables do not change
//! and live as long as somebody has them, so reads go on in those of the last list meanwhile.
//!
//! Invariants: what is published is never replaced by something older; whoever publishes in the tree calls
//! [`Published::renew`] before it relies on reads to see it.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use lsm_tree::table::filter::standard_bloom;
use lsm_tree::{AbstractTree, AnyTree, SeqNo};

use crate::store::group::lock;

/// Reads a record in the tables of one list. A closure, since the crate does not export the list's type.
type Reader = dyn Fn(&[u8]) -> lsm_tree::Result<Option<Bytes>> + Send + Sync;

/// One list of tables.
struct List {
    reader: Box<Reader>,
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
        (self.list().reader)(key)
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
    Arc::new(List { reader: reader(tree), runs: tree.l0_run_count(), disk_bytes: tree.disk_space() })
}

/// As the tree reads, less its memory tables, which nothing is written to: newest tables first.
fn reader(tree: &AnyTree) -> Box<Reader> {
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
