//! Which batches have more to be seen than one key, and where keys are.

use std::sync::Arc;

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
