//! The promises of the trait one by one. [`suite!`] turns each into a test of one engine.

use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::store::{BackupKind, Durability, MAX_STORE_KEY_BYTES, StoreError};
use modb_net::Seq;

/// Far more than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        macro_rules! suite_of_engine {
            () => {$(
                #[test]
                fn $name() {
                    $crate::store::tests::conformance::$name(KIND);
                }
            )*};
        }
        pub(super) use suite_of_engine as suite;
    };
}

suite! {
    a_batch_is_visible_at_once_and_its_last_write_of_a_key_wins,
    commits_are_numbered_upwards,
    scans_page_in_order_between_their_bounds,
    counters_survive_reopening,
    records_and_deletions_survive_reopening,
    impossible_keys_are_refused_and_harm_nothing,
    a_large_value_is_kept,
    a_sweep_removes_its_range_only,
    a_folder_opens_once,
    another_engine_is_refused,
    a_closed_store_says_so,
    always_releases_a_commit_after_its_sync,
    always_names_the_commit_a_read_waits_for,
    sync_makes_everything_durable_in_any_mode,
    parallel_commits_count_exactly,
    a_backup_is_a_store_of_its_own,
    a_backup_under_load_is_consistent,
    check_and_compact_leave_the_records_alone,
    too_little_free_space_refuses_writes_only,
    behaves_as_the_model_through_reopening,
}

pub(super) fn a_batch_is_visible_at_once_and_its_last_write_of_a_key_wins(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), engine);
    store
        .apply(batch([put("a", "1"), put("b", "1"), put("a", "2"), delete("b"), add(1, 2), add(1, 3)]))
        .unwrap();
    assert_eq!(value(&*store, "a").as_deref(), Some("2"));
    assert_eq!(value(&*store, "b"), None);
    assert_eq!(store.counter(Counter(1)), 5);
    store.apply(batch([delete("a"), put("a", "3"), delete("never there")])).unwrap();
    assert_eq!(value(&*store, "a").as_deref(), Some("3"));
}

pub(super) fn commits_are_numbered_upwards(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let mut last = Seq::ZERO;
    for _ in 0..2 {
        let store = open_in(dir.path(), engine);
        if engine != EngineKind::Log {
            // The others number anew after each start.
            last = Seq::ZERO;
        }
        for n in 0..10 {
            let seq = store.apply(batch([put("a", &n.to_string())])).unwrap();
            assert!(seq > last);
            last = seq;
            assert!(store.settle().unwrap() >= last, "written at the end of the turn");
        }
    }
}

pub(super) fn scans_page_in_order_between_their_bounds(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), engine);
    for n in (0..100).rev() {
        store.apply(batch([put(&format!("k{n:03}"), &n.to_string())])).unwrap();
    }
    store.apply(batch([delete("k050"), put("l", "after"), put("j", "before")])).unwrap();
    for limit in [1, 7, 1000] {
        let records = all(&*store, limit);
        assert_eq!(records.len(), 101);
        assert!(records.windows(2).all(|w| w[0].0 < w[1].0));
    }
    let page = store.scan(b"k010", b"k020", 100).unwrap();
    assert_eq!(page.records.len(), 10);
    assert_eq!(page.records[0].0, &b"k010"[..]);
    assert_eq!(page.next, None);
    let page = store.scan(b"k049", b"k060", 2).unwrap();
    let keys: Vec<_> = page.records.iter().map(|(k, _)| k.clone()).collect();
    assert_eq!(keys, [&b"k049"[..], &b"k051"[..]]);
    assert!(store.scan(b"x", b"a", 10).unwrap().records.is_empty());
    assert!(store.scan(b"k010", b"k010", 10).unwrap().records.is_empty());
}

pub(super) fn counters_survive_reopening(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let store = open_in(dir.path(), engine);
        assert_eq!(store.counter(Counter(7)), round * 10);
        assert_eq!(store.counter(Counter(8)), -round);
        store.apply(batch([add(7, 11), add(8, -1)])).unwrap();
        store.apply(batch([add(7, -1)])).unwrap();
    }
}

pub(super) fn records_and_deletions_survive_reopening(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), engine);
    store.apply(batch([put("a", "1"), put("b", "2")])).unwrap();
    store.apply(batch([delete("a"), put("empty", "")])).unwrap();
    store.close().unwrap();
    drop(store);
    let store = open_in(dir.path(), engine);
    assert_eq!(value(&*store, "a"), None);
    assert_eq!(value(&*store, "b").as_deref(), Some("2"));
    assert_eq!(value(&*store, "empty").as_deref(), Some(""));
    store.apply(batch([delete("b")])).unwrap();
    drop(store);
    assert_eq!(all(&*open_in(dir.path(), engine), 10).len(), 1);
}

pub(super) fn impossible_keys_are_refused_and_harm_nothing(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), engine);
    let longest = "k".repeat(MAX_STORE_KEY_BYTES);
    let too_long = "k".repeat(MAX_STORE_KEY_BYTES + 1);
    for bad in [too_long.as_str(), ""] {
        let refused = store.apply(batch([put("first", "1"), put(bad, "1")]));
        assert!(matches!(refused, Err(StoreError::ImpossibleKey(n)) if n == bad.len()));
        assert_eq!(value(&*store, "first"), None, "nothing of a refused batch happens");
        assert_eq!(store.get(bad.as_bytes()).unwrap().value, None);
    }
    store.apply(batch([put(&longest, "1")])).unwrap();
    drop(store);
    assert_eq!(value(&*open_in(dir.path(), engine), &longest).as_deref(), Some("1"));
}

pub(super) fn a_large_value_is_kept(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let large = "0123456789abcdef".repeat(2 << 20);
    let store = open_in(dir.path(), engine);
    store.apply(batch([put("large", &large), put("small", "s")])).unwrap();
    assert!(value(&*store, "large").as_ref() == Some(&large));
    drop(store);
    let store = open_in(dir.path(), engine);
    assert!(value(&*store, "large").as_ref() == Some(&large));
    assert_eq!(value(&*store, "small").as_deref(), Some("s"));
}

pub(super) fn a_sweep_removes_its_range_only(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), engine);
    for n in 0..1500 {
        store.apply(batch([put(&format!("k{n:04}"), "v")])).unwrap();
    }
    store.sweep(b"k0100", b"k1400").unwrap();
    assert_eq!(all(&*store, 64).len(), 200);
    store.sweep(b"x", b"a").unwrap();
    drop(store);
    let store = open_in(dir.path(), engine);
    assert_eq!(all(&*store, 64).len(), 200);
    assert_eq!(value(&*store, "k0099").as_deref(), Some("v"));
    assert_eq!(value(&*store, "k0100"), None);
    assert_eq!(value(&*store, "k1400").as_deref(), Some("v"));
}

pub(super) fn a_folder_opens_once(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), engine);
    assert!(matches!(open(&options(dir.path(), engine)), Err(StoreError::Locked { .. })));
    drop(store);
    drop(open_in(dir.path(), engine));
}

pub(super) fn another_engine_is_refused(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    drop(open_in(dir.path(), engine));
    std::fs::write(dir.path().join("FORMAT"), "modb 1 other\n").unwrap();
    assert!(matches!(open(&options(dir.path(), engine)), Err(StoreError::Format { .. })));
}

pub(super) fn a_closed_store_says_so(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), engine);
    store.apply(batch([put("a", "1")])).unwrap();
    store.close().unwrap();
    store.close().unwrap();
    assert!(matches!(store.get(b"a"), Err(StoreError::Closed)));
    assert!(matches!(store.apply(batch([put("a", "2")])), Err(StoreError::Closed)));
    assert!(matches!(store.scan(b"a", b"b", 1), Err(StoreError::Closed)));
}

pub(super) fn always_releases_a_commit_after_its_sync(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { durability: Durability::Always, ..options(dir.path(), engine) };
    let store = open(&options).unwrap();
    let (send, calls) = mpsc::channel();
    store.on_settled(Arc::new(move || {
        let _ = send.send(());
    }));
    for n in 0..20 {
        let seq = store.apply(batch([put("a", &n.to_string())])).unwrap();
        assert!(store.settled() < seq, "not before the turn's end");
        let mut settled = store.settle().unwrap();
        while settled < seq {
            calls.recv_timeout(PATIENCE).expect("the hook is called");
            settled = store.settled();
        }
    }
}

pub(super) fn always_names_the_commit_a_read_waits_for(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { durability: Durability::Always, ..options(dir.path(), engine) };
    let store = open(&options).unwrap();
    let seq = store.apply(batch([put("a", "1")])).unwrap();
    assert_eq!(store.get(b"a").unwrap().seq, seq);
    store.sync().unwrap();
    assert!(store.settled() >= seq);
    let seq = store.apply(batch([delete("a")])).unwrap();
    let got = store.get(b"a").unwrap();
    assert_eq!((got.value, got.seq), (None, seq), "a deletion is a write too");
    store.sync().unwrap();
    assert!(store.get(b"a").unwrap().seq <= store.settled());
}

pub(super) fn sync_makes_everything_durable_in_any_mode(engine: EngineKind) {
    for durability in [Durability::Always, Durability::EverySecond, Durability::Os] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&OpenOptions { durability, ..options(dir.path(), engine) }).unwrap();
        store.sync().unwrap();
        let seq = store.apply(batch([put("a", "1")])).unwrap();
        store.sync().unwrap();
        assert!(store.settled() >= seq);
    }
}

pub(super) fn parallel_commits_count_exactly(engine: EngineKind) {
    const THREADS: i64 = 4;
    const COMMITS: i64 = 500;
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), engine);
    std::thread::scope(|scope| {
        for t in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for n in 0..COMMITS {
                    store.apply(batch([put(&format!("{t}-{n}"), "v"), add(0, 1)])).unwrap();
                    if n % 16 == 0 {
                        store.settle().unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(store.counter(Counter(0)), THREADS * COMMITS);
    drop(store);
    let store = open_in(dir.path(), engine);
    assert_eq!(store.counter(Counter(0)), THREADS * COMMITS);
    assert_eq!(all(&*store, 100).len() as i64, THREADS * COMMITS);
}

pub(super) fn a_backup_is_a_store_of_its_own(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), engine);
    for n in 0..2000 {
        store.apply(batch([put(&format!("k{n}"), &n.to_string()), add(3, 1)])).unwrap();
    }
    store.apply(batch([delete("k7")])).unwrap();
    store.backup(copy.path(), BackupKind::Linked).unwrap();
    store.apply(batch([put("later", "x"), add(3, 1)])).unwrap();
    assert!(store.backup(copy.path(), BackupKind::Full).is_err(), "a folder in use is not overwritten");
    let before = all(&*store, 100);
    drop(store);
    let copied = open_in(copy.path(), engine);
    assert_eq!(copied.counter(Counter(3)), 2000);
    let after = all(&*copied, 100);
    assert_eq!(after.len() + 1, before.len());
    assert!(after.iter().all(|record| before.contains(record)));
    copied.apply(batch([put("own", "life")])).unwrap();
}

pub(super) fn a_backup_under_load_is_consistent(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), engine);
    store.apply(batch([put("left", "0"), put("right", "0")])).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1.. {
                let v = n.to_string();
                store
                    .apply(batch([put("left", &v), put("right", &v), put(&format!("k{n}"), &v), add(0, 1)]))
                    .unwrap();
                store.settle().unwrap();
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        store.backup(copy.path(), BackupKind::Full).unwrap();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let copied = open_in(copy.path(), engine);
    let left = value(&*copied, "left").unwrap();
    assert_eq!(Some(&left), value(&*copied, "right").as_ref(), "both halves of a batch");
    assert_eq!(copied.counter(Counter(0)).to_string(), left);
    assert_eq!((all(&*copied, 100).len() - 2).to_string(), left, "all commits up to one, and none after");
}

pub(super) fn check_and_compact_leave_the_records_alone(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), engine);
    for n in 0..3000 {
        store.apply(batch([put(&format!("k{}", n % 1000), &n.to_string())])).unwrap();
    }
    let before = all(&*store, 100);
    store.check().unwrap();
    store.compact().unwrap();
    assert_eq!(all(&*store, 100), before);
    store.check().unwrap();
}

pub(super) fn too_little_free_space_refuses_writes_only(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path(), engine);
    store.apply(batch([put("a", "1")])).unwrap();
    drop(store);
    let full = OpenOptions { min_free_bytes: u64::MAX, ..options(dir.path(), engine) };
    let store = open(&full).unwrap();
    assert!(matches!(store.apply(batch([put("a", "2")])), Err(StoreError::ReadOnly(_))));
    assert!(store.read_only_reason().unwrap().contains("disk"));
    assert_eq!(value(&*store, "a").as_deref(), Some("1"));
    store.settle().unwrap();
    store.apply_freeing(batch([delete("a")])).unwrap();
    assert_eq!(value(&*store, "a"), None, "what makes room is taken");
    store.apply_freeing(batch([])).unwrap();
    store.sweep(&[1], &[0xff]).unwrap();
}

pub(super) fn behaves_as_the_model_through_reopening(engine: EngineKind) {
    model::run(engine);
}
