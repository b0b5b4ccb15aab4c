//! Who tracks keys is told by whoever changes them.

use super::*;
use crate::data::{Tracker, Tracking, Way};
use crate::messages::Scope;

/// One who tracks, and hears nowhere: what is told is counted.
fn tracking(data: &Data) -> Tracking {
    data.track(Tracker::new(1, Arc::default(), Way::default()))
}

/// How many messages there were.
fn posted(data: &Data) -> u64 {
    let (number, _) = data.exchange().listen(1, Scope::Shard, b"x");
    data.exchange().leave(1, Scope::Shard, b"x");
    number
}

/// Whether one who has read `key` of database 0 is told of what `change` does, and what is tracked then.
fn is_told(data: &Data, key: &str, change: impl FnOnce()) -> (u64, usize) {
    let tracking = tracking(data);
    at(data, 1000, |tx| tx.track(key.as_bytes(), tracking.tracker()));
    assert_eq!((data.tracked().keys, data.tracked().items), (1, 1));
    assert!(tracking.tracker().bytes() > 0);
    let before = posted(data);
    change();
    let told = (posted(data) - before, data.tracked().keys);
    drop(tracking);
    data.sweep_trackers();
    assert_eq!((data.interests.count(), data.tracked().keys, data.tracked().items), (0, 0, 0));
    told
}

#[test]
fn whoever_changes_a_key_tells_once_and_whoever_changes_another_does_not() {
    let data = data();
    let told = |key, change: &dyn Fn()| is_told(&data, key, change);
    assert_eq!(told("k", &|| set(&data, 0, "k")), (1, 0));
    assert_eq!(told("k", &|| set(&data, 0, "other")), (0, 1));
    assert_eq!(told("k", &|| set(&data, 1, "k")), (1, 0), "whatever the database, as in Redis");
    assert_eq!(told("k", &|| [0; 3].iter().for_each(|_| set(&data, 0, "k"))), (1, 0));
    assert_eq!(told("k", &|| at(&data, 1000, |tx| assert!(tx.delete(0, b"k").is_ok()))), (1, 0));
    assert_eq!(told("k", &|| at(&data, 1000, |tx| assert!(tx.delete(0, b"k").is_ok()))), (0, 1));
    // By the housekeeper.
    at(&data, 1000, |tx| tx.set(0, b"k", b"1", Some(2000)).unwrap());
    let expire = || assert!(data.remove_expired(2000, 10, &Tally::default()).is_ok());
    assert_eq!(told("k", &expire), (1, 0));
    // Of everything, be there something or not.
    assert_eq!(told("k", &|| at(&data, 1000, |tx| tx.flush_database(3).unwrap())), (1, 0));
    assert_eq!(told("k", &|| at(&data, 1000, |tx| tx.swap_databases(0, 3))), (1, 0));
    // What is dropped, or taken back, tells nobody.
    let dropped = || {
        let (held, tally, mut buf) = (data.hold_sleeping(Need::everything()), Tally::default(), Vec::new());
        Tx::new(&data, &held, &tally, &mut buf, 1000).set(0, b"k", b"1", None).unwrap();
    };
    assert_eq!(told("k", &dropped), (0, 1));
    let taken_back = || {
        at(&data, 1000, |tx| {
            tx.save();
            tx.set(0, b"k", b"1", None).unwrap();
            tx.flush_database(0).unwrap();
            tx.roll_back();
        });
    };
    assert_eq!(told("k", &taken_back), (0, 1));
}

#[test]
fn a_change_of_a_page_alone_is_told() {
    let data = data();
    data.keep_pages_small(true);
    let put = |field: &str| {
        at(&data, 1000, |tx| {
            let mut hash = Hash::open(tx, 0, b"h").unwrap();
            hash.set(tx, field.as_bytes(), b"value").unwrap();
            hash.save(tx, Event::SET).unwrap();
        });
    };
    (0..200).for_each(|n| put(&format!("field{n}")));
    assert_eq!(is_told(&data, "h", || put("field7")), (1, 0));
}

#[test]
fn keys_with_a_prefix_are_told_together() {
    let data = data();
    let mut tracking = tracking(&data);
    tracking.add_prefix(b"a");
    tracking.add_prefix(b"b");
    assert_eq!(data.tracked().prefixes, 2);
    let before = posted(&data);
    at(&data, 1000, |tx| ["a1", "c", "a2"].map(|key| tx.set(0, key.as_bytes(), b"1", None).unwrap()));
    assert_eq!(posted(&data) - before, 1);
    at(&data, 1000, |tx| ["a1", "b"].map(|key| tx.set(0, key.as_bytes(), b"1", None).unwrap()));
    assert_eq!(posted(&data) - before, 3);
    drop(tracking);
    assert_eq!((data.tracked().prefixes, data.tracked().clients), (0, 0));
    set(&data, 0, "a1");
    assert_eq!(posted(&data) - before, 3);
}

#[test]
fn who_is_told_nothing_of_what_he_does_himself_goes_on_tracking_what_his_transaction_has_read() {
    let data = data();
    let way = Way { noloop: true, ..Way::default() };
    let tracking = data.track(Tracker::new(7, Arc::default(), way));
    let before = posted(&data);
    let write = |several: bool, by: u64| {
        at(&data, 1000, |tx| {
            if several {
                tx.save();
            }
            tx.set(0, b"k", b"1", None).unwrap();
            tx.track(b"k", tracking.tracker());
            assert!(tx.tell_trackers(Some(by)).is_empty());
        });
        (posted(&data) - before, data.tracked().keys)
    };
    assert_eq!(write(true, 7), (0, 1), "it has read what it wrote");
    assert_eq!(write(false, 7), (0, 0), "as in Redis");
    assert_eq!(write(true, 8), (1, 0));
}

#[test]
fn there_are_no_more_keys_than_there_may_be() {
    let data = data();
    data.track_at_most(3);
    let tracking = tracking(&data);
    let before = posted(&data);
    for n in 0..20 {
        at(&data, 1000, |tx| tx.track(format!("k{n}").as_bytes(), tracking.tracker()));
        assert_eq!(data.tracked().keys, 3.min(n + 1));
    }
    assert_eq!(posted(&data) - before, 17);
    data.track_at_most(0);
    (20..40).for_each(|n| at(&data, 1000, |tx| tx.track(format!("k{n}").as_bytes(), tracking.tracker())));
    assert_eq!(data.tracked().keys, 23);
}
