//! The cold store: two LSM trees, one of small records and one of large values, read as one.
//!
//! In the tree of small records a stub stands for a large value (`large`), so what small ones cost does not follow the size of
//! others.
//!
//! Invariants: reads go to the lists of tables that were published last (`read_view`), of both trees at once, and never wait for the
//! next. A run is published with its large values first, and the position with the small ones, last: whatever a crash leaves
//! between is covered by the log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use lsm_tree::{AbstractTree, AnyIngestion, SeqNo};

use super::cold::{Cold, Kept, PinnedTables};
use super::large::{self, LARGE_BYTES, Mark, MayHold};
use super::merge::{Merge, Record};
use super::open_files::OpenFiles;
use super::read_view::CurrentView;
use super::tree::{Filters, LARGE_FOLDER, Means, Tree};
use super::writer::Position;
use crate::store::{Counter, StoreError};

/// Below every record's key: those begin with at least 1.
const POSITION_KEY: &[u8] = &[0];
/// Behind it, and below those too.
const MARK_KEY: &[u8] = &[0, 0];
/// Bits of a filter per small record: one in a hundred that is not there is looked for in vain.
const FILTER_BITS: f32 = 10.0;
/// The same per large value. To look for one in vain costs as much as to read another one, and of these there are few.
const LARGE_FILTER_BITS: f32 = 40.0;
/// What the tree of large values caches: indexes and filters. The values themselves are kept as records, if at all.
const LARGE_CACHE_BYTES: u64 = 1 << 20;

/// The LSM trees in a folder.
pub(crate) struct LsmCold {
    pub(super) small: Tree,
    pub(super) large: Tree,
    pub(super) mark: Mark,
    pub(super) view: CurrentView,
    /// While false, reads need not ask.
    holds_records: AtomicBool,
}

impl LsmCold {
    /// Opens or makes the trees; `cache_bytes` bounds the cache of file blocks.
    pub(crate) fn open(folder: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let files = Arc::new(OpenFiles::new(crate::sys::max_descriptors()));
        let means = |cache_bytes, filters| Means { cache_bytes, filters, open_files: files.table() };
        let small = Tree::open(folder, means(cache_bytes, Filters::OfMany { bits: FILTER_BITS }))?;
        let filters = Filters::OfFew { bits: LARGE_FILTER_BITS };
        let large = Tree::open(&folder.join(LARGE_FOLDER), means(LARGE_CACHE_BYTES, filters))?;
        let mark = match small.tables().get(MARK_KEY, SeqNo::MAX)? {
            None => Mark::random()?,
            Some(bytes) => Mark::decode(&bytes).ok_or_else(|| misshapen("the mark of stubs"))?,
        };
        let holds_records = AtomicBool::new(small.tables().table_count() > 0);
        let view = CurrentView::new(small.tables(), large.tables(), mark, files);
        Ok(Self { small, large, mark, view, holds_records })
    }

    /// Does something that writes table files of one tree and changes nothing of what is in them.
    pub(super) fn rearrange<T>(
        &self,
        write: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let result = write();
        self.view.renew(self.small.tables(), self.large.tables());
        result
    }
}

impl Cold for LsmCold {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if !self.holds_records.load(Ordering::Acquire) {
            return Ok(None);
        }
        self.view.get().get(key)
    }

    fn look(&self, key: &[u8], most_bytes: usize) -> Result<Option<Kept>, StoreError> {
        if !self.holds_records.load(Ordering::Acquire) {
            return Ok(None);
        }
        self.view.get().look(key, most_bytes)
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Merge {
        let from = from.max(&[1]);
        if from >= to || !self.holds_records.load(Ordering::Acquire) {
            return Merge::new(Vec::new());
        }
        self.view.get().range(from, to)
    }

    fn position(&self) -> Result<Position, StoreError> {
        match self.small.tables().get(POSITION_KEY, SeqNo::MAX)? {
            None => Ok(Position::default()),
            Some(bytes) => decode_position(&bytes).ok_or_else(|| misshapen("the position")),
        }
    }

    fn ingest(
        &self,
        position: &Position,
        records: &mut dyn Iterator<Item = Result<Record, StoreError>>,
        before_publish: &mut dyn FnMut() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (small, large) = (&self.small, &self.large);
        small.write_files(|| {
            large.write_files(|| {
                let mut run = Run::begin(self, position)?;
                for record in records {
                    run.write(record?)?;
                }
                before_publish()?;
                self.view.publish(small.tables(), large.tables(), || run.publish())
            })
        })?;
        self.holds_records.store(true, Ordering::Release);
        Ok(())
    }

    fn compact_step(&self) -> Result<bool, StoreError> {
        let small = self.rearrange(|| self.small.compact_step())?;
        let large = self.rearrange(|| self.large.compact_step())?;
        if !small && !large {
            // Those that could not be opened when they were published.
            self.view.open_files(self.small.tables(), self.large.tables())?;
        }
        Ok(small || large)
    }

    fn compact_all(&self) -> Result<(), StoreError> {
        self.rearrange(|| self.small.compact_all())?;
        self.rearrange(|| self.large.compact_all())
    }

    fn runs(&self) -> usize {
        self.view.get().runs()
    }

    fn backlog_bytes(&self) -> u64 {
        self.view.get().backlog_bytes()
    }

    fn disk_bytes(&self) -> u64 {
        self.view.get().disk_bytes()
    }

    fn merge_bytes(&self) -> usize {
        self.view.get().merge_bytes()
    }

    fn files(&self) -> Vec<String> {
        let large = self.large.files().into_iter().map(|name| format!("{LARGE_FOLDER}/{name}"));
        self.small.files().into_iter().chain(large).collect()
    }

    fn pin(&self) -> Result<PinnedTables, StoreError> {
        // In the order in which a run is published backwards: no stub is older than its value.
        let small = self.small.pin()?;
        Ok(small.with(LARGE_FOLDER, self.large.pin()?))
    }
}

/// A run on its way into both trees.
struct Run<'a> {
    cold: &'a LsmCold,
    small: AnyIngestion<'a>,
    /// Once there is something for it: it makes a file at its beginning.
    large: Option<AnyIngestion<'a>>,
    /// Whether the tree of large values may have one for a key.
    may_hold: MayHold,
}

impl<'a> Run<'a> {
    fn begin(cold: &'a LsmCold, position: &Position) -> Result<Self, StoreError> {
        let may_hold = large::may_hold(cold.large.tables(), cold.view.files());
        let mut run = Self { cold, small: cold.small.tables().ingestion()?, large: None, may_hold };
        run.small.write(POSITION_KEY, encode_position(position))?;
        run.small.write(MARK_KEY, cold.mark.encode())?;
        Ok(run)
    }

    fn write(&mut self, (key, value): Record) -> Result<(), StoreError> {
        match value {
            Some(value) if value.len() >= LARGE_BYTES => {
                self.small.write(key.clone(), self.cold.mark.stub(&value))?;
                self.large()?.write(key, value)?;
                return Ok(());
            }
            Some(value) => self.small.write(key.clone(), value)?,
            None => self.small.write_tombstone(key.clone())?,
        }
        if (self.may_hold)(&key)? {
            self.large()?.write_tombstone(key)?;
        }
        Ok(())
    }

    fn large(&mut self) -> Result<&mut AnyIngestion<'a>, StoreError> {
        match &mut self.large {
            Some(large) => Ok(large),
            none => Ok(none.insert(self.cold.large.tables().ingestion()?)),
        }
    }

    /// Large values first: a stub never stands alone.
    fn publish(self) -> Result<(), StoreError> {
        if let Some(large) = self.large {
            large.finish()?;
        }
        Ok(self.small.finish()?)
    }
}

fn misshapen(what: &str) -> StoreError {
    StoreError::Corrupt { place: "table files".to_owned(), what: format!("{what} has the wrong length") }
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
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::tree_error::tree_error;
    use super::*;

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
        // A block of each, and four for what is written.
        let most = 9 * LARGE_BYTES;
        assert!((7 * LARGE_BYTES..most).contains(&cold.merge_bytes()), "{}", cold.merge_bytes());
        cold.compact_all().unwrap();
        assert!(cold.merge_bytes() < 6 * LARGE_BYTES, "{}", cold.merge_bytes());
    }

    #[test]
    fn reads_do_not_wait_while_the_tree_publishes() {
        let dir = tempfile::tempdir().unwrap();
        let cold = Arc::new(LsmCold::open(dir.path(), 1 << 20).unwrap());
        ingest(&cold, 1, vec![record("a", Some("1"))]);
        let publishing = [&cold.small, &cold.large].map(|tree| tree.tables().get_version_history_lock());
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
                    // Longer than a block, so that tables have several; and some large.
                    let length = |fill: u8| if fill.is_multiple_of(8) { LARGE_BYTES } else { 1500 };
                    let value = value.map(|fill| Bytes::from(vec![fill; length(fill)]));
                    model.insert(Bytes::from(vec![*key]), value.clone());
                    (Bytes::from(vec![*key]), value)
                });
                ingest(&cold, seq as u64 + 1, records.collect());
                match then {
                    0 => drop(cold.compact_step().unwrap()),
                    // Into several tables of one run.
                    1 => cold.rearrange(|| cold.small.compact_into(4000)).unwrap(),
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
    fn a_table_file_that_was_cut_anywhere_is_damage_and_not_out_of_reach() {
        // What a seek to before the start of an empty one is answered with.
        let empty = lsm_tree::Error::Io(std::io::ErrorKind::InvalidInput.into());
        assert!(tree_error("a file", empty).is_damage());
        for part in 1..8 {
            let dir = tempfile::tempdir().unwrap();
            let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
            ingest(&cold, 1, (0..3000).map(|n| record(&format!("k{n:05}"), Some("value"))).collect());
            let file =
                dir.path().join("tables").join(cold.small.file_names().unwrap().into_iter().next().unwrap());
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
    fn what_was_deleted_gives_its_room_back_whatever_is_written_then() {
        const RECORDS: u64 = 2_000;
        let dir = tempfile::tempdir().unwrap();
        let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
        let mut once = 0;
        // As FLUSHALL does: other keys each time, and those before are deleted.
        for generation in 0..12_u64 {
            let key = |generation: u64, n| Bytes::from(format!("{generation:03} {n:05}"));
            let value = |n: u64| {
                let words = (0..128).map(|word| (n * 128 + word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                words.flat_map(u64::to_le_bytes).collect::<Bytes>()
            };
            ingest(
                &cold,
                2 * generation + 1,
                (0..RECORDS).map(|n| (key(generation, n), Some(value(n)))).collect(),
            );
            while cold.compact_step().unwrap() {}
            once = once.max(cold.disk_bytes() * u64::from(generation == 0));
            let held = cold.disk_bytes();
            assert!(held <= 3 * once, "{held} bytes in generation {generation}, {once} in the first");
            ingest(&cold, 2 * generation + 2, (0..RECORDS).map(|n| (key(generation, n), None)).collect());
            while cold.compact_step().unwrap() {}
        }
    }

    #[test]
    fn deletions_are_merged_away_once_the_disk_has_room_for_that_and_not_before() {
        const RECORDS: u64 = 2_000;
        let dir = tempfile::tempdir().unwrap();
        let mut cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
        let key = |n: u64| Bytes::from(format!("{n:05}"));
        let value = |n: u64| Bytes::from(n.to_le_bytes().repeat(128));
        ingest(&cold, 1, (0..RECORDS).map(|n| (key(n), Some(value(n)))).collect());
        while cold.compact_step().unwrap() {}
        let full = cold.disk_bytes();
        ingest(&cold, 2, (1..RECORDS).map(|n| (key(n), None)).collect());
        // All that is there would be written once more at most, and it is more than this.
        cold.small.free_bytes = |_| Ok(2 << 20);
        while cold.compact_step().unwrap() {}
        assert!(cold.disk_bytes() >= full, "what there was no room for was merged");
        assert_eq!(range(&cold, &[1], &[0xff], 10), [(key(0), value(0))]);
        // Whether there is room is not known either.
        cold.small.free_bytes = |_| Err(std::io::ErrorKind::Other.into());
        while cold.compact_step().unwrap() {}
        assert!(cold.disk_bytes() >= full);
        cold.small.free_bytes = |_| Ok(64 << 20);
        assert!(cold.compact_step().unwrap());
        assert!(cold.disk_bytes() < full / 100, "{} of {full} bytes are left", cold.disk_bytes());
        assert_eq!(range(&cold, &[1], &[0xff], 10), [(key(0), value(0))]);
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
