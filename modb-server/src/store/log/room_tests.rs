//! Who waits until memory and log have room: those who may sleep, those who serve, and those who build beside the data.

use bytes::Bytes;

use super::pressure::Filled;
use super::*;
use crate::store::Write;

#[test]
fn who_may_not_sleep_is_told_when_to_ask_again_and_who_may_sleeps_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(&OpenOptions { cache_mb: 8, ..OpenOptions::new(dir.path()) }).unwrap();
    let batch = |n: u32| {
        let key = Bytes::from(format!("key {n}"));
        Batch { writes: vec![Write::Put(key.into(), Bytes::from(vec![7; 64 << 10]))] }
    };
    thread::scope(|scope| {
        let stopped = store.engine.stop_flushes();
        let mut applied = 0;
        while store.crowded_until().is_none() {
            store.apply_at_once(&mut batch(applied), false).unwrap();
            applied += 1;
            assert!(applied < 1000, "there is a bound");
        }
        assert!(store.crowded_until().is_some_and(|at| at > Instant::now()), "nobody has made room");
        // A turn's end does not wait either, nor does what asked before others took the room.
        store.settle().unwrap();
        store.apply_at_once(&mut batch(applied), false).unwrap();
        let (store, batch) = (&store, &batch);
        let sleeps = scope.spawn(move || store.apply(batch(0)).unwrap());
        while store.engine.pressure.waiters() == 0 {
            thread::yield_now();
        }
        assert!(!sleeps.is_finished());
        drop(stopped);
        sleeps.join().unwrap();
    });
    store.wait_for_room();
    assert_eq!(store.crowded_until(), None);
}

#[test]
fn who_serves_does_not_wait_for_what_is_built_beside_though_memory_fills_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(&OpenOptions { cache_mb: 8, ..OpenOptions::new(dir.path()) }).unwrap();
    let pressure = &store.engine.pressure;
    let stopped = store.engine.stop_flushes();
    // So slow a flusher that what is owed is owed for long.
    (0..8).for_each(|_| pressure.note_flush(store.engine.filled(), Duration::from_secs(10)));
    let mut batches_above = 0;
    for batch in 0.. {
        let put = |n: u32| Write::Put(format!("{batch} {n}").into(), Bytes::from(vec![7; 1_000]));
        let before = store.engine.filled();
        store.apply_beside(Batch { writes: (0..128).map(put).collect() }).unwrap();
        store.settle().unwrap();
        let filled = store.engine.filled();
        let grown = filled.dirty_bytes - before.dirty_bytes;
        if pressure.is_at_bound(Filled { dirty_bytes: filled.dirty_bytes + grown, ..filled }) {
            break;
        }
        batches_above += u32::from(pressure.is_high(filled));
        assert_eq!(store.crowded_until(), None, "nobody else has written");
    }
    assert!(batches_above > 3, "{batches_above}");
    drop(stopped);
}

#[test]
fn a_turn_neither_writes_much_nor_waits_for_who_does_and_is_told_when_it_is_written() {
    const LARGE_BYTES: usize = 9 << 20;
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(&OpenOptions::new(dir.path())).unwrap();
    let (say, told) = std::sync::mpsc::channel();
    store.on_settled(Arc::new(move || _ = say.send(())));
    let put = |bytes| {
        let put = Write::Put(b"key".into(), Bytes::from(vec![7; bytes]));
        store.apply(Batch { writes: vec![put] }).unwrap()
    };
    let (settled, turns) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        // Somebody writes, and the disk takes its time.
        let writing = store.engine.log.stop_writes();
        let (large, small) = (put(LARGE_BYTES), put(1));
        let store = &store;
        scope.spawn(move || settled.send(store.settle().unwrap()).unwrap());
        let turn = turns.recv_timeout(Duration::from_secs(20));
        assert_eq!(store.crowded_until(), None, "there may be more");
        put(LARGE_BYTES);
        assert!(store.crowded_until().is_some(), "but not without end");
        drop(writing);
        assert!(turn.expect("the turn ends") < large);
        while store.settled() < small {
            told.recv_timeout(Duration::from_secs(20)).expect("somebody is told");
        }
    });
    while store.crowded_until().is_some() {
        thread::yield_now();
    }
}

#[test]
fn who_sweeps_rests_until_what_he_has_swept_is_flushed_and_not_where_nothing_can_be() {
    const BATCH: u32 = 256;
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(&OpenOptions { cache_mb: 64, ..OpenOptions::new(dir.path()) }).unwrap();
    let sweep = |batch: u32| {
        let delete = |n: u32| Write::Delete(format!("page {batch} {n}").into());
        store.apply_freeing(Batch { writes: (0..BATCH).map(delete).collect() }).unwrap();
        store.settle().unwrap();
    };
    let (mut most, mut rests) = (0, 0);
    for batch in 0..200 {
        sweep(batch);
        most = most.max(store.engine.table.dirty_bytes());
        while store.rest_from_sweeping() {
            rests += 1;
        }
    }
    // Each takes some 300 bytes until it is flushed; all of them would be 15 MiB, which is no reason to flush.
    assert!(rests > 0 && most < 2 << 20, "{most} bytes at once, {rests} rests");
    let stopped = store.engine.stop_flushes();
    (200..220).for_each(sweep);
    assert!(store.rest_from_sweeping(), "the flush is on its way");
    store.background.stop();
    assert!(!store.rest_from_sweeping(), "there will be none");
    drop(stopped);
}
