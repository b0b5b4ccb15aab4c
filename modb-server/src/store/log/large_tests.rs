//! Large values, stubs and the two trees, through the store and below it: what small records and glimpses cost beside them, what is left
//! of them, and runs of which one tree published its part and the other did not.

use std::path::Path;

use bytes::Bytes;

use super::LogStore;
use super::cold::{Cold as _, Kept, MAX_BACKLOG_BYTES};
use super::large::LARGE_BYTES;
use super::lsm::LsmCold;
use super::writer::Position;
use crate::store::{Batch, Glimpse, OpenOptions, Store, Write};

fn put(store: &LogStore, key: &str, value: impl Into<Bytes>) {
    let put = Write::Put(key.into(), value.into());
    store.apply(Batch { writes: vec![put] }).unwrap();
}

fn get(store: &LogStore, key: &str) -> Option<Bytes> {
    store.get(key.as_bytes()).unwrap().value
}

fn large(fill: u8) -> Bytes {
    Bytes::from(vec![fill; LARGE_BYTES])
}

fn ingest(cold: &LsmCold, seq: u64, records: &[(&'static str, Option<Bytes>)]) {
    let position = Position { seq, ..Position::default() };
    let mut records = records.iter().map(|(key, value)| Ok((Bytes::from(*key), value.clone())));
    cold.ingest(&position, &mut records, &mut || Ok(())).unwrap();
}

/// Of the table files that are needed in one of the trees.
fn table_bytes(cold: &LsmCold, folder: &Path, tree: &str) -> u64 {
    let files = cold.files().into_iter().filter(|name| name.starts_with(tree));
    files.map(|name| folder.join(name).metadata().unwrap().len()).sum()
}

const LARGE_TABLES: &str = "large/tables/";
const SMALL_TABLES: &str = "tables/";

#[test]
fn a_large_value_is_read_by_who_takes_so_many_bytes_and_others_see_what_it_begins_with() {
    let dir = tempfile::tempdir().unwrap();
    let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
    ingest(&cold, 1, &[("a", Some("small".into())), ("b", Some(large(2)))]);
    for most_bytes in [0, LARGE_BYTES - 1, LARGE_BYTES, usize::MAX] {
        let look = |key| cold.look(key, most_bytes).unwrap();
        assert!(matches!(look(b"a"), Some(Kept::Whole(value)) if value == "small"), "{most_bytes}");
        match look(b"b").unwrap() {
            Kept::Whole(value) => assert!(value == large(2) && most_bytes >= LARGE_BYTES, "{most_bytes}"),
            Kept::Apart(glimpse) => {
                assert!(glimpse == Glimpse::of(&large(2)) && most_bytes < LARGE_BYTES, "{most_bytes}");
            }
        }
        assert!(look(b"c").is_none());
    }
}

#[test]
fn a_value_from_the_limit_on_lies_among_the_large_ones_and_its_stub_among_the_small() {
    let dir = tempfile::tempdir().unwrap();
    let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
    let below = Bytes::from(vec![1; LARGE_BYTES - 1]);
    ingest(&cold, 1, &[("a", Some(below.clone()))]);
    assert!(cold.large.file_names().unwrap().is_empty(), "nothing is large yet");
    ingest(&cold, 2, &[("b", Some(large(2)))]);
    for reopened in [false, true] {
        let cold = if reopened { &LsmCold::open(dir.path(), 1 << 20).unwrap() } else { &cold };
        assert_eq!((cold.large.file_names().unwrap().len(), cold.small.file_names().unwrap().len()), (1, 2));
        assert!(table_bytes(cold, dir.path(), LARGE_TABLES) > LARGE_BYTES as u64);
        assert!(table_bytes(cold, dir.path(), SMALL_TABLES) < LARGE_BYTES as u64 + 4096);
        assert_eq!((cold.get(b"a").unwrap(), cold.get(b"b").unwrap()), (Some(below.clone()), Some(large(2))));
    }
}

#[test]
fn a_large_value_that_was_overwritten_or_deleted_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
    ingest(&cold, 1, &[("a", Some(large(1))), ("b", Some(large(2))), ("c", Some(large(3)))]);
    let small = Some(Bytes::from("small"));
    ingest(&cold, 2, &[("a", small.clone()), ("b", None), ("c", Some(large(4))), ("d", small.clone())]);
    let read = |key: &str| cold.get(key.as_bytes()).unwrap();
    for compacted in [false, true] {
        if compacted {
            cold.compact_all().unwrap();
        }
        assert_eq!(
            [read("a"), read("b"), read("c"), read("d")],
            [small.clone(), None, Some(large(4)), small.clone()]
        );
    }
    let left = table_bytes(&cold, dir.path(), LARGE_TABLES);
    assert!((LARGE_BYTES as u64..LARGE_BYTES as u64 + 8192).contains(&left), "{left} bytes for one");
    // Nothing is said of keys that never were large.
    let runs = cold.large.file_names().unwrap();
    ingest(&cold, 3, &[("d", None), ("e", small)]);
    assert_eq!(cold.large.file_names().unwrap(), runs);
}

#[test]
fn overwriting_and_deleting_the_same_large_values_does_not_grow_the_disk_for_ever() {
    const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let dir = tempfile::tempdir().unwrap();
    let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
    let once = (KEYS.len() * LARGE_BYTES) as u64;
    for round in 0..60 {
        // Bytes that cannot be compressed; each value is gone in one round of three.
        let value = |key: usize| {
            let bytes = (0..LARGE_BYTES as u64 / 8)
                .flat_map(|n| (n ^ round).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            (!(round + key as u64).is_multiple_of(3)).then(|| bytes.collect::<Bytes>())
        };
        let run: Vec<_> = KEYS.iter().enumerate().map(|(n, key)| (*key, value(n))).collect();
        ingest(&cold, round + 1, &run);
        while cold.compact_step().unwrap() {}
        let held = cold.disk_bytes();
        assert!(held <= 8 * once, "{held} bytes in round {round}, {once} for all");
    }
}

#[test]
fn a_glimpse_of_a_large_value_needs_no_large_value() {
    let dir = tempfile::tempdir().unwrap();
    let value = |fill: u8| Bytes::from([&[fill; 7][..], &vec![fill + 1; LARGE_BYTES]].concat());
    let store = LogStore::open(&OpenOptions::new(dir.path())).unwrap();
    for key in ["a", "b", "c", "d"] {
        put(&store, key, value(key.as_bytes()[0]));
    }
    put(&store, "small", "in the table, and smaller than a glimpse");
    store.compact().unwrap();
    store.close().unwrap();
    drop(store);
    // Whoever reads one of these meets damage.
    for file in std::fs::read_dir(dir.path().join("tables/large/tables")).unwrap() {
        let file = file.unwrap().path();
        let mut bytes = std::fs::read(&file).unwrap();
        let place = bytes.len() / 3;
        bytes[place..place + 4096].fill(0);
        std::fs::write(&file, bytes).unwrap();
    }
    let store = LogStore::open(&OpenOptions::new(dir.path())).unwrap();
    let glimpse = |key: &str| store.glimpse(key.as_bytes()).unwrap().value;
    assert!(["a", "b", "c", "d"].iter().any(|key| store.get(key.as_bytes()).is_err()));
    for key in ["a", "b", "c", "d"] {
        assert_eq!(glimpse(key), Some(Glimpse::of(&value(key.as_bytes()[0]))), "{key}");
    }
    assert_eq!(glimpse("small"), Some(Glimpse::of(b"in the table, and smaller than a glimpse")));
    assert_eq!(glimpse("none"), None);
    // What is dirty in memory lies over it.
    put(&store, "a", value(1));
    store.apply(Batch { writes: vec![Write::Delete("b".into())] }).unwrap();
    assert_eq!((glimpse("a"), glimpse("b")), (Some(Glimpse::of(&value(1))), None));
    let page = store.glimpse_some(&[1], &[0xff], 3, usize::MAX).unwrap();
    let found: Vec<_> = page.records.iter().map(|(key, glimpse)| (&key[..], *glimpse)).collect();
    let expected = [("a", 1), ("c", b'c'), ("d", b'd')].map(|(key, fill)| (key, Glimpse::of(&value(fill))));
    assert_eq!(found, expected.map(|(key, glimpse)| (key.as_bytes(), glimpse)));
    assert_eq!(page.next.as_deref(), Some(&b"small"[..]));
    // To remove them, neither.
    store.sweep(&[1], &[0xff]).unwrap();
    assert!(store.glimpse_some(&[1], &[0xff], 9, usize::MAX).unwrap().records.is_empty());
}

#[test]
fn no_value_is_taken_for_a_stub() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(&OpenOptions::new(dir.path())).unwrap();
    put(&store, "a", large(1));
    store.compact().unwrap();
    store.close().unwrap();
    drop(store);
    // What a client could send who has read the files of another folder.
    let stub = LsmCold::open(&dir.path().join("tables"), 1 << 20).unwrap().mark.stub(&large(1));
    let other = tempfile::tempdir().unwrap();
    let store = LogStore::open(&OpenOptions::new(other.path())).unwrap();
    put(&store, "a", stub.clone());
    put(&store, "b", large(2));
    store.compact().unwrap();
    store.close().unwrap();
    drop(store);
    let store = LogStore::open(&OpenOptions::new(other.path())).unwrap();
    assert_eq!((get(&store, "a"), get(&store, "b")), (Some(stub), Some(large(2))));
}

/// Files as a kill leaves them.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if entry.ends_with("LOCK") {
            // Not everywhere may it be read.
        } else if entry.is_dir() {
            copy(&entry, &target);
        } else {
            std::fs::copy(entry, target).unwrap();
        }
    }
}

#[test]
fn half_a_run_that_was_published_is_seen_by_nobody_and_made_good_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(&OpenOptions::new(dir.path())).unwrap();
    put(&store, "grows", "small");
    put(&store, "shrinks", large(1));
    put(&store, "stays", large(2));
    store.compact().unwrap();
    put(&store, "grows", large(3));
    put(&store, "shrinks", "small");
    store.settle().unwrap();
    store.sync().unwrap();
    // The tree of small records cannot publish: its next list has no place.
    let before = store.engine.cold.range(&[1], &[0xff]).map(Result::unwrap).collect::<Vec<_>>();
    let tables = dir.path().join("tables");
    let current = std::fs::read(tables.join("current")).unwrap();
    let next = u64::from_le_bytes(*current.first_chunk().unwrap()) + 1;
    let lists_in_the_way = [next, next + 1].map(|list| tables.join(format!("v{list}")));
    lists_in_the_way.iter().for_each(|list| std::fs::create_dir(list).unwrap());
    let published = |folder: &Path| std::fs::read(folder.join("large").join("current")).unwrap();
    let published_before = published(&tables);
    store.compact().unwrap_err();
    assert!(published(&tables) != published_before, "the other one has");
    let killed = tempfile::tempdir().unwrap();
    copy(dir.path(), &killed.path().join("data"));
    let is_whole = |store: &LogStore| {
        assert_eq!(get(store, "grows"), Some(large(3)));
        assert_eq!(get(store, "shrinks"), Some(Bytes::from("small")));
        assert_eq!(get(store, "stays"), Some(large(2)));
        store.check().unwrap();
    };
    // Whatever is rearranged meanwhile.
    let _ = store.engine.cold.compact_step();
    let after = store.engine.cold.range(&[1], &[0xff]).map(Result::unwrap).collect::<Vec<_>>();
    assert!(after == before, "who reads the trees sees neither half");
    is_whole(&store);
    lists_in_the_way.iter().for_each(|list| std::fs::remove_dir(list).unwrap());
    store.compact().unwrap();
    is_whole(&store);
    drop(store);
    let killed = killed.path().join("data");
    for list in [next, next + 1] {
        std::fs::remove_dir(killed.join("tables").join(format!("v{list}"))).unwrap();
    }
    let look = OpenOptions { passive: true, ..OpenOptions::new(&killed) };
    is_whole(&LogStore::open(&look).unwrap());
    let store = LogStore::open(&OpenOptions::new(&killed)).unwrap();
    is_whole(&store);
    store.compact().unwrap();
    is_whole(&store);
}

#[test]
fn a_flush_waits_once_the_runs_of_large_values_are_many_bytes_and_no_longer_than_they_are() {
    for value_bytes in [4 * LARGE_BYTES, 8 * LARGE_BYTES] {
        let dir = tempfile::tempdir().unwrap();
        let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
        let (mut seq, mut written) = (0, 0);
        // The same keys in each run: what lives is one run of them.
        while !cold.is_compaction_behind() {
            assert!(written <= MAX_BACKLOG_BYTES, "{written} bytes in runs of {value_bytes}, and no end");
            seq += 1;
            written += 2 * value_bytes as u64;
            let value = || Some(Bytes::from(vec![seq as u8; value_bytes]));
            ingest(&cold, seq, &[("a", value()), ("b", value())]);
        }
        assert!(written + 2 * value_bytes as u64 > MAX_BACKLOG_BYTES, "{written} bytes are not many");
        while cold.compact_step().unwrap() {}
        assert!(!cold.is_compaction_behind());
        assert!(cold.disk_bytes() < 3 * value_bytes as u64, "{} bytes are left", cold.disk_bytes());
    }
}

#[test]
fn what_is_not_due_to_be_merged_holds_no_flush_up_however_large_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
    for seq in 1..4 {
        let value = Bytes::from(vec![1; usize::try_from(MAX_BACKLOG_BYTES).unwrap()]);
        ingest(&cold, seq, &[("a", Some(value))]);
        assert!(!cold.is_compaction_behind(), "nobody would end the wait");
    }
}
