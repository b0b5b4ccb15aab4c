//! One LSM tree of the `lsm-tree` crate, in a folder of its own.
//!
//! Only two things are used of it: reading, and ingesting a sorted run, which it writes straight into a table file.
//! Nothing goes through its memory tables and there is no journal: the log is in front.
//!
//! Invariant: what a writing that failed has made is removed, or the outcome is unknown and said to be.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use lsm_tree::compaction::Leveled;
use lsm_tree::config::{
    BlockSizePolicy, BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, PinningPolicy,
    RestartIntervalPolicy,
};
use lsm_tree::{
    AbstractTree, AnyTree, Cache, Config, DescriptorTable, GlobalTableId, SequenceNumberCounter, Table,
};

use super::cold::{Lists, PinnedFile, PinnedTables};
use super::list_file::{Doubt, LIST_FILE, ListFile};
use super::tree_error::tree_error;
use crate::store::StoreError;
use crate::store::locking::lock;

/// Size of table files, in bytes: the step of a compaction.
const TABLE_BYTES: u64 = if cfg!(test) { 256 << 10 } else { 32 << 20 };
/// So many tables above the levels are merged into these.
const TABLES_PER_MERGE: u8 = 4;
/// Where more than one record of so many is a deletion, all tables are merged.
const RECORDS_PER_DELETION: u64 = 4;
/// Unless they are more: flushes go on meanwhile, and wait once they have made too many runs.
const MOST_MERGED_BYTES: u64 = 4 << 30;
/// The tree's name for the folder of its table files, which are named by number.
const TABLES_FOLDER: &str = "tables";
/// The tree of large values, in the folder of the other one.
pub(super) const LARGE_FOLDER: &str = "large";
/// What failed where the tree's list on the disk could not be read, or put back.
const CANNOT_READ_LIST: &str = "cannot read the list of table files";
/// How long it takes at most, on a slow disk, to replace that list.
const PUBLISHING: Duration = Duration::from_secs(20);

/// What a tree has of memory and of descriptors.
pub(super) struct Means {
    /// Bounds its cache of file blocks.
    pub(super) cache_bytes: u64,
    pub(super) filters: Filters,
    /// Where it looks for open files.
    pub(super) open_files: Arc<DescriptorTable>,
}

/// Says how much room the disk of a folder has.
type FreeBytes = fn(&Path) -> io::Result<u64>;

/// What says which keys a table file does not have, with so many bits for each that it has.
#[derive(Clone, Copy)]
pub(super) enum Filters {
    /// In parts, in the larger levels.
    OfMany { bits: f32 },
    /// In one piece.
    OfFew { bits: f32 },
}

/// See the top of this file.
pub(super) struct Tree {
    tree: AnyTree,
    seqno: SequenceNumberCounter,
    strategy: Arc<Leveled>,
    /// Where the tree keeps its table files.
    files: PathBuf,
    /// Held for reading by whoever writes table files.
    writing: RwLock<()>,
    /// The files that were there before all writings which failed and of which something may be left.
    before_failures: Mutex<Option<HashSet<String>>>,
    /// Those that were in a list since then, or since somebody began to write: the tree removes them once nobody has them.
    listed: Mutex<HashSet<String>>,
    pub(super) free_bytes: FreeBytes,
    /// Says which of its lists holds on the disk.
    pub(super) list_file: ListFile,
}

impl Tree {
    /// Opens or makes it.
    pub(super) fn open(folder: &Path, means: Means) -> Result<Self, StoreError> {
        let seqno = SequenceNumberCounter::new(1);
        let visible = SequenceNumberCounter::new(1);
        let config = Config::new(folder, seqno.clone(), visible.clone())
            .use_cache(Arc::new(Cache::with_capacity_bytes(means.cache_bytes)))
            .use_descriptor_table(Some(means.open_files))
            .data_block_size_policy(BlockSizePolicy::all(4096))
            .data_block_restart_interval_policy(RestartIntervalPolicy::all(8));
        let (bits, config) = match means.filters {
            Filters::OfMany { bits } => (bits, config),
            Filters::OfFew { bits } => {
                (bits, config.filter_block_partitioning_policy(PinningPolicy::all(false)))
            }
        };
        let filters = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(bits));
        let tree = config.filter_policy(FilterPolicy::all(filters)).open()?;
        if let Some(highest) = tree.get_highest_seqno() {
            seqno.fetch_max(highest + 1);
            visible.fetch_max(highest + 1);
        }
        let strategy = Arc::new(
            Leveled::default().with_table_target_size(TABLE_BYTES).with_l0_threshold(TABLES_PER_MERGE),
        );
        let (files, writing) = (folder.join(TABLES_FOLDER), RwLock::default());
        let (free_bytes, list_file) = (crate::sys::free_bytes, ListFile::new(folder));
        let (before_failures, listed) = (Mutex::default(), Mutex::default());
        Ok(Self { tree, seqno, strategy, files, writing, before_failures, listed, free_bytes, list_file })
    }

    /// The crate's, to read its tables and to begin an ingestion.
    pub(super) fn tables(&self) -> &AnyTree {
        &self.tree
    }

    /// Does something that writes table files and publishes them. If it fails, most likely since the disk is full, those
    /// that it made are removed: the tree itself leaves them until the next start, and each try would take some of the space
    /// that is waited for. The tree's list on the disk, which is replaced last, says whether it was published. If it was, what
    /// failed was a sync: then the outcome is unknown, and the files stay.
    pub(super) fn write_files<T>(
        &self,
        write: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.resolve_doubt()?;
        let writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        // Listed once nobody forgets any more what others publish.
        let before = self.file_names().map_err(|e| StoreError::io("cannot list the table files", e))?;
        let noted = self.list_file.note(self.tree.current_version().id());
        let result = noted.map_err(|e| StoreError::io(CANNOT_READ_LIST, e)).and_then(|()| write());
        // If it cannot be read now, it is before the next writing; this is for who writes meanwhile.
        let _ = result.is_ok().then(|| self.list_file.note(self.tree.current_version().id()));
        lock(&self.listed).extend(self.listed_now());
        drop(writing);
        if let Err(error) = &result {
            let short = error.is_for_want_of_descriptors();
            self.list_file.set_doubt(if short { Doubt::ShortOfDescriptors } else { Doubt::Failed });
            self.note_failure(before);
        }
        if let Ok(_alone) = self.writing.try_write() {
            if result.is_err() {
                self.compare_lists()?;
            }
            if lock(&self.before_failures).is_none() {
                lock(&self.listed).clear();
            }
        }
        result
    }

    fn listed_now(&self) -> HashSet<String> {
        self.tree.current_version().iter_tables().map(|table| table.id().to_string()).collect()
    }

    /// Before the next writing, if not now, it is known what has become of a failed one, and what it left is removed.
    fn note_failure(&self, before: HashSet<String>) {
        let mut noted = lock(&self.before_failures);
        *noted = Some(match noted.take() {
            Some(others) => &others & &before,
            None => before,
        });
    }

    /// Finds out what became of the last writing, if that failed; until then nothing more is written.
    fn resolve_doubt(&self) -> Result<(), StoreError> {
        if self.list_file.doubt() == Doubt::None {
            return Ok(());
        }
        let busy = |_| StoreError::io("another thread writes table files", io::ErrorKind::WouldBlock.into());
        let _alone = self.writing.try_write().map_err(busy)?;
        self.compare_lists()
    }

    /// Sees to it that the tree's list on the disk is the one that it has in memory, while nobody writes, and removes what is
    /// in neither.
    fn compare_lists(&self) -> Result<(), StoreError> {
        let own = self.tree.current_version().id();
        let same = match self.list_file.doubt() {
            Doubt::ShortOfDescriptors => self.list_file.put_back(own),
            _ => self.list_file.version().map(|listed| listed.is_none_or(|listed| listed == own)),
        };
        if !same.map_err(|e| StoreError::io(CANNOT_READ_LIST, e))? {
            let what = "the list of table files was replaced, perhaps not durably";
            return Err(StoreError::unknown(what, io::ErrorKind::Other.into()));
        }
        self.list_file.set_doubt(Doubt::None);
        let mut noted = lock(&self.before_failures);
        if let Some(before) = &*noted {
            self.remove_unlisted(before).map_err(|e| StoreError::io("cannot list the table files", e))?;
        }
        *noted = None;
        Ok(())
    }

    /// Removes the files that were in no list and are not among `before`; nobody else writes any now.
    fn remove_unlisted(&self, before: &HashSet<String>) -> io::Result<()> {
        let (now, listed) = (self.listed_now(), lock(&self.listed));
        let kept = |name: &&String| now.contains(*name) || listed.contains(*name);
        for name in self.file_names()?.difference(before).filter(|name| !kept(name)) {
            if let Err(error) = std::fs::remove_file(self.files.join(name)) {
                tracing::warn!(%name, %error, "part of a table file stays until the next start");
            }
        }
        Ok(())
    }

    /// The files that make up this list of tables, unless the disk has another one.
    fn lists_of(&self, version: u64) -> Result<Option<Lists>, StoreError> {
        let folder = self.files.parent().unwrap_or(&self.files);
        let mut lists = Lists::new();
        for name in [LIST_FILE.to_owned(), format!("v{version}")] {
            match std::fs::read(folder.join(&name)) {
                Ok(list) => lists.push((name, list)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(StoreError::io("cannot read the list of table files", error)),
            }
        }
        let listed = lists[0].1.first_chunk().map(|number| u64::from_le_bytes(*number));
        Ok((listed == Some(version)).then_some(lists))
    }

    /// All of them, or an error: what is not among them may be removed.
    pub(super) fn file_names(&self) -> io::Result<HashSet<String>> {
        let entries = std::fs::read_dir(&self.files)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    /// Merges some tables if that is due; says whether it did.
    pub(super) fn compact_step(&self) -> Result<bool, StoreError> {
        if self.is_full_of_deletions() {
            self.compact_all()?;
            return Ok(true);
        }
        let before = self.tree.current_version().id();
        self.write_files(|| {
            Ok(self.tree.compact(Arc::<Leveled>::clone(&self.strategy), self.seqno.get())?)
        })?;
        Ok(self.tree.current_version().id() != before)
    }

    /// Levels are merged by what they weigh, and deletions weigh nothing: they stay in an upper level, and below them what was
    /// deleted, up to ten times as much as lives. To merge all costs no more than some times what was deleted, and while it
    /// lasts as much of the disk again as there is: where that is short the levels, which take it step by step, go on alone.
    fn is_full_of_deletions(&self) -> bool {
        let version = self.tree.current_version();
        let counts = version.iter_tables().map(|table| &table.metadata);
        let (records, deletions) = counts.fold((0, 0), |(records, deletions), counts| {
            (records + counts.item_count, deletions + counts.tombstone_count)
        });
        let bytes = self.tree.disk_space();
        deletions * RECORDS_PER_DELETION > records
            && (TABLE_BYTES..=MOST_MERGED_BYTES).contains(&bytes)
            && (self.free_bytes)(&self.files).is_ok_and(|free_bytes| free_bytes > bytes)
    }

    /// Merges everything.
    pub(super) fn compact_all(&self) -> Result<(), StoreError> {
        self.compact_into(TABLE_BYTES)
    }

    pub(super) fn compact_into(&self, table_bytes: u64) -> Result<(), StoreError> {
        self.write_files(|| Ok(self.tree.major_compact(table_bytes, self.seqno.get())?))
    }

    /// The files without which it cannot be opened as it is now; below its folder.
    pub(super) fn files(&self) -> Vec<String> {
        let version = self.tree.current_version();
        let tables = version.iter_tables().map(|table| format!("{TABLES_FOLDER}/{}", table.id()));
        [LIST_FILE.to_owned(), format!("v{}", version.id())].into_iter().chain(tables).collect()
    }

    /// The same, and they stay as long as the answer.
    pub(super) fn pin(&self) -> Result<PinnedTables, StoreError> {
        let begin = Instant::now();
        loop {
            let version = self.tree.current_version();
            if let Some(lists) = self.lists_of(version.id())? {
                let files = version.iter_tables().map(|table| PinnedFile {
                    name: format!("{TABLES_FOLDER}/{}", table.id()),
                    checksum: table.checksum().into_u128(),
                });
                return Ok(PinnedTables {
                    lists,
                    files: files.collect(),
                    _tables: vec![Box::new(version.clone())],
                });
            }
            // It is being replaced just now: first on the disk, then in memory.
            if begin.elapsed() > PUBLISHING {
                let what = "the list of table files on the disk is another one than in memory";
                return Err(StoreError::io(what, io::ErrorKind::WouldBlock.into()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Bytes above the levels, once there are enough tables for them to be merged.
pub(super) fn backlog_bytes(tree: &AnyTree) -> u64 {
    let version = tree.current_version();
    let tables: Vec<_> =
        version.iter_levels().take(1).flat_map(|level| level.iter()).flat_map(|run| run.iter()).collect();
    let is_due = tables.len() >= usize::from(TABLES_PER_MERGE);
    if is_due { tables.iter().map(|table| table.metadata.file_size).sum() } else { 0 }
}

/// A table file, by the number under which its tree looks for it among those that are open.
pub(super) type PublishedFile = (GlobalTableId, Arc<PathBuf>);

/// The table files that are published, those first that reads look at first.
pub(super) fn published_files(tree: &AnyTree) -> Vec<PublishedFile> {
    let (tree_id, version) = (tree.id(), tree.current_version());
    let runs = version.iter_levels().flat_map(|level| level.iter());
    let tables = runs.flat_map(|run| run.iter());
    tables.map(|table| ((tree_id, table.id()).into(), Arc::clone(&table.path))).collect()
}

/// What went wrong in one table file.
pub(super) fn in_table(table: &Table, error: lsm_tree::Error) -> StoreError {
    tree_error(&name_of(&table.path), error)
}

/// As it stands in the folder of all tables.
pub(super) fn name_of(path: &Path) -> String {
    let folder = path.parent().and_then(Path::parent).and_then(Path::file_name);
    let name = format!("{TABLES_FOLDER}/{}", path.file_name().unwrap_or_default().display());
    if folder.is_some_and(|folder| folder == LARGE_FOLDER) { format!("{LARGE_FOLDER}/{name}") } else { name }
}
