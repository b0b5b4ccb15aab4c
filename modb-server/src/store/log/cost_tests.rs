//! What ranges cost, as the store counts it itself, at two sizes: a check, a walk by pages, and popping from the front.

use bytes::Bytes;

use super::LogStore;
use crate::store::{Batch, OpenOptions, Store, Write};

const FEW: u64 = 500;
const MANY: u64 = 4000;
/// What a range may read besides its records: it looks into each run and the shards that are due, and begins a page.
const BEGINNING: u64 = 64;
/// Looks into all shards of the table.
const SHARD_LOOKS: u64 = 2 * 129;

/// Keys as those of a database: a prefix, then what looks like a hash.
fn key(n: u64) -> Bytes {
    let mut key = vec![0x10, 0, 0, 0, 1];
    key.extend_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Bytes::from(key)
}

fn filled(records: u64) -> (tempfile::TempDir, LogStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(&OpenOptions::new(dir.path())).unwrap();
    let writes = (0..records).map(|n| Write::Put(key(n).into(), Bytes::from_static(b"value"))).collect();
    store.apply(Batch { writes }).unwrap();
    (dir, store)
}

fn reads(store: &LogStore, act: impl FnOnce()) -> u64 {
    let counted = || {
        let stats = store.stats();
        let (_, reads) = stats.iter().find(|(name, _)| *name == "store_range_reads").unwrap();
        reads.parse::<u64>().unwrap()
    };
    let before = counted();
    act();
    counted() - before
}

#[test]
fn a_check_reads_each_record_once() {
    for records in [FEW, MANY] {
        let (_dir, store) = filled(records);
        store.compact().unwrap();
        let reads = reads(&store, || store.check().unwrap());
        assert!((records..=records + SHARD_LOOKS + BEGINNING).contains(&reads), "{reads} for {records}");
    }
}

#[test]
fn a_walk_by_pages_reads_each_record_about_once_and_a_little_for_each_page() {
    const PAGE: usize = 100;
    for (records, compact) in [(FEW, false), (MANY, false), (FEW, true), (MANY, true)] {
        let (_dir, store) = filled(records);
        if compact {
            store.compact().unwrap();
        }
        let mut found = 0;
        let reads = reads(&store, || {
            let mut from = Some(vec![1]);
            while let Some(at) = from {
                let page = store.scan(&at, &[0xff], PAGE).unwrap();
                found += page.records.len() as u64;
                from = page.next;
            }
        });
        assert_eq!(found, records);
        let most = 2 * records + (records / PAGE as u64 + 1) * BEGINNING;
        assert!((records..=most).contains(&reads), "{reads} for {records}");
    }
}

#[test]
fn popping_from_the_front_passes_what_was_popped_and_not_yet_flushed_once_for_each_and_nothing_else() {
    // Each pop passes all that were popped before, so this takes the square of it.
    let (few, many) = (FEW / 2, MANY / 4);
    for (records, compact) in [(few, false), (many, false), (few, true), (many, true)] {
        let (_dir, store) = filled(records);
        if compact {
            store.compact().unwrap();
        }
        let pop = || {
            let page = store.scan(&[1], &[0xff], 1).unwrap();
            let (key, _) = page.records.first().unwrap();
            store.apply(Batch { writes: vec![Write::Delete(key.clone().into())] }).unwrap();
        };
        let popped = records - 100;
        for _ in 0..popped {
            pop();
        }
        // What is in the tree is passed there, too; and the shards of all that.
        let passed = if compact { 2 * popped } else { popped } + SHARD_LOOKS;
        let late = reads(&store, pop);
        assert!((popped..=passed + BEGINNING).contains(&late), "{late} after {popped}");
        store.compact().unwrap();
        let after = reads(&store, pop);
        assert!(after <= BEGINNING + SHARD_LOOKS, "{after} once they are flushed");
    }
}

#[test]
fn who_overwrites_what_was_dropped_from_memory_reads_nothing_of_the_disk() {
    let cold_reads = |store: &LogStore| {
        let stats = store.stats();
        stats.iter().find(|(name, _)| *name == "store_cold_reads").unwrap().1.parse::<u64>().unwrap()
    };
    for (records, cache_mb) in [(20_000, 8), (60_000, 24)] {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions { cache_mb, ..OpenOptions::new(dir.path()) };
        let store = LogStore::open(&options).unwrap();
        let value = Bytes::from(vec![7; 200]);
        let write = |from: u64| {
            let writes = (from..from + 100).map(|n| Write::Put(key(n).into(), value.clone())).collect();
            store.wait_for_room();
            store.apply(Batch { writes }).unwrap();
        };
        (0..records).step_by(100).for_each(write);
        // Each was flushed at least once, and most do not fit.
        store.compact().unwrap();
        let before = cold_reads(&store);
        for n in 0..records {
            let got = store.glimpse_first(&key(n), |first| first == 7).unwrap().value.unwrap();
            assert_eq!((got.begin()[0], got.value_bytes()), (7, 200));
        }
        let reads = cold_reads(&store) - before;
        assert!(reads <= records / 100, "{reads} of {records} were read");
        for n in 0..records {
            assert_eq!(store.glimpse_first(&key(n), |_| false).unwrap().value.unwrap().begin(), [7; 32]);
        }
        let reads = cold_reads(&store) - before;
        assert!(reads > records / 4, "only {reads} of {records} were not in memory");
    }
}
