//! That commands which choose at random choose evenly, and that walks return what stays exactly once: both in trees that are
//! as uneven as they can be. The seed is fixed, so that each run chooses the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use modb_net::resp::Value;

use crate::command::testing::Bench;
use crate::data::{check, layout};
use crate::store::{Batch, EngineKind, OpenOptions, Store, Write, open};

/// A store with a seed that is always the same.
fn seeded() -> Arc<dyn Store> {
    let store = open(&OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") }).unwrap();
    let put = |fact: &str, value: &[u8]| Write::Put(layout::fact_key(fact), Bytes::copy_from_slice(value));
    let writes = vec![put("format", &layout::FORMAT_VERSION.to_be_bytes()), put("seed", &[7; 16])];
    store.apply(Batch { writes }).unwrap();
    store
}

/// The chi-square that an even choice exceeds once in a million times (Wilson and Hilferty 1931).
fn critical(degrees: f64) -> f64 {
    let spread = 2.0 / (9.0 * degrees);
    degrees * (1.0 - spread + 4.753 * spread.sqrt()).powi(3)
}

fn texts(value: &Value) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match value {
        Value::Bulk(bytes) => vec![text(bytes)],
        Value::Array(items) | Value::Set(items) => items.iter().flat_map(texts).collect(),
        other => panic!("{other:?}"),
    }
}

/// A number and a letter, so that it is no integer; every third takes a leaf nearly for itself.
fn member(n: usize) -> String {
    if n.is_multiple_of(3) { format!("m{n}{}", "x".repeat(40)) } else { format!("m{n}") }
}

/// Members that are put into a tree, and those of them that are left in it.
const PUT: usize = 400;
const LEFT: usize = 90;

/// Makes a large set `s`, hash `h` and sorted set `z`, and takes most of it away again from one end of their hashes.
fn plant(bench: &Bench) {
    let data = &bench.instance.data;
    let mut members: Vec<String> = (0..PUT).map(member).collect();
    members.sort_by_key(|member| data.hash(member.as_bytes()));
    for member in &members {
        bench.text(&format!("SADD s {member}"));
        bench.text(&format!("HSET h {member} v{member}"));
        // In another order.
        bench.text(&format!("ZADD z {} {member}", data.hash(member.as_bytes()).wrapping_mul(0x9e37) >> 20));
    }
    // All of the highest, and every eighth of the others.
    let kept: BTreeSet<&String> = members
        .iter()
        .rev()
        .take(LEFT / 2)
        .chain(members.iter().step_by(PUT / LEFT * 2))
        .take(LEFT)
        .collect();
    for gone in members.iter().filter(|member| !kept.contains(member)) {
        bench.text(&format!("SREM s {gone}"));
        bench.text(&format!("HDEL h {gone}"));
        bench.text(&format!("ZREM z {gone}"));
    }
    assert_eq!(bench.text("SCARD s"), format!(":{}", kept.len()));
}

/// Runs `command` often enough; each member must come as often as any other.
fn assert_even(bench: &Bench, command: &str, after: impl Fn(&[String])) {
    const CHOICES: usize = 4_000;
    let all: BTreeSet<String> = texts(&bench.run("SMEMBERS s")).into_iter().collect();
    let (mut seen, mut times, mut each) = (HashMap::<String, u32>::new(), 0, 0);
    while times * each < CHOICES {
        let chosen = texts(&bench.run(command));
        each = chosen.len();
        times += 1;
        for member in &chosen {
            *seen.entry(member.clone()).or_default() += 1;
        }
        after(&chosen);
    }
    let n = all.len() as f64;
    let is_distinct = !command.contains('-') && each > 1;
    let expected = (times * each) as f64 / n;
    let square: f64 = all
        .iter()
        .map(|member| (f64::from(seen.get(member).copied().unwrap_or(0)) - expected).powi(2) / expected)
        .sum();
    // Of those that are different each time one makes the others rarer.
    let share = each as f64 / n;
    let square = if is_distinct { square / (1.0 - share) * (n - 1.0) / n } else { square };
    assert!(square < critical(n - 1.0), "{command}: chi-square {square} of {n} members");
    assert!(seen.keys().all(|member| all.contains(member)), "{command}");
}

#[test]
fn every_member_and_field_is_chosen_as_often_as_any_other() {
    for small in [true, false] {
        let bench = Bench::on(seeded());
        bench.instance.data.keep_pages_small(small);
        plant(&bench);
        for command in [
            "SRANDMEMBER s",
            "SRANDMEMBER s -7",
            "SRANDMEMBER s 3",
            "SRANDMEMBER s 7",
            "SRANDMEMBER s 60",
            "HRANDFIELD h",
            "HRANDFIELD h -7",
            "HRANDFIELD h 3",
            "HRANDFIELD h 7",
            "HRANDFIELD h 60",
            "ZRANDMEMBER z",
            "ZRANDMEMBER z -7",
            "ZRANDMEMBER z 7",
            "ZRANDMEMBER z 60",
        ] {
            assert_even(&bench, command, |_| ());
        }
        for command in ["SPOP s", "SPOP s 5", "SPOP s 50"] {
            assert_even(&bench, command, |popped| drop(bench.run(&format!("SADD s {}", popped.join(" ")))));
        }
    }
}

#[test]
fn what_stays_comes_exactly_once_however_others_come_and_go() {
    for (name, add, remove, value) in [("SSCAN", "SADD", "SREM", ""), ("HSCAN", "HSET", "HDEL", " v")] {
        let store = seeded();
        let bench = std::cell::RefCell::new(Bench::on(store.clone()));
        let all: Vec<String> = (0..400).map(member).collect();
        let run = |line: &str| bench.borrow().text(line);
        bench.borrow().instance.data.keep_pages_small(true);
        // No longer compact, so that it is walked in steps.
        run(&format!("{add} k {}{value}", "b".repeat(65)));
        for member in all.iter().step_by(2) {
            run(&format!("{add} k {member}{value}"));
        }
        let mut round = 0;
        let (mut between, mut steps) = (1, 0);
        let mut churn = || {
            steps += 1;
            for member in all.iter().skip(1).step_by(2).skip(round % 3).step_by(between) {
                let verb = if round.is_multiple_of(2) { add } else { remove };
                run(&format!("{verb} k {member}{}", if verb == add { value } else { "" }));
            }
            round += 1;
            between = 1 + round % 4;
            if round.is_multiple_of(5) {
                // A cursor outlives the process that gave it.
                let again = Bench::on(store.clone());
                again.instance.data.keep_pages_small(round.is_multiple_of(2));
                bench.replace(again);
            }
        };
        for _ in 0..5 {
            let mut seen = BTreeMap::new();
            let (mut cursor, width) = ("0".to_owned(), if name == "HSCAN" { 2 } else { 1 });
            loop {
                let reply = bench.borrow().run(&format!("{name} k {cursor} COUNT 5"));
                let Value::Array(parts) = reply else { panic!("no walk") };
                for member in texts(&parts[1]).into_iter().step_by(width) {
                    *seen.entry(member).or_insert(0) += 1;
                }
                cursor = texts(&parts[0]).remove(0);
                if cursor == "0" {
                    break;
                }
                churn();
            }
            for member in all.iter().step_by(2) {
                assert_eq!(seen.get(member), Some(&1), "{name}: {member}");
            }
        }
        assert!(steps > 20, "{name} took {steps} steps");
        let report = check(&*store, &mut |_, _| {}).unwrap();
        assert_eq!((report.faults, report.described), (0, Vec::new()));
    }
}
