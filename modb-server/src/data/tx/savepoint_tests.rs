//! Several commands in one `Tx`: each sees what those before it wrote, and one that fails leaves nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::data::{Data, End, Hash, List, Need, Set, SortedSet, Stored as _, Tally, Tx, check, layout};
use crate::messages::Event;
use crate::store::{EngineKind, OpenOptions, Store, open};

/// Members that need so many pages that they are written beside the data.
const MANY: u32 = 4_000;

fn store() -> Arc<dyn Store> {
    open(&OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") }).unwrap()
}

fn open_data(store: &Arc<dyn Store>) -> Data {
    let data = Data::open(store.clone(), 16, false).unwrap();
    data.keep_pages_small(true);
    data
}

fn with_tx<R>(data: &Data, work: impl FnOnce(&mut Tx<'_>) -> R) -> R {
    let (tally, mut buf) = (Tally::default(), Vec::new());
    let held = data.hold_sleeping(Need::everything());
    let mut tx = Tx::new(data, &held, &tally, &mut buf, 1000);
    work(&mut tx)
}

/// What a command may do before it fails.
type Deed = fn(&mut Tx<'_>, u32);

fn many_members(tx: &mut Tx<'_>, key: &[u8], count: u32) {
    let entry = tx.entry(0, key).unwrap();
    let mut set = Set::replacing(tx, entry);
    (0..count).for_each(|n| assert!(set.add(tx, format!("m{n}").as_bytes()).unwrap()));
    set.save(tx, Event::SET).unwrap();
}

const DEEDS: [Deed; 10] = [
    |tx, n| tx.set(0, format!("k{}", n % 7).as_bytes(), n.to_string().as_bytes(), None).unwrap(),
    |tx, n| tx.set(n % 2, b"timed", b"v", Some(5000 + u64::from(n))).unwrap(),
    |tx, n| {
        tx.delete(0, format!("k{}", n % 7).as_bytes()).unwrap();
    },
    |tx, n| {
        let mut hash = Hash::open(tx, 0, b"hash").unwrap();
        hash.set(tx, format!("f{n}").as_bytes(), b"v").unwrap();
        hash.save(tx, Event::SET).unwrap();
    },
    |tx, n| {
        let mut list = List::open(tx, 0, b"list").unwrap();
        (0..n % 40).for_each(|n| list.push(tx, End::Right, n.to_string().as_bytes()).unwrap());
        list.save(tx, Event::SET).unwrap();
    },
    |tx, n| {
        let mut scores = SortedSet::open(tx, 0, b"zset").unwrap();
        scores.set(tx, format!("m{}", n % 50).as_bytes(), f64::from(n)).unwrap();
        scores.save(tx, Event::SET).unwrap();
    },
    |tx, n| {
        let name = [&b"hash"[..], b"list", b"zset", b"large"][n as usize % 4];
        let (from, to) = (tx.entry(0, name).unwrap(), tx.entry(0, b"elsewhere").unwrap());
        tx.rename(&from, &to, [Event::DEL; 2]).unwrap();
    },
    |tx, n| tx.flush_database(n % 3).unwrap(),
    |tx, n| tx.swap_databases(0, n % 2),
    |tx, n| {
        if n % 8 == 0 {
            many_members(tx, b"large", MANY / 4);
        }
    },
];

#[test]
fn what_fails_among_others_leaves_nothing_whatever_it_did() {
    let mut roll = 1_u32;
    let mut next = |below: usize| {
        roll = roll.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (roll >> 8) as usize % below
    };
    // The same deeds with and without those that fail.
    let (with, without) = (store(), store());
    let (data, plain) = (open_data(&with), open_data(&without));
    for _ in 0..60 {
        let deeds: Vec<(Deed, u32, bool)> =
            (0..next(12)).map(|_| (DEEDS[next(DEEDS.len())], next(1000) as u32, next(2) == 0)).collect();
        with_tx(&data, |tx| {
            for (deed, n, fails) in &deeds {
                tx.save();
                deed(tx, *n);
                if *fails {
                    tx.roll_back();
                }
            }
            tx.commit().unwrap();
        });
        with_tx(&plain, |tx| {
            deeds.iter().filter(|(.., fails)| !fails).for_each(|(deed, n, _)| deed(tx, *n));
            tx.commit().unwrap();
        });
        let all = |data: &Data| {
            with_tx(data, |tx| {
                let mut all = BTreeMap::new();
                for database in 0..3 {
                    let size = tx.sizes(database);
                    tx.for_each_key(database, |key, record| {
                        // The form of a tree follows from hashes, whose seed is each store's own.
                        let is_string = record.head.kind == layout::Kind::String;
                        all.insert(
                            (database, key),
                            (record.head, if is_string { record.payload_bytes() } else { 0 }),
                        );
                        true
                    })
                    .unwrap();
                    all.insert((database, Bytes::new()), (layout::Head::STRING, size.0 as usize));
                    all.insert((database, Bytes::from("\0")), (layout::Head::STRING, size.1 as usize));
                }
                all
            })
        };
        assert_eq!(all(&data), all(&plain));
        assert_eq!(check(&*with, &mut |_, _| {}).unwrap().described, [""; 0]);
    }
    data.sweep_dropped(&mut || Ok(())).unwrap();
    data.sweep_ended(&mut || Ok(())).unwrap();
    let (from, to) = layout::graves_range();
    assert!(with.scan(&from, &to, 1).unwrap().records.is_empty());
    assert_eq!(check(&*with, &mut |_, _| {}).unwrap().described, [""; 0]);
}

#[test]
fn what_failed_after_it_was_built_beside_the_data_is_swept() {
    let store = store();
    let data = open_data(&store);
    with_tx(&data, |tx| {
        tx.set(0, b"kept", b"1", None).unwrap();
        tx.save();
        many_members(tx, b"large", MANY);
        tx.roll_back();
        tx.save();
        many_members(tx, b"large too", MANY);
        tx.commit().unwrap();
    });
    assert!(data.sites().were_left());
    data.sweep_ended(&mut || Ok(())).unwrap();
    assert_eq!(check(&*store, &mut |_, _| {}).unwrap().described, [""; 0]);
    let pages = store.scan(&[0x11], &[0x12], usize::MAX >> 1).unwrap().records.len();
    assert!((500..1300).contains(&pages), "those of one set: {pages}");
    with_tx(&data, |tx| {
        assert!(tx.read(0, b"large").unwrap().is_none());
        assert_eq!(tx.get(0, b"kept").unwrap().unwrap(), "1");
        assert_eq!(Set::find(tx, 0, b"large too").unwrap().unwrap().len(), u64::from(MANY));
    });
}

#[test]
fn walks_and_choices_see_what_was_written_before_them() {
    let store = store();
    let data = open_data(&store);
    let names = |range: std::ops::Range<u32>| range.map(|n| Bytes::from(format!("k{n}")));
    with_tx(&data, |tx| {
        names(0..3000).for_each(|key| tx.set(0, &key, b"old", None).unwrap());
        tx.commit().unwrap();
    });
    with_tx(&data, |tx| {
        let mut expected: BTreeMap<Bytes, &[u8]> = names(1000..3000).map(|key| (key, &b"old"[..])).collect();
        names(0..1000).for_each(|key| assert!(tx.delete(0, &key).unwrap()));
        for key in names(2900..3100) {
            tx.set(0, &key, b"new", None).unwrap();
            expected.insert(key, b"new");
        }
        tx.set(0, b"over", b"", Some(2000)).unwrap();
        tx.set_now_ms(2000);
        for count in [1, 10, 500, 10_000] {
            let (mut cursor, mut found) = (0, BTreeMap::new());
            loop {
                let page = tx.scan(0, cursor, count).unwrap();
                for (key, record) in page.keys {
                    let value = Bytes::copy_from_slice(record.payload_begin());
                    assert!(found.insert(key, value).is_none(), "no key comes twice");
                }
                cursor = page.cursor;
                if cursor == 0 {
                    break;
                }
            }
            let found: BTreeMap<Bytes, &[u8]> =
                found.iter().map(|(key, value)| (key.clone(), &value[..])).collect();
            assert_eq!(found.len(), expected.len());
            assert!(found == expected, "{count}");
        }
        let drawn: Vec<Bytes> = (0..1000).map(|_| tx.random_key(0).unwrap().unwrap()).collect();
        assert!(drawn.iter().all(|key| expected.contains_key(key)));
        let new = drawn.iter().filter(|key| expected[*key] == b"new").count();
        assert!((20..300).contains(&new), "some 200 of 2100 are new: {new}");

        for key in names(1000..3100) {
            tx.delete(0, &key).unwrap();
        }
        assert_eq!(tx.random_key(0).unwrap(), None);
        tx.set(0, b"one", b"1", None).unwrap();
        assert!((0..50).all(|_| tx.random_key(0).unwrap().unwrap() == "one"));
        tx.swap_databases(0, 1);
        assert_eq!((tx.random_key(0).unwrap(), tx.size(0)), (None, 0));
        let mut found = Vec::new();
        tx.for_each_key(1, |key, _| {
            found.push(key);
            true
        })
        .unwrap();
        assert_eq!(found, ["one"]);
        tx.flush_database(1).unwrap();
        tx.set(1, b"behind", b"1", None).unwrap();
        assert_eq!((tx.random_key(1).unwrap().unwrap(), tx.size(1)), (Bytes::from("behind"), 1));
    });
}

#[test]
fn elements_are_found_where_those_before_them_went_though_that_is_not_applied_yet() {
    const THERE: u32 = 200;
    let name = |n: u32| format!("m{n}");
    let data = open_data(&store());
    let add = |tx: &mut Tx<'_>, numbers: std::ops::Range<u32>| {
        let mut hash = Hash::open(tx, 0, b"hash").unwrap();
        let mut scores = SortedSet::open(tx, 0, b"zset").unwrap();
        for n in numbers {
            assert!(hash.set(tx, name(n).as_bytes(), b"v").unwrap(), "{n} is new");
            assert_eq!(scores.set(tx, name(n).as_bytes(), f64::from(n)).unwrap(), None);
        }
        hash.save(tx, Event::SET).unwrap();
        scores.save(tx, Event::SET).unwrap();
    };
    with_tx(&data, |tx| {
        add(tx, 0..THERE);
        tx.commit().unwrap();
    });
    with_tx(&data, |tx| {
        // They cut leaves, and nodes above those.
        add(tx, THERE..2 * THERE);
        let mut hash = Hash::open(tx, 0, b"hash").unwrap();
        let mut scores = SortedSet::open(tx, 0, b"zset").unwrap();
        for n in 0..2 * THERE {
            assert!(hash.get(tx, name(n).as_bytes()).unwrap().is_some(), "field {n}");
            assert_eq!(scores.score(tx, name(n).as_bytes()).unwrap(), Some(f64::from(n)), "member {n}");
        }
    });
}
