//! Where records go that no longer need to be in memory: what the engine asks of it. The one there is, an LSM tree, is `lsm`;
//! tests have another one (`sim`).
//!
//! Invariants: an ingestion is atomic and synced, and carries the log's position (the commit it covers and the counters there)
//! as one more record, so that records and position never disagree.

use std::any::Any;
use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;

use super::merge::{Merge, Record};
use super::writer::Position;
use crate::store::{Glimpse, StoreError};

/// The most runs that wait for a compaction.
const MAX_RUNS: usize = 24;
/// The most bytes of large values in them. Nearly all may be dead, and the log has as much again.
pub(super) const MAX_BACKLOG_BYTES: u64 = if cfg!(test) { 4 << 20 } else { 128 << 20 };

/// Ordered records on disk. One thread ingests, one compacts, all read.
pub(crate) trait Cold: Send + Sync + 'static {
    /// Reads a record.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Reads a record, but for a value that lies apart since it is large, and has more than so many bytes.
    fn look(&self, key: &[u8], _most_bytes: usize) -> Result<Option<Kept>, StoreError> {
        Ok(self.get(key)?.map(Kept::Whole))
    }

    /// The records with `from <= key < to` as they are now, whatever is ingested later; deleted ones may be among them.
    fn range(&self, from: &[u8], to: &[u8]) -> Merge;

    /// The position stored with the last ingestion.
    fn position(&self) -> Result<Position, StoreError>;

    /// Writes ascending records and `position`, atomically and synced. `before_publish` runs when everything is
    /// on the disk and nothing is visible yet; if it fails nothing ever is.
    fn ingest(
        &self,
        position: &Position,
        records: &mut dyn Iterator<Item = Result<Record, StoreError>>,
        before_publish: &mut dyn FnMut() -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Merges some tables if that is due; says whether it did.
    fn compact_step(&self) -> Result<bool, StoreError>;

    /// Merges everything.
    fn compact_all(&self) -> Result<(), StoreError>;

    /// Sorted runs that a read must look at before the levels: what compaction has to keep low.
    fn runs(&self) -> usize;

    /// Bytes of the runs of large values that a compaction which is due will merge.
    fn backlog_bytes(&self) -> u64 {
        0
    }

    /// Whether there is to be no further run before a compaction: it would be one more for reads to look at, and takes of the disk
    /// what was overwritten.
    fn is_compaction_behind(&self) -> bool {
        self.runs() > MAX_RUNS || self.backlog_bytes() > MAX_BACKLOG_BYTES
    }

    /// Bytes of table files.
    fn disk_bytes(&self) -> u64;

    /// What a compaction of what is there now holds in memory, in bytes.
    fn merge_bytes(&self) -> usize {
        0
    }

    /// The files without which it cannot be opened as it is now; below its folder, with `/` between names.
    fn files(&self) -> Vec<String>;

    /// The same, and they stay as long as the answer.
    fn pin(&self) -> Result<PinnedTables, StoreError>;
}

/// What the cold store has under a key.
pub(crate) enum Kept {
    /// The value.
    Whole(Bytes),
    /// A large one, which was not read.
    Apart(Glimpse),
}

/// Files that say which tables there are: names and what is in them.
pub(super) type Lists = Vec<(String, Vec<u8>)>;

/// The files of the tables as they were at one moment. They stay while this is kept, whatever is published meanwhile.
pub(crate) struct PinnedTables {
    pub(super) lists: Lists,
    pub(super) files: Vec<PinnedFile>,
    /// What keeps them.
    pub(super) _tables: Vec<Box<dyn Any + Send + Sync>>,
}

impl PinnedTables {
    /// Where they lie, below the folder of all; none before that in which it is.
    pub(super) fn folders(&self) -> BTreeSet<&Path> {
        let names = self.lists.iter().map(|(name, _)| name).chain(self.files.iter().map(|file| &file.name));
        names.flat_map(|name| Path::new(name).ancestors().skip(1)).collect()
    }

    /// And those that lie in a folder below.
    pub(super) fn with(mut self, folder: &str, below: Self) -> Self {
        self.lists.extend(below.lists.into_iter().map(|(name, list)| (format!("{folder}/{name}"), list)));
        self.files.extend(
            below
                .files
                .into_iter()
                .map(|file| PinnedFile { name: format!("{folder}/{}", file.name), ..file }),
        );
        self._tables.extend(below._tables);
        self
    }
}

/// A table file.
pub(crate) struct PinnedFile {
    pub(super) name: String,
    /// Of all its bytes, as the tree's list has it.
    pub(super) checksum: u128,
}
