//! Large values lie in a tree of their own, and a stub stands in their place among the small ones.
//!
//! A block of a table file holds whole records, so beside a value of 40 MB lie keys for each of which as much was read, and a
//! merge of ranges read it again for each page. Now what small records cost does not follow the size of others; who asks for a
//! large value asks twice, and who asks only for a glimpse of it once: that is in the stub.
//!
//! A stub is told from a value by a mark that is random for each folder and that no client can know, as a chunk of the log is by its seal:
//! whatever bytes a value has, it is never taken for one. The mark stands beside the position, which every run has.
//!
//! Invariant: where a stub is the newest of its key, so is its value in the other tree, and it has the stub's length and beginning. What is
//! published in between the two, or was before a crash, is dirty in memory until both agree.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use lsm_tree::table::filter::block::FilterBlock;
use lsm_tree::table::filter::standard_bloom;
use lsm_tree::table::{Block, Table};
use lsm_tree::{AbstractTree, AnyTree, CompressionType, TableId, TreeId};

use super::open_files::OpenFiles;
use super::tree::in_table;
use crate::store::{GLIMPSE_BYTES, Glimpse, StoreError};

/// Values from this size on are large. Smaller ones make blocks that one read of a disk takes about as long for as for 4 KiB.
pub(super) const LARGE_BYTES: usize = 64 << 10;
const MARK_BYTES: usize = 16;

/// What stubs of a folder begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark([u8; MARK_BYTES]);

impl Mark {
    /// That of a folder which has no stub yet.
    pub(super) fn random() -> Result<Self, StoreError> {
        let mut mark = [0; MARK_BYTES];
        let failed =
            |e: getrandom::Error| StoreError::io("cannot get random bytes", std::io::Error::other(e));
        getrandom::fill(&mut mark).map_err(failed)?;
        Ok(Self(mark))
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn encode(self) -> [u8; MARK_BYTES] {
        self.0
    }

    /// What stands for a large value: the mark, then its length, little-endian, and what it begins with.
    pub(super) fn stub(self, value: &[u8]) -> Bytes {
        let glimpse = Glimpse::of(value);
        [&self.0[..], &(value.len() as u64).to_le_bytes(), glimpse.begin()].concat().into()
    }

    /// What is known of the value, if this is a stub.
    pub(super) fn glimpse(self, stub: &[u8]) -> Option<Glimpse> {
        let (length, begin) = stub.strip_prefix(&self.0)?.split_first_chunk()?;
        let begin: [u8; GLIMPSE_BYTES] = begin.try_into().ok()?;
        Some(Glimpse::of_longer(begin, usize::try_from(u64::from_le_bytes(*length)).ok()?))
    }
}

/// Whether a tree may have something of a key, without a look at its values: by the filters of the tables that may. They are
/// kept while this is.
pub(super) type MayHold = Box<dyn FnMut(&[u8]) -> Result<bool, StoreError>>;

/// Of the tables that are published now.
pub(super) fn may_hold(tree: &AnyTree, files: Arc<OpenFiles>) -> MayHold {
    let tree_id = tree.id();
    let (version, mut filters) = (tree.current_version(), HashMap::<TableId, Option<FilterBlock>>::new());
    Box::new(move |key| {
        let mut hash = None;
        for table in
            version.iter_levels().flat_map(|level| level.iter()).filter_map(|run| run.get_for_key(key))
        {
            let filter = match filters.entry(table.id()) {
                std::collections::hash_map::Entry::Occupied(filter) => filter.into_mut(),
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(filter_of(table, tree_id, &files)?)
                }
            };
            let hash = *hash.get_or_insert_with(|| standard_bloom::Builder::get_hash(key));
            // A table without one: who knows.
            let Some(filter) = filter else { return Ok(true) };
            if filter.maybe_contains_hash(hash).map_err(|e| in_table(table, e))? {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// The filter, if it has a whole one: this tree's are not in parts.
fn filter_of(table: &Table, tree_id: TreeId, files: &OpenFiles) -> Result<Option<FilterBlock>, StoreError> {
    if let Some(pinned) = &table.pinned_filter_block {
        return Ok(Some(pinned.clone()));
    }
    let Some(handle) = table.regions.filter.filter(|_| table.regions.filter_tli.is_none()) else {
        return Ok(None);
    };
    let read = files
        .file((tree_id, table.id()).into(), &table.path)
        .and_then(|file| Block::from_file(&file, handle, CompressionType::None));
    Ok(Some(FilterBlock::new(read.map_err(|e| in_table(table, e))?)))
}
