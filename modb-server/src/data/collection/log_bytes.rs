//! What the log has of a change of one element, in bytes, with what a chunk takes beside its commits: sixteen changes are a turn, as in a
//! pipeline. docs/STORE.md says what they are.

use std::sync::Arc;

use crate::data::{Data, Hash, List, Need, SortedSet, Tally, Tx};
use crate::messages::Event;
use crate::store::{OpenOptions, Store, open};

/// Enough for trees with a level between root and leaves.
const ELEMENTS: u64 = 3_000;
const CHANGES: u64 = 1_600;
const TURN: u64 = 16;

const KEY: &[u8] = b"key";

fn element(n: u64) -> Vec<u8> {
    format!("element:{:08}", n % ELEMENTS).into_bytes()
}

/// All of them, but in no order.
fn mixed(n: u64) -> u64 {
    n * 7_919 % ELEMENTS
}

/// How many bytes of the log a change takes, at the mean, of what has its elements already.
fn bytes_each(fill: impl Fn(&mut Tx<'_>, u64), change: impl Fn(&mut Tx<'_>, u64)) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&OpenOptions::new(folder.path())).unwrap();
    let data = Data::open(Arc::clone(&store), 16, false).unwrap();
    let (held, tally) = (data.hold_sleeping(Need::everything()), Tally::default());
    let written = |work: &dyn Fn(&mut Tx<'_>, u64), count| {
        let before = log_bytes(&*store);
        for n in 0..count {
            let mut buf = Vec::new();
            let mut tx = Tx::new(&data, &held, &tally, &mut buf, 1_000);
            work(&mut tx, n);
            tx.commit().unwrap();
            if n % TURN == TURN - 1 {
                store.settle().unwrap();
            }
        }
        log_bytes(&*store) - before
    };
    written(&fill, ELEMENTS / TURN * TURN);
    written(&change, CHANGES) / CHANGES
}

fn log_bytes(store: &dyn Store) -> u64 {
    let stats = store.stats();
    let (_, bytes) = stats.iter().find(|(name, _)| *name == "store_log_written_bytes").unwrap();
    bytes.parse().unwrap()
}

fn set_score(tx: &mut Tx<'_>, n: u64, score: f64) {
    let mut set = SortedSet::open(tx, 0, KEY).unwrap();
    set.set(tx, &element(n), score).unwrap();
    set.save(tx, Event::SET).unwrap();
}

fn set_field(tx: &mut Tx<'_>, n: u64, value: u64) {
    let mut hash = Hash::open(tx, 0, KEY).unwrap();
    hash.set(tx, &element(n), format!("{value:03}").as_bytes()).unwrap();
    hash.save(tx, Event::SET).unwrap();
}

#[test]
fn a_change_of_one_record_takes_a_few_dozen_bytes_of_the_log() {
    let bytes = bytes_each(|tx, n| set_field(tx, n, n % 7), |tx, n| set_field(tx, mixed(n), 500 + n % 97));
    assert!((46..=56).contains(&bytes), "HSET: {bytes}");
    let push = |tx: &mut Tx<'_>, n| {
        let mut list = List::open(tx, 0, KEY).unwrap();
        list.push(tx, crate::data::tree::End::Right, &element(n)).unwrap();
        list.save(tx, Event::SET).unwrap();
    };
    let bytes = bytes_each(push, push);
    assert!((80..=110).contains(&bytes), "RPUSH, of which every dozenth makes a leaf larger: {bytes}");
}

#[test]
fn a_score_takes_as_many_bytes_of_the_log_as_records_have_to_tell_of_it() {
    let fill = |tx: &mut Tx<'_>, n| set_score(tx, n, n as f64 * 10.0);
    let bytes = bytes_each(fill, |tx, n| set_score(tx, mixed(n), mixed(n) as f64 * 10.0 + 1.0));
    assert!((50..=66).contains(&bytes), "another score in the same leaf, two records: {bytes}");
    let bytes = bytes_each(fill, |tx, n| set_score(tx, mixed(n), mixed(n + 31) as f64 * 10.0 + 5.0));
    assert!((220..=236).contains(&bytes), "another score in another leaf, six records: {bytes}");
    let pop = |tx: &mut Tx<'_>, _| {
        let mut set = SortedSet::open(tx, 0, KEY).unwrap();
        set.remove_ranks(tx, 0, 1, |_, _| {}).unwrap();
        set.save(tx, Event::SET).unwrap();
    };
    let bytes = bytes_each(fill, pop);
    assert!((130..=142).contains(&bytes), "the lowest score, four records: {bytes}");
}
