//! Tests of the interests on an engine in memory.

mod tracking;
mod waiting;

use std::sync::Arc;

use modb_net::{Room, Tell};

use super::*;
use crate::data::{Data, Hash, Need, Tally, Tx, layout};
use crate::messages::{Event, Frame, Inbox, Posted, Scope};
use crate::store::{EngineKind, OpenOptions, open};

fn data() -> Data {
    let options = OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") };
    Data::open(open(&options).unwrap(), 16, false).unwrap()
}

/// One command at a time, which holds everything.
fn at<R>(data: &Data, now_ms: u64, work: impl FnOnce(&mut Tx<'_>) -> R) -> R {
    let (held, tally, mut buf) = (data.hold_sleeping(Need::everything()), Tally::default(), Vec::new());
    let mut tx = Tx::new(data, &held, &tally, &mut buf, now_ms);
    let result = work(&mut tx);
    tx.commit().unwrap();
    result
}

fn set(data: &Data, database: u32, key: &str) {
    at(data, 1000, |tx| tx.set(database, key.as_bytes(), b"1", None).unwrap());
}

/// Whether one who has watched `key` of database 0 is told of what `change` does, which is `false` if he should not be.
fn is_told(data: &Data, key: &str, change: impl FnOnce()) -> bool {
    let told = Arc::new(Told::default());
    let watch = at(data, 1000, |tx| tx.watch(0, key.as_bytes(), &told).unwrap());
    change();
    drop(watch);
    assert_eq!(data.interests.count(), 0);
    told.is_told()
}

#[test]
fn who_watches_a_key_is_told_when_it_is_written_or_removed_and_of_nothing_else() {
    let data = data();
    assert!(is_told(&data, "k", || set(&data, 0, "k")));
    assert!(is_told(&data, "k", || set(&data, 0, "k")));
    assert!(!is_told(&data, "k", || set(&data, 0, "other")));
    assert!(!is_told(&data, "k", || set(&data, 1, "k")), "another database");
    assert!(is_told(&data, "k", || at(&data, 1000, |tx| assert!(tx.delete(0, b"k").unwrap()))));
    assert!(!is_told(&data, "k", || at(&data, 1000, |tx| assert!(!tx.delete(0, b"k").unwrap()))));
}

/// Whoever hears of a flush sweeps what it has left, before anything else is done.
struct Sweeper(std::sync::Weak<Data>);

impl Inbox for Sweeper {
    fn reserve(&self, _: usize, _: &dyn Fn() -> Tell) -> Option<Room> {
        None
    }

    fn post(&self, _: Option<Room>, _: usize, _: Posted) -> bool {
        self.0.upgrade().unwrap().sweep_dropped(&mut || Ok(())).unwrap();
        true
    }
}

#[test]
fn who_watches_is_told_of_a_flush_though_what_it_leaves_is_swept_at_once() {
    let data = Arc::new(data());
    let inbox = data.exchange().open(Arc::new(Sweeper(Arc::downgrade(&data))));
    data.exchange().listen(inbox, Scope::Channel, b"flushed");
    set(&data, 0, "here");
    let flush = || {
        at(&data, 1000, |tx| {
            tx.flush_database(0).unwrap();
            tx.announce(Frame::new(Scope::Channel, b"flushed", b""));
        });
    };
    assert!(is_told(&data, "here", flush));
    let (from, to) = layout::dropped_range();
    assert!(data.store.scan(&from, &to, 1).unwrap().records.is_empty(), "it was swept");
}

#[test]
fn what_is_dropped_without_a_commit_tells_nobody() {
    let data = data();
    assert!(!is_told(&data, "k", || {
        let (held, tally, mut buf) = (data.hold_sleeping(Need::everything()), Tally::default(), Vec::new());
        Tx::new(&data, &held, &tally, &mut buf, 1000).set(0, b"k", b"1", None).unwrap();
    }));
}

#[test]
fn a_change_of_a_page_alone_is_a_change_of_its_key() {
    let data = data();
    data.keep_pages_small(true);
    let put = |field: &str, value: &str| {
        at(&data, 1000, |tx| {
            let mut hash = Hash::open(tx, 0, b"h").unwrap();
            hash.set(tx, field.as_bytes(), value.as_bytes()).unwrap();
            hash.save(tx, Event::SET).unwrap();
            tx.writes().filter_map(crate::store::Write::key).any(|key| layout::is_key_record(key))
        })
    };
    for n in 0..200 {
        put(&format!("field{n}"), "old");
    }
    let mut wrote_record = true;
    assert!(is_told(&data, "h", || wrote_record = put("field7", "new")));
    assert!(!wrote_record, "this was to be a change of a page alone");
    assert!(
        is_told(&data, "h", || wrote_record = put("field7", "new")),
        "it was written, though with what was there"
    );
}

#[test]
fn removing_what_had_expired_before_tells_nobody_and_what_expires_later_is_seen() {
    let data = data();
    let expiring = |at_ms| at(&data, 1000, |tx| tx.set(0, b"k", b"1", Some(at_ms)).unwrap());
    let remove = |now_ms| {
        let _ = data.remove_expired(now_ms, 10, &Tally::default()).unwrap();
    };
    // It expires at 2000, is watched at 3000, and removed by the housekeeper.
    expiring(2000);
    let told = Arc::new(Told::default());
    let watch = at(&data, 3000, |tx| tx.watch(0, b"k", &told).unwrap());
    assert!(!at(&data, 3000, |tx| tx.has_expired_since(&watch).unwrap()));
    remove(3000);
    assert!(!told.is_told());
    set(&data, 0, "k");
    assert!(told.is_told());
    drop(watch);
    // It is watched at 1000, when it is there.
    expiring(2000);
    let told = Arc::new(Told::default());
    let watch = at(&data, 1000, |tx| tx.watch(0, b"k", &told).unwrap());
    assert!(!at(&data, 1000, |tx| tx.has_expired_since(&watch).unwrap()));
    assert!(at(&data, 2000, |tx| tx.has_expired_since(&watch).unwrap()) && !told.is_told());
    remove(2000);
    assert!(told.is_told());
}

#[test]
fn databases_that_are_emptied_or_exchanged_tell_who_watches_what_was_or_is_there() {
    let data = data();
    let flush = |database| at(&data, 1000, |tx| tx.flush_database(database).unwrap());
    let swap = || at(&data, 1000, |tx| tx.swap_databases(0, 1));
    set(&data, 0, "here");
    set(&data, 1, "there");
    assert!(!is_told(&data, "here", || flush(1)));
    assert!(is_told(&data, "here", || flush(0)));
    set(&data, 0, "here");
    set(&data, 1, "there");
    assert!(!is_told(&data, "nowhere", || flush(0)));
    set(&data, 0, "here");
    assert!(!is_told(&data, "nowhere", swap));
    assert!(is_told(&data, "here", swap));
    assert!(is_told(&data, "here", swap), "now it comes back");
    // In one batch: written, and then exchanged.
    let both = || {
        at(&data, 1000, |tx| {
            tx.set(1, b"new", b"1", None).unwrap();
            tx.swap_databases(0, 1);
        });
    };
    assert!(is_told(&data, "new", both));
}

#[test]
fn a_thousand_watches_leave_nothing() {
    let data = data();
    let told = Arc::new(Told::default());
    let watches: Vec<Watch> = (0..1000)
        .map(|n| at(&data, 1000, |tx| tx.watch(n % 3, format!("k{}", n % 7).as_bytes(), &told).unwrap()))
        .collect();
    assert_eq!(data.interests.count(), 1000);
    for (n, watch) in watches.into_iter().enumerate() {
        drop(watch);
        assert_eq!(data.interests.0.count.load(Ordering::Relaxed), 999 - n);
    }
    assert_eq!(data.interests.count(), 0);
}

/// Many threads write one key; each that watches it first and then writes under its stripe, as EXEC does, is told exactly if
/// somebody wrote between.
#[test]
fn no_change_is_missed_between_threads() {
    const THREADS: u64 = 4;
    const WRITES: u64 = 200;
    let data = data();
    let one = |work: &mut dyn FnMut(&mut Tx<'_>)| {
        let (held, tally, mut buf) = (data.hold_sleeping(data.need_one(b"n")), Tally::default(), Vec::new());
        let mut tx = Tx::new(&data, &held, &tally, &mut buf, 1000);
        work(&mut tx);
        tx.commit().unwrap();
    };
    let number = |tx: &mut Tx<'_>| {
        let record = tx.read(0, b"n").unwrap();
        record.map_or(0, |record| String::from_utf8_lossy(record.payload()).parse::<u64>().unwrap())
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut done = 0;
                while done < WRITES {
                    let (told, mut watch, mut read) = (Arc::new(Told::default()), None, 0);
                    one(&mut |tx| {
                        watch = Some(tx.watch(0, b"n", &told).unwrap());
                        read = number(tx);
                    });
                    one(&mut |tx| {
                        assert_eq!(number(tx) != read, told.is_told());
                        if !told.is_told() {
                            tx.set(0, b"n", (read + 1).to_string().as_bytes(), None).unwrap();
                            done += 1;
                        }
                    });
                }
            });
        }
    });
    one(&mut |tx| assert_eq!(number(tx), THREADS * WRITES));
    assert_eq!(data.interests.count(), 0);
}
