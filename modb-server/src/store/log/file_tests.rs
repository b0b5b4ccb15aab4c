//! Which table files there are: those that are open, that somebody has pinned, and that a writing which failed has left.

use bytes::Bytes;

use super::cold::Cold as _;
use super::large::LARGE_BYTES;
use super::lsm::LsmCold;
use super::merge::Record;
use super::tree::published_files;
use super::writer::Position;
use crate::store::{BackupKind, Counter, StoreError};

fn record(key: &str, value: Option<&str>) -> Record {
    (Bytes::copy_from_slice(key.as_bytes()), value.map(|v| Bytes::copy_from_slice(v.as_bytes())))
}

fn ingest(cold: &LsmCold, seq: u64, records: Vec<Record>) {
    let position = Position { seq, counters: [(Counter(1), -5)].into() };
    cold.ingest(&position, &mut records.into_iter().map(Ok), &mut || Ok(())).unwrap();
}

#[test]
fn whatever_is_published_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let open = |cold: &LsmCold| {
        let (trees, files) = ([&cold.small, &cold.large], cold.view.files().table());
        let published = trees.iter().flat_map(|tree| published_files(tree.tables()));
        published.map(|(id, _)| files.access_for_table(&id).is_some()).collect::<Vec<_>>()
    };
    let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
    for seq in 1..4 {
        let large = (Bytes::from("l"), Some(Bytes::from(vec![seq as u8; LARGE_BYTES])));
        ingest(&cold, seq, vec![record("a", Some("1")), large]);
    }
    assert_eq!(open(&cold), [true; 6]);
    cold.compact_all().unwrap();
    assert_eq!(open(&cold), [true; 2]);
    drop(cold);
    assert_eq!(open(&LsmCold::open(dir.path(), 1 << 20).unwrap()), [true; 2]);
}

#[test]
fn more_files_than_may_be_open_are_read_all_the_same() {
    const RECORDS: u64 = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
    let key = |n: u64| Bytes::from(format!("{n:05}"));
    let value = |n: u64| {
        let words = (0..128).map(|word| (n * 128 + word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        words.flat_map(u64::to_le_bytes).collect::<Bytes>()
    };
    ingest(&cold, 1, (0..RECORDS).map(|n| (key(n), Some(value(n)))).collect());
    cold.rearrange(|| cold.small.compact_into(4000)).unwrap();
    let published = published_files(cold.small.tables());
    let files = cold.view.files();
    let open = || published.iter().filter(|(id, _)| files.table().access_for_table(id).is_some()).count();
    assert!(published.len() > files.most(), "{} files", published.len());
    assert_eq!(open(), files.most());
    for n in (0..RECORDS).map(|n| n * 617 % RECORDS) {
        assert_eq!(cold.get(&key(n)).unwrap(), Some(value(n)));
        assert!(open() <= files.most());
    }
    let all: Vec<_> = (0..RECORDS).map(|n| (key(n), value(n))).collect();
    let read = cold.range(&[1], &[0xff]).map(Result::unwrap);
    assert_eq!(read.filter_map(|(key, value)| Some((key, value?))).collect::<Vec<_>>(), all);
    assert_eq!(open(), files.most());
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
    let names = cold.small.file_names().unwrap();
    // The tree itself keeps the lists before the last one for a while.
    for round in 4..8 {
        ingest(&cold, round, vec![record("c", Some("1"))]);
        cold.compact_all().unwrap();
    }
    pinned.copy(dir.path(), copy.path(), BackupKind::Linked).unwrap();
    let pinned_names = pinned.files.iter().map(|file| file.name.replace("tables/", "")).collect();
    assert!(cold.small.file_names().unwrap().is_superset(&pinned_names) && names.is_superset(&pinned_names));
    assert_eq!(pinned.files.len(), 2);
    drop(pinned);
    ingest(&cold, 9, vec![record("c", Some("1"))]);
    assert!(cold.small.file_names().unwrap().is_disjoint(&pinned_names), "those that nobody needs are gone");
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
    assert!(cold.small.file_names().unwrap().is_empty(), "nor of its files");
    drop(cold);
    assert_eq!(LsmCold::open(dir.path(), 1 << 20).unwrap().get(b"a").unwrap(), None);
}

#[test]
fn what_fails_takes_nothing_away_that_others_have_published_meanwhile_and_somebody_has() {
    let dir = tempfile::tempdir().unwrap();
    let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
    let mut pinned = None;
    let mut records = vec![record("a", Some("1"))].into_iter().map(Ok);
    let failed = cold.ingest(&Position::default(), &mut records, &mut || {
        ingest(&cold, 1, vec![record("b", Some("1"))]);
        pinned = Some(cold.pin().unwrap());
        ingest(&cold, 2, vec![record("b", Some("2"))]);
        cold.compact_all().unwrap();
        Err(StoreError::Closed)
    });
    assert!(failed.is_err());
    let names = cold.small.file_names().unwrap();
    let pinned = pinned.unwrap();
    assert!(pinned.files.iter().all(|file| names.contains(&file.name.replace("tables/", ""))), "{names:?}");
    assert_eq!(names.len(), 3, "what is pinned, what the tree itself still has, and what came of the merge");
}

#[test]
fn what_failed_while_others_wrote_leaves_nothing_once_they_have_ended() {
    let dir = tempfile::tempdir().unwrap();
    let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
    for others_fail in [false, true] {
        let mut records = vec![record("a", Some("1"))].into_iter().map(Ok);
        let _ = cold.ingest(&Position::default(), &mut records, &mut || {
            let mut records = vec![record("b", Some("1"))].into_iter().map(Ok);
            let failed = cold.ingest(&Position::default(), &mut records, &mut || Err(StoreError::Closed));
            assert!(failed.is_err());
            if others_fail { Err(StoreError::Closed) } else { Ok(()) }
        });
        ingest(&cold, 1, vec![record("c", Some("1"))]);
        let listed =
            cold.small.files().into_iter().filter_map(|name| Some(name.strip_prefix("tables/")?.to_owned()));
        assert_eq!(cold.small.file_names().unwrap(), listed.collect(), "{others_fail}");
    }
}
