//! Which batches have more to be seen than one key, where keys are, and what is held of values.

use std::sync::Arc;

use super::room::{MOST_MOVED_BYTES, MOST_READ_BYTES};
use super::*;
use crate::data::Need;
use crate::store::{EngineKind, OpenOptions, Write, open};

fn data() -> Data {
    let options = OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") };
    Data::open(open(&options).unwrap(), 16, false).unwrap()
}

#[test]
fn the_hash_of_a_commands_key_is_that_of_no_other() {
    let (data, tally, mut key_buf) = (data(), Tally::default(), Vec::new());
    let (own, same, other) = (b"own".to_vec(), b"own".to_vec(), b"other".to_vec());
    let held = data.hold_sleeping(data.need_one(&own));
    assert_eq!(held.hash_of_key(), Some(data.hash(&own)));
    let mut tx = Tx::new(&data, &held, &tally, &mut key_buf, 1000);
    tx.set_hash(&own, data.hash(&own));
    for key in [&own, &same, &other] {
        assert_eq!(tx.entry(0, key).unwrap().place.hash, data.hash(key));
    }
}

#[test]
fn what_has_more_to_be_seen_than_one_key_is_published_as_such() {
    let data = data();
    let (held, tally) = (data.hold_sleeping(Need::everything()), Tally::default());
    let several = |work: &dyn Fn(&mut Tx<'_>)| {
        let mut key_buf = Vec::new();
        let mut tx = Tx::new(&data, &held, &tally, &mut key_buf, 1000);
        work(&mut tx);
        let several = tx.changes_several();
        tx.commit().unwrap();
        several
    };
    assert!(!several(&|tx| tx.set(0, b"a", b"1", None).unwrap()));
    assert!(!several(&|tx| tx.set(0, b"a", b"1", Some(5000)).unwrap()), "its expiry is read by nobody else");
    assert!(several(&|tx| {
        tx.set(0, b"b", b"1", None).unwrap();
        tx.delete(0, b"a").unwrap();
    }));
    assert!(several(&|tx| {
        tx.set(1, b"b", b"1", None).unwrap();
        tx.delete(0, b"b").unwrap();
    }));
    assert!(several(&|tx| tx.swap_databases(0, 1)));
    assert!(several(&|tx| tx.flush_database(0).unwrap()));
}

#[test]
fn nobody_waits_for_room_while_others_wait_for_what_he_holds() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&OpenOptions { cache_mb: 8, ..OpenOptions::new(dir.path()) }).unwrap();
    let data = Data::open(Arc::clone(&store), 16, false).unwrap();
    let (held, tally, mut key_buf) = (data.hold_sleeping(Need::everything()), Tally::default(), Vec::new());
    // Until a flush has been slow enough to be seen from both sides.
    let did_not_wait = (0..3).any(|_| {
        let puts = (0..12_u32).map(|n| Write::Put(n.to_string().into(), vec![7; 1 << 20].into()));
        store.apply_at_once(&mut Batch { writes: puts.collect() }, false).unwrap();
        let is_crowded = store.crowded_until().is_some();
        let mut tx = Tx::new(&data, &held, &tally, &mut key_buf, 1000);
        tx.set(0, b"a", b"1", None).unwrap();
        tx.commit().unwrap();
        is_crowded && store.crowded_until().is_some()
    });
    assert!(did_not_wait);
}

#[test]
fn a_large_value_is_not_read_from_the_disk_before_there_is_room_for_it() {
    const VALUE_BYTES: usize = 2 * MOST_READ_BYTES;
    let dir = tempfile::tempdir().unwrap();
    // Of a value that is larger than a sixteenth of memory nothing is kept there.
    let options = OpenOptions { cache_mb: 8, ..OpenOptions::new(dir.path()) };
    let value = vec![b'v'; VALUE_BYTES];
    let keys = [&b"a"[..], b"b", b"c"];
    let with_tx = |work: &dyn Fn(&Data, &Held<'_>)| {
        let store = open(&options).unwrap();
        let data = Data::open(Arc::clone(&store), 16, false).unwrap();
        let held = data.hold_sleeping(Need::everything());
        work(&data, &held);
        drop(held);
        drop(data);
        store.compact().unwrap();
    };
    let tally = Tally::default();
    with_tx(&|data, held| {
        let mut key_buf = Vec::new();
        let mut tx = Tx::new(data, held, &tally, &mut key_buf, 1000);
        keys.iter().for_each(|key| tx.set(0, key, &value, None).unwrap());
        tx.commit().unwrap();
    });
    with_tx(&|data, held| {
        // How many of the three are read, and what room is lacked for the next.
        let read = |room_bytes, at_once| {
            let mut key_buf = Vec::new();
            let mut tx = Tx::new(data, held, &tally, &mut key_buf, 1000).at_once(at_once).within(room_bytes);
            let read = keys.iter().take_while(|key| tx.get(0, key).is_ok_and(|got| got.is_some())).count();
            let lacked = match tx.missed() {
                Some(Missed::Room(bytes)) => bytes,
                None => 0,
                Some(missed) => panic!("{missed:?}"),
            };
            (read, lacked / VALUE_BYTES)
        };
        assert_eq!(read(0, true), (0, 1), "one who serves others");
        assert_eq!(read(VALUE_BYTES / 2, false), (0, 1));
        let room_bytes = VALUE_BYTES + 1000;
        assert_eq!(read(room_bytes, false), (1, 2));
        assert_eq!(read(2 * room_bytes, false), (2, 4), "twice of what there was");
        assert_eq!(read(4 * room_bytes, false), (3, 0));
        assert_eq!(read(usize::MAX, false), (3, 0), "a program's own");
        // By commands of a transaction of which each answers so many bytes of what it has read.
        let read_in_turn = |answered_bytes| {
            let mut key_buf = Vec::new();
            let mut tx = Tx::new(data, held, &tally, &mut key_buf, 1000).within(room_bytes);
            let mut in_turn = keys.iter().take_while(|key| {
                tx.save();
                let is_read = tx.get(0, key).is_ok_and(|got| got.is_some());
                tx.holds_only(answered_bytes);
                is_read
            });
            in_turn.by_ref().count()
        };
        assert_eq!(read_in_turn(10), 3, "what was read is held no more");
        assert_eq!(read_in_turn(VALUE_BYTES), 1, "it is answered");
    });
}

#[test]
fn what_is_kept_for_a_reply_is_no_more_than_there_is_room_for() {
    let data = data();
    let (held, tally, mut key_buf) = (data.hold_sleeping(Need::everything()), Tally::default(), Vec::new());
    let mut answers = |room_bytes, at_once| {
        let mut tx = Tx::new(&data, &held, &tally, &mut key_buf, 1000).at_once(at_once).within(room_bytes);
        (0..100).take_while(|_| tx.answers(MOST_READ_BYTES).is_ok()).count()
    };
    assert_eq!(answers(0, true), MOST_MOVED_BYTES / MOST_READ_BYTES, "as much as is copied at once");
    assert_eq!(answers(0, false), 1);
    assert_eq!(answers(5 * MOST_READ_BYTES, false), 5);
    assert_eq!(answers(usize::MAX, false), 100);
}
