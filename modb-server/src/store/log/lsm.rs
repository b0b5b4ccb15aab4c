//! The cold store: an LSM tree of the `lsm-tree` crate.
//!
//! Only two things are used of it: reading, and ingesting a sorted run, which it writes straight into a table file.
//! Nothing goes through its memory tables and there is no journal: the log is in front.
//!
//! Invariants: what an ingestion that failed has made is removed, or the outcome is unknown and said to be; reads go to the
//! list of tables that was published last (`read_view`) and never wait for the next.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lsm_tree::compaction::Leveled;
use lsm_tree::config::{BlockSizePolicy, RestartIntervalPolicy};
use lsm_tree::{AbstractTree, AnyTree, Cache, Config, DescriptorTable, SeqNo, SequenceNumberCounter};

use super::cold::{Cold, Lists, PinnedFile, PinnedTables};
use super::list_file::{Doubt, LIST_FILE, ListFile};
use super::merge::{Merge, Record};
use super::read_view::CurrentView;
use super::writer::Position;
use crate::store::{Counter, StoreError};

/// Below every record's key: those begin with at least 1.
const POSITION_KEY: &[u8] = &[0];
/// Size of table files, in bytes: the step of a compaction.
const TABLE_BYTES: u64 = 32 << 20;
/// The tree's name for the folder of its table files, which are named by number.
const TABLES_FOLDER: &str = "tables";
/// What failed where the tree's list on the disk could not be read, or put back.
const CANNOT_READ_LIST: &str = "cannot read the list of table files";
/// How long it takes at most, on a slow disk, to replace that list.
const PUBLISHING: Duration = Duration::from_secs(20);
/// Open table files, each of which is one descriptor: the part of what the process may have open, and the most.
const OPEN_FILES_PART: usize = 8;
const MAX_OPEN_FILES: usize = 128;
/// Fewer would be opened and closed for nearly each read.
const MIN_OPEN_FILES: usize = 16;

/// The LSM tree in a folder.
pub(crate) struct LsmCold {
    tree: AnyTree,
    view: CurrentView,
    seqno: SequenceNumberCounter,
    strategy: Arc<Leveled>,
    /// While false, reads need not ask.
    holds_records: AtomicBool,
    /// Where the tree keeps its table files.
    files: PathBuf,
    /// Held for reading by whoever writes table files.
    writing: RwLock<()>,
    /// Says which of its lists holds on the disk.
    pub(super) list_file: ListFile,
}

impl LsmCold {
    /// Opens or makes the tree; `cache_bytes` bounds its cache of file blocks.
    pub(crate) fn open(folder: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let seqno = SequenceNumberCounter::new(1);
        let visible = SequenceNumberCounter::new(1);
        let tree = Config::new(folder, seqno.clone(), visible.clone())
            .use_cache(Arc::new(Cache::with_capacity_bytes(cache_bytes)))
            .use_descriptor_table(Some(Arc::new(DescriptorTable::new(open_files(
                crate::sys::max_descriptors(),
            )))))
            .data_block_size_policy(BlockSizePolicy::all(4096))
            .data_block_restart_interval_policy(RestartIntervalPolicy::all(8))
            .open()?;
        if let Some(highest) = tree.get_highest_seqno() {
            seqno.fetch_max(highest + 1);
            visible.fetch_max(highest + 1);
        }
        let holds_records = AtomicBool::new(tree.table_count() > 0);
        let strategy = Arc::new(Leveled::default().with_table_target_size(TABLE_BYTES));
        let (files, writing) = (folder.join(TABLES_FOLDER), RwLock::default());
        let list_file = ListFile::new(folder);
        let view = CurrentView::new(&tree);
        Ok(Self { tree, view, seqno, strategy, holds_records, files, writing, list_file })
    }

    /// Does something that writes table files and publishes them. If it fails, most likely since the disk is full, those
    /// that it made are removed: the tree itself leaves them until the next start, and each try would take some of the space
    /// that is waited for. The tree's list on the disk, which is replaced last, says whether it was published. If it was, what
    /// failed was a sync: then the outcome is unknown, and the files stay.
    fn write_files<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.resolve_doubt()?;
        let before = self.file_names();
        let writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        let noted = self.list_file.note(self.tree.current_version().id());
        let result = noted.map_err(|e| StoreError::io(CANNOT_READ_LIST, e)).and_then(|()| write());
        self.view.renew(&self.tree);
        // If it cannot be read now, it is before the next writing; this is for who writes meanwhile.
        let _ = result.is_ok().then(|| self.list_file.note(self.tree.current_version().id()));
        drop(writing);
        if let Err(error) = &result {
            let short = error.is_for_want_of_descriptors();
            self.list_file.set_doubt(if short { Doubt::ShortOfDescriptors } else { Doubt::Failed });
            if let Ok(_alone) = self.writing.try_write() {
                self.compare_lists()?;
                self.remove_unlisted(&before);
            }
        }
        result
    }

    /// Finds out what became of the last writing, if that failed; until then nothing more is written.
    fn resolve_doubt(&self) -> Result<(), StoreError> {
        if self.list_file.doubt() == Doubt::None {
            return Ok(());
        }
        let busy =
            |_| StoreError::io("another thread writes table files", std::io::ErrorKind::WouldBlock.into());
        let _alone = self.writing.try_write().map_err(busy)?;
        self.compare_lists()
    }

    /// Sees to it that the tree's list on the disk is the one that it has in memory, while nobody writes.
    fn compare_lists(&self) -> Result<(), StoreError> {
        let own = self.tree.current_version().id();
        let same = match self.list_file.doubt() {
            Doubt::ShortOfDescriptors => self.list_file.put_back(own),
            _ => self.list_file.version().map(|listed| listed.is_none_or(|listed| listed == own)),
        };
        if !same.map_err(|e| StoreError::io(CANNOT_READ_LIST, e))? {
            let what = "the list of table files was replaced, perhaps not durably";
            return Err(StoreError::unknown(what, std::io::ErrorKind::Other.into()));
        }
        self.list_file.set_doubt(Doubt::None);
        Ok(())
    }

    /// Removes the files that are not in the list and not among `before`; nobody else writes any now.
    fn remove_unlisted(&self, before: &HashSet<String>) {
        let version = self.tree.current_version();
        let kept: HashSet<String> = version.iter_tables().map(|table| table.id().to_string()).collect();
        for name in self.file_names().difference(before).filter(|name| !kept.contains(*name)) {
            if let Err(error) = std::fs::remove_file(self.files.join(name)) {
                tracing::warn!(%name, %error, "part of a table file stays until the next start");
            }
        }
    }

    /// The files that make up this list of tables, unless the disk has another one.
    fn lists_of(&self, version: u64) -> Result<Option<Lists>, StoreError> {
        let folder = self.files.parent().unwrap_or(&self.files);
        let mut lists = Lists::new();
        for name in [LIST_FILE.to_owned(), format!("v{version}")] {
            match std::fs::read(folder.join(&name)) {
                Ok(list) => lists.push((name, list)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(StoreError::io("cannot read the list of table files", error)),
            }
        }
        let listed = lists[0].1.first_chunk().map(|number| u64::from_le_bytes(*number));
        Ok((listed == Some(version)).then_some(lists))
    }

    /// Those that can be listed; nothing is removed that cannot.
    fn file_names(&self) -> HashSet<String> {
        let entries = std::fs::read_dir(&self.files).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

impl Cold for LsmCold {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if !self.holds_records.load(Ordering::Acquire) {
            return Ok(None);
        }
        self.view.get().get(key)
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Merge {
        let from = from.max(&[1]);
        if from >= to || !self.holds_records.load(Ordering::Acquire) {
            return Merge::new(Vec::new());
        }
        self.view.get().range(from, to)
    }

    fn position(&self) -> Result<Position, StoreError> {
        match self.tree.get(POSITION_KEY, SeqNo::MAX)? {
            None => Ok(Position::default()),
            Some(bytes) => decode_position(&bytes).ok_or_else(|| StoreError::Corrupt {
                place: "table files".to_owned(),
                what: "the position record has the wrong length".to_owned(),
            }),
        }
    }

    fn ingest(
        &self,
        position: &Position,
        records: &mut dyn Iterator<Item = Result<Record, StoreError>>,
        before_publish: &mut dyn FnMut() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.write_files(|| {
            let mut ingestion = self.tree.ingestion()?;
            ingestion.write(POSITION_KEY, encode_position(position))?;
            for record in records {
                let (key, value) = record?;
                match value {
                    Some(value) => ingestion.write(key, value)?,
                    None => ingestion.write_tombstone(key)?,
                }
            }
            before_publish()?;
            Ok(ingestion.finish()?)
        })?;
        self.holds_records.store(true, Ordering::Release);
        Ok(())
    }

    fn compact_step(&self) -> Result<bool, StoreError> {
        let before = self.tree.current_version().id();
        self.write_files(|| {
            Ok(self.tree.compact(Arc::<Leveled>::clone(&self.strategy), self.seqno.get())?)
        })?;
        Ok(self.tree.current_version().id() != before)
    }

    fn compact_all(&self) -> Result<(), StoreError> {
        self.write_files(|| Ok(self.tree.major_compact(TABLE_BYTES, self.seqno.get())?))
    }

    fn runs(&self) -> usize {
        self.view.get().runs()
    }

    fn disk_bytes(&self) -> u64 {
        self.view.get().disk_bytes()
    }

    fn merge_bytes(&self) -> usize {
        self.view.get().merge_bytes()
    }

    fn files(&self) -> Vec<String> {
        let version = self.tree.current_version();
        let tables = version.iter_tables().map(|table| format!("{TABLES_FOLDER}/{}", table.id()));
        [LIST_FILE.to_owned(), format!("v{}", version.id())].into_iter().chain(tables).collect()
    }

    fn pin(&self) -> Result<PinnedTables, StoreError> {
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
                    _tables: Box::new(version.clone()),
                });
            }
            // It is being replaced just now: first on the disk, then in memory.
            if begin.elapsed() > PUBLISHING {
                let what = "the list of table files on the disk is another one than in memory";
                return Err(StoreError::io(what, std::io::ErrorKind::WouldBlock.into()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// How many table files are open at once, where the process may have so many descriptors in all. What is kept from connections
/// (`modb_net::share_descriptors`) is more than that and the log's files.
fn open_files(descriptors: Option<usize>) -> usize {
    let part = descriptors.map_or(MAX_OPEN_FILES, |descriptors| descriptors / OPEN_FILES_PART);
    part.clamp(MIN_OPEN_FILES, MAX_OPEN_FILES)
}

/// `seq u64`, then `counter u32, value i64` for each, ascending; little-endian.
fn encode_position(position: &Position) -> Vec<u8> {
    let mut bytes = position.seq.to_le_bytes().to_vec();
    let mut counters: Vec<_> = position.counters.iter().collect();
    counters.sort_unstable();
    for (counter, value) in counters {
        bytes.extend_from_slice(&counter.0.to_le_bytes());
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes
}

fn decode_position(bytes: &[u8]) -> Option<Position> {
    let (seq, rest) = bytes.split_first_chunk::<8>()?;
    let (counters, []) = rest.as_chunks::<12>() else { return None };
    let counters = counters.iter().filter_map(|entry| {
        let (id, value) = (entry.first_chunk::<4>()?, entry.last_chunk::<8>()?);
        Some((Counter(u32::from_le_bytes(*id)), i64::from_le_bytes(*value)))
    });
    Some(Position { seq: u64::from_le_bytes(*seq), counters: counters.collect() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc;

    use proptest::prelude::*;

    use super::super::tree_error::tree_error;
    use super::*;
    use crate::store::BackupKind;

    fn record(key: &str, value: Option<&str>) -> Record {
        (Bytes::copy_from_slice(key.as_bytes()), value.map(|v| Bytes::copy_from_slice(v.as_bytes())))
    }

    /// Up to `limit` records of a range.
    fn range(cold: &LsmCold, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        let records = cold.range(from, to).map(Result::unwrap);
        records.filter_map(|(key, value)| Some((key, value?))).take(limit).collect()
    }

    fn ingest(cold: &LsmCold, seq: u64, records: Vec<Record>) {
        let position = Position { seq, counters: [(Counter(1), -5)].into() };
        cold.ingest(&position, &mut records.into_iter().map(Ok), &mut || Ok(())).unwrap();
    }

    #[test]
    fn with_few_descriptors_few_table_files_are_open() {
        let of = |descriptors| open_files(Some(descriptors));
        assert_eq!([of(64), of(256), of(420), of(1024), of(1 << 20)], [16, 32, 52, 128, 128]);
        assert_eq!(open_files(None), MAX_OPEN_FILES);
    }

    #[test]
    fn later_runs_win_also_after_reopening_and_compaction() {
        let dir = tempfile::tempdir().unwrap();
        let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(cold.position().unwrap(), Position::default());
        ingest(&cold, 10, vec![record("a", Some("1")), record("b", Some("1"))]);
        ingest(&cold, 20, vec![record("a", Some("2")), record("b", None), record("c", Some("3"))]);
        drop(cold);
        let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
        ingest(&cold, 30, vec![record("c", Some("4"))]);
        cold.compact_all().unwrap();
        assert_eq!(cold.get(b"a").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(cold.get(b"b").unwrap(), None);
        assert_eq!(cold.get(b"c").unwrap().as_deref(), Some(&b"4"[..]));
        assert_eq!(cold.position().unwrap().seq, 30);
        assert_eq!(cold.position().unwrap().counters[&Counter(1)], -5);
        let keys: Vec<_> = range(&cold, &[0], &[0xff], usize::MAX).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [&b"a"[..], &b"c"[..]], "the position is no record");
    }

    #[test]
    fn what_a_merge_takes_follows_the_size_of_the_records_and_the_number_of_runs() {
        const LARGE_BYTES: usize = 1 << 20;
        let dir = tempfile::tempdir().unwrap();
        let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
        let small: Vec<_> = (0..1000).map(|n| record(&format!("{n:04}"), Some("value"))).collect();
        ingest(&cold, 1, small);
        assert!(cold.merge_bytes() < LARGE_BYTES / 8, "{}", cold.merge_bytes());
        for seq in 2..6 {
            ingest(&cold, seq, vec![(Bytes::from("k"), Some(Bytes::from(vec![seq as u8; LARGE_BYTES])))]);
        }
        // A block of each, and two for what is written.
        let most = 7 * LARGE_BYTES;
        assert!((5 * LARGE_BYTES..most).contains(&cold.merge_bytes()), "{}", cold.merge_bytes());
        cold.compact_all().unwrap();
        assert!(cold.merge_bytes() < 4 * LARGE_BYTES, "{}", cold.merge_bytes());
    }

    #[test]
    fn reads_do_not_wait_while_the_tree_publishes() {
        let dir = tempfile::tempdir().unwrap();
        let cold = Arc::new(LsmCold::open(dir.path(), 1 << 20).unwrap());
        ingest(&cold, 1, vec![record("a", Some("1"))]);
        let publishing = cold.tree.get_version_history_lock();
        let (tell, told) = mpsc::channel();
        let reader = Arc::clone(&cold);
        let reading = std::thread::spawn(move || {
            let read = (reader.get(b"a").unwrap(), range(&reader, b"a", b"b", 1), reader.runs());
            let _ = tell.send(read);
        });
        let read = told.recv_timeout(Duration::from_secs(20));
        drop(publishing);
        reading.join().unwrap();
        let one = Bytes::from_static(b"1");
        assert_eq!(read.unwrap(), (Some(one.clone()), vec![(Bytes::from_static(b"a"), one)], 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn ranges_hold_of_each_key_the_newest_whatever_lies_in_which_table(
            runs in prop::collection::vec(
                (prop::collection::btree_map(1_u8..40, prop::option::weighted(0.7, any::<u8>()), 1..20), 0..3_u8),
                1..12,
            ),
            (from, to, limit) in (0_u8..42, 0_u8..42, 1_usize..30),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
            let mut model = BTreeMap::new();
            for (seq, (run, then)) in runs.into_iter().enumerate() {
                let records = run.iter().map(|(key, value)| {
                    // Longer than a block, so that tables have several.
                    let value = value.map(|fill| Bytes::from(vec![fill; 1500]));
                    model.insert(Bytes::from(vec![*key]), value.clone());
                    (Bytes::from(vec![*key]), value)
                });
                ingest(&cold, seq as u64 + 1, records.collect());
                match then {
                    0 => drop(cold.compact_step().unwrap()),
                    // Into several tables of one run.
                    1 => cold.write_files(|| Ok(cold.tree.major_compact(4000, cold.seqno.get())?)).unwrap(),
                    _ => {}
                }
            }
            let expected = model.range(Bytes::from(vec![from.min(to)])..Bytes::from(vec![from.max(to)]));
            let expected = expected.filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
            prop_assert_eq!(
                range(&cold, &[from.min(to)], &[from.max(to)], limit),
                expected.take(limit).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn what_was_ingested_is_read_whatever_a_compaction_publishes_meanwhile() {
        const ROUNDS: u64 = 200;
        let dir = tempfile::tempdir().unwrap();
        let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
        std::thread::scope(|scope| {
            let ingesting = scope.spawn(|| {
                for round in 0..ROUNDS {
                    let value = round.to_string();
                    ingest(&cold, round, vec![record("a", Some(&value))]);
                    assert_eq!(cold.get(b"a").unwrap().as_deref(), Some(value.as_bytes()));
                }
            });
            while !ingesting.is_finished() {
                cold.compact_step().unwrap();
            }
        });
    }

    #[test]
    fn files_that_are_pinned_stay_and_make_up_the_tables_of_that_moment() {
        let dir = tempfile::tempdir().unwrap();
        let copy = tempfile::tempdir().unwrap();
        let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
        ingest(&cold, 1, vec![record("a", Some("1"))]);
        ingest(&cold, 2, vec![record("b", Some("1"))]);
        let pinned = cold.pin().unwrap();
        ingest(&cold, 3, vec![record("a", Some("2"))]);
        cold.compact_all().unwrap();
        let names = cold.file_names();
        // The tree itself keeps the lists before the last one for a while.
        for round in 4..8 {
            ingest(&cold, round, vec![record("c", Some("1"))]);
            cold.compact_all().unwrap();
        }
        pinned.copy(dir.path(), copy.path(), BackupKind::Linked).unwrap();
        let pinned_names = pinned.files.iter().map(|file| file.name.replace("tables/", "")).collect();
        assert!(cold.file_names().is_superset(&pinned_names) && names.is_superset(&pinned_names));
        assert_eq!(pinned.files.len(), 2);
        drop(pinned);
        ingest(&cold, 9, vec![record("c", Some("1"))]);
        assert!(cold.file_names().is_disjoint(&pinned_names), "those that nobody needs are gone");
        let copied = LsmCold::open(copy.path(), 1 << 20).unwrap();
        assert_eq!(copied.position().unwrap().seq, 2);
        assert_eq!(copied.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(copied.get(b"b").unwrap().as_deref(), Some(&b"1"[..]));
    }

    #[test]
    fn nothing_of_an_ingestion_is_there_if_it_fails_before_publishing() {
        let dir = tempfile::tempdir().unwrap();
        let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
        let mut records = vec![record("a", Some("1"))].into_iter().map(Ok);
        let refused = cold.ingest(&Position::default(), &mut records, &mut || Err(StoreError::Closed));
        assert!(refused.is_err());
        assert_eq!(cold.get(b"a").unwrap(), None);
        assert!(cold.file_names().is_empty(), "nor of its files");
        drop(cold);
        assert_eq!(LsmCold::open(dir.path(), 1 << 20).unwrap().get(b"a").unwrap(), None);
    }

    #[test]
    fn a_table_file_that_was_cut_anywhere_is_damage_and_not_out_of_reach() {
        // What a seek to before the start of an empty one is answered with.
        let empty = lsm_tree::Error::Io(std::io::ErrorKind::InvalidInput.into());
        assert!(tree_error("a file", empty).is_damage());
        for part in 1..8 {
            let dir = tempfile::tempdir().unwrap();
            let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
            ingest(&cold, 1, (0..3000).map(|n| record(&format!("k{n:05}"), Some("value"))).collect());
            let file = cold.files.join(cold.file_names().into_iter().next().unwrap());
            drop(cold);
            let file = std::fs::File::options().write(true).open(file).unwrap();
            file.set_len(file.metadata().unwrap().len() * part / 8).unwrap();
            let read = LsmCold::open(dir.path(), 1 << 20)
                .and_then(|cold| cold.range(&[1], &[0xff]).collect::<Result<Vec<_>, _>>());
            let error = read.map(|records| records.len()).unwrap_err();
            assert!(error.is_damage(), "{part}: {error}");
        }
    }

    #[test]
    fn overwriting_the_same_records_does_not_grow_the_disk_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
        let mut once = 0;
        for round in 0..40 {
            let value = format!("{round:0>1000}");
            ingest(&cold, round, (0..1000).map(|n| record(&format!("k{n:05}"), Some(&value))).collect());
            while cold.compact_step().unwrap() {}
            if round == 0 {
                once = cold.disk_bytes();
            }
        }
        assert!(cold.runs() < 8, "{} runs", cold.runs());
        assert!(cold.disk_bytes() < 8 * once, "{} bytes, {once} after one round", cold.disk_bytes());
    }
}
