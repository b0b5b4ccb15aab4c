//! What the handles of collections do, beside the collections of the standard library; and the rules that hold for their calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::super::*;
use crate::store::{Batch, Write};
use crate::{Database, Reply};

/// With pages so small that few elements make trees of several levels.
fn with_small_pages() -> Database {
    let database = Database::in_memory().unwrap();
    let small = |open: &crate::handle::Open| {
        open.instance.data.keep_pages_small(true);
        Ok::<_, Error>(())
    };
    database.shared().run(small).unwrap();
    database
}

fn all<T>(elements: impl Iterator<Item = Result<T, Error>>) -> Vec<T> {
    elements.collect::<Result<_, _>>().unwrap()
}

fn text(number: u16) -> Value {
    format!("element {number}").into()
}

/// From both ends in turns.
fn from_both_ends<T>(mut elements: impl DoubleEndedIterator<Item = Result<T, Error>>) -> Vec<T> {
    let (mut front, mut back) = (Vec::new(), Vec::new());
    while let Some(element) = elements.next() {
        front.push(element.unwrap());
        back.extend(elements.next_back().transpose().unwrap());
    }
    front.extend(back.into_iter().rev());
    front
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_hash_is_a_map_and_a_set_is_a_set(steps in proptest::collection::vec((0u16..200, 0usize..30, 0u8..5, any::<bool>()), 1..400)) {
        let database = with_small_pages();
        let (hash, set) = (database.hash("hash"), database.set_at("set"));
        let (mut map, mut members) = (BTreeMap::<Value, Value>::new(), BTreeSet::<Value>::new());
        for (number, length, what, inside) in steps {
            let (key, value) = (text(number), Value::from("v".repeat(length)));
            let expected = match what {
                0 => map.remove(&key),
                1 => map.get(&key).cloned(),
                _ => map.insert(key.clone(), value.clone()),
            };
            let member = match what {
                0 => members.remove(&key),
                1 => members.contains(&key),
                _ => members.insert(key.clone()),
            };
            fn on_hash<A: Access>(hash: &Hash<A>, what: u8, key: &Value, value: &Value) -> Result<Option<Value>, Error> {
                match what {
                    0 => hash.remove(key),
                    1 => hash.get(key),
                    _ => hash.insert(key, value),
                }
            }
            fn on_set<A: Access>(set: &Set<A>, what: u8, key: &Value) -> Result<bool, Error> {
                match what {
                    0 => set.remove(key),
                    1 => set.contains(key),
                    _ => set.insert(key),
                }
            }
            let found = if inside {
                database.update(&["hash", "set"], |keys| {
                    Ok::<_, Error>((on_hash(&keys.hash("hash")?, what, &key, &value)?, on_set(&keys.set_at("set")?, what, &key)?))
                }).unwrap()
            } else {
                (on_hash(&hash, what, &key, &value).unwrap(), on_set(&set, what, &key).unwrap())
            };
            prop_assert_eq!(found, (expected, member));
        }
        prop_assert_eq!((hash.len().unwrap(), set.len().unwrap()), (map.len() as u64, members.len() as u64));
        let mut fields = all(hash.iter());
        fields.sort();
        let whole: Vec<_> = map.into_iter().collect();
        prop_assert_eq!(&fields, &whole);
        let mut fields = hash.to_vec().unwrap();
        fields.sort();
        prop_assert_eq!(&fields, &whole);
        let names: Vec<_> = whole.iter().map(|(field, _)| field.clone()).chain([text(999)]).collect();
        let values: Vec<_> = whole.iter().map(|(_, value)| Some(value.clone())).chain([None]).collect();
        prop_assert_eq!(hash.get_many(&names).unwrap(), values);
        let mut found = all(set.iter());
        found.sort();
        let whole: Vec<_> = members.into_iter().collect();
        prop_assert_eq!(&found, &whole);
        let mut popped = Vec::new();
        while let Some(member) = set.pop().unwrap() {
            popped.push(member);
        }
        popped.sort();
        prop_assert_eq!(popped, whole);
    }

    #[test]
    fn a_list_is_a_deque(steps in proptest::collection::vec((0u16..200, 0u16..400, 0u8..9, any::<bool>()), 1..300), from in 0u64..50, to in 0u64..80) {
        let database = with_small_pages();
        let (list, mut deque) = (database.list("list"), VecDeque::<Value>::new());
        fn on<A: Access>(list: &List<A>, what: u8, index: u64, element: &Value) -> Result<Option<Value>, Error> {
            Ok(match what {
                0 => list.pop_front()?,
                1 => list.pop_back()?,
                2 => list.remove(index)?,
                3 => { list.insert(index, element)?; None }
                4 => { list.set(index, element)?; None }
                5 => { list.push_front(element)?; None }
                6 => list.get(index)?,
                _ => { list.push_back(element)?; None }
            })
        }
        for (number, index, what, inside) in steps {
            let element = text(number);
            let at = usize::from(index);
            let expected = match what {
                0 => Ok(deque.pop_front()),
                1 => Ok(deque.pop_back()),
                2 => Ok(deque.remove(at)),
                3 if at > deque.len() => Err(()),
                3 => { deque.insert(at, element.clone()); Ok(None) }
                4 if at >= deque.len() => Err(()),
                4 => { deque[at] = element.clone(); Ok(None) }
                5 => { deque.push_front(element.clone()); Ok(None) }
                6 => Ok(deque.get(at).cloned()),
                _ => { deque.push_back(element.clone()); Ok(None) }
            };
            let found = if inside {
                database.update(&["list"], |keys| on(&keys.list("list")?, what, index.into(), &element))
            } else {
                on(&list, what, index.into(), &element)
            };
            prop_assert_eq!(found.map_err(|error| assert!(matches!(error, Error::OutOfRange), "{}", error)), expected);
        }
        let whole = Vec::from(deque.clone());
        prop_assert_eq!(&all(list.iter()), &whole);
        prop_assert_eq!(&list.to_vec().unwrap(), &whole);
        prop_assert_eq!(&from_both_ends(list.iter()), &whole);
        let part: Vec<_> = whole.iter().skip(from as usize).take(to.saturating_sub(from) as usize).cloned().collect();
        prop_assert_eq!(&all(list.range(from..to)), &part);
        prop_assert_eq!(&from_both_ends(list.range(from..to)), &part);
        let first = deque.iter().position(|element| *element == text(7)).map(|index| index as u64);
        prop_assert_eq!(list.position(text(7)).unwrap(), first);
        prop_assert_eq!((list.front().unwrap(), list.back().unwrap()), (deque.front().cloned(), deque.back().cloned()));
        list.keep(from..to).unwrap();
        prop_assert_eq!(list.to_vec().unwrap(), part);
    }

    #[test]
    fn a_sorted_set_is_in_the_order_of_its_scores(
        steps in proptest::collection::vec((0u16..200, 0u8..20, 0u8..6, any::<bool>()), 1..400), from in 0u8..20, to in 0u8..20,
    ) {
        let database = with_small_pages();
        let (set, mut model) = (database.sorted_set("set"), BTreeMap::<Value, f64>::new());
        fn on<A: Access>(set: &SortedSet<A>, what: u8, member: &Value, score: f64) -> Result<Option<f64>, Error> {
            match what {
                0 => set.remove(member),
                1 => set.increment(member, score).map(Some),
                2 => set.score(member),
                _ => set.insert(member, score),
            }
        }
        for (number, score, what, inside) in steps {
            let (member, score) = (text(number), f64::from(score) / 2.0);
            let expected = match what {
                0 => model.remove(&member),
                1 => { let sum = model.entry(member.clone()).or_default(); *sum += score; Some(*sum) }
                2 => model.get(&member).copied(),
                _ => model.insert(member.clone(), score),
            };
            let found = if inside {
                database.update(&["set"], |keys| on(&keys.sorted_set("set")?, what, &member, score))
            } else {
                on(&set, what, &member, score)
            };
            prop_assert_eq!(found.unwrap(), expected);
        }
        let mut whole: Vec<_> = model.into_iter().collect();
        whole.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        prop_assert_eq!(&all(set.iter()), &whole);
        prop_assert_eq!(&set.to_vec().unwrap(), &whole);
        prop_assert_eq!(&from_both_ends(set.iter()), &whole);
        for (rank, (member, score)) in whole.iter().enumerate().step_by(7) {
            prop_assert_eq!(set.rank(member).unwrap(), Some(rank as u64));
            prop_assert_eq!(set.nth(rank as u64).unwrap(), Some((member.clone(), *score)));
        }
        let (from, to) = (f64::from(from), f64::from(to));
        let part = |range: &dyn Fn(f64) -> bool| whole.iter().filter(|(_, score)| range(*score)).cloned().collect::<Vec<_>>();
        prop_assert_eq!(all(set.range(from..to)), part(&|score| score >= from && score < to));
        prop_assert_eq!(from_both_ends(set.range(..=to)), part(&|score| score <= to));
        prop_assert_eq!(set.count(from..).unwrap(), part(&|score| score >= from).len() as u64);
        prop_assert_eq!(set.count(f64::NAN..).unwrap(), 0);
        prop_assert_eq!((set.first().unwrap(), set.last().unwrap()), (whole.first().cloned(), whole.last().cloned()));
        let gone = set.remove_range(from..=to).unwrap();
        prop_assert_eq!(all(set.iter()), part(&|score| score < from || score > to || from > to));
        prop_assert_eq!(gone + set.len().unwrap(), whole.len() as u64);
        let (first, last) = (set.first().unwrap(), set.last().unwrap());
        prop_assert_eq!(&set.pop_first().unwrap(), &first);
        prop_assert_eq!(set.pop_last().unwrap(), last.filter(|last| Some(last) != first.as_ref()));
    }
}

#[test]
fn handles_and_commands_see_the_same_and_every_type_refuses_the_others() {
    let database = Database::in_memory().unwrap();
    database.hash("hash").insert_many([("a", "1"), ("b", "2")]).unwrap();
    database.list("list").extend(["a", "b"]).unwrap();
    database.set_at("set").insert_many(["a", "b", "a"]).unwrap();
    database.sorted_set("sorted").insert_many([("a", 1.5), ("b", f64::INFINITY)]).unwrap();
    let mut client = database.client().unwrap();
    let mut run = |line: &str| client.run(line.split(' ').collect::<Vec<_>>()).unwrap().to_string();
    let lines = [
        "HGETALL hash",
        "LRANGE list 0 -1",
        "SMEMBERS set",
        "ZRANGE sorted 0 -1 WITHSCORES",
        "OBJECT ENCODING set",
    ];
    let replies: Vec<_> = lines.iter().map(|line| run(line)).collect();
    let expected = ["[a, 1, b, 2]", "[a, b]", "[a, b]", "[a, 1.5, b, inf]", "listpack"];
    assert_eq!(replies.len(), expected.len());
    for (reply, expected) in replies.iter().zip(expected) {
        let plain = |text: &str| {
            text.replace(['[', ']', ',', '"'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(plain(reply), plain(expected));
    }
    for key in ["hash", "list", "set", "sorted"] {
        let wrong = |name: &str, outcome: Result<(), Error>| {
            let own = key == name;
            assert!(
                if own { outcome.is_ok() } else { matches!(outcome, Err(Error::WrongType)) },
                "{name} {key}: {outcome:?}"
            );
        };
        wrong("hash", database.hash(key).get("x").map(drop));
        wrong("list", database.list(key).get(0).map(drop));
        wrong("set", database.set_at(key).contains("x").map(drop));
        wrong("sorted", database.sorted_set(key).score("x").map(drop));
        wrong("hash", database.hash(key).insert("x", "").map(drop));
        wrong("list", database.list(key).push_back("x").map(drop));
        wrong("set", database.set_at(key).insert("x").map(drop));
        wrong("sorted", database.sorted_set(key).insert("x", 1.0).map(drop));
        wrong("", database.map(key).insert("x", "").map(drop));
        // One that a closure makes of it leaves what else it does.
        database
            .update(&[key, "count"], |keys| {
                wrong("hash", keys.hash(key)?.insert("x", "1").map(drop));
                wrong("list", keys.list(key)?.push_back("x").map(drop));
                keys.increment("count", 1)
            })
            .unwrap();
    }
    assert_eq!(database.get("count").unwrap(), Some("4".into()));
}

/// Collections that end, and reads of what is not there.
#[test]
fn one_without_elements_is_no_key_and_reading_makes_none() {
    let database = Database::in_memory().unwrap();
    assert_eq!(database.hash("a").get_many(&["x", "y"]).unwrap(), [None, None]);
    assert_eq!(database.list("a").pop_front().unwrap(), None);
    assert_eq!(
        (database.set_at("a").pop().unwrap(), database.sorted_set("a").pop_last().unwrap()),
        (None, None)
    );
    assert!(!database.set_at("a").remove("x").unwrap());
    assert_eq!(database.set_at("a").insert_many::<&str>([]).unwrap(), 0);
    database.list("a").keep(5..).unwrap();
    assert!(database.is_empty().unwrap());
    database.list("a").extend(["x", "y"]).unwrap();
    database.list("a").keep(5..).unwrap();
    assert!(database.is_empty().unwrap());
}

#[test]
fn what_is_too_long_or_no_number_is_refused_before_anything_is_written() {
    let database = Database::in_memory().unwrap();
    // Never touched, so it takes no memory.
    let long = vec![0; MAX_VALUE_BYTES + 1];
    let short: &[u8] = b"short";
    let refused: [Result<(), Error>; 10] = [
        database.hash("a").insert("x", &long).map(drop),
        database.hash("a").insert_many([("x", short), ("y", &long)]).map(drop),
        database.list("a").push_back(&long).map(drop),
        database.list("a").extend([short, &long]).map(drop),
        database.set_at("a").insert(&long).map(drop),
        database.set_at("a").insert_many([short, &long]).map(drop),
        database.sorted_set("a").insert(&long, 1.0).map(drop),
        database.sorted_set("a").insert_many([(short, 1.0), (&long, 1.0)]).map(drop),
        database.map("a").insert(&long, "").map(drop),
        database.update(&["a"], |keys| {
            assert!(keys.hash("a")?.insert_many([("x", short), ("y", &long)]).is_err());
            Err(Error::ValueTooLong)
        }),
    ];
    for (number, outcome) in refused.into_iter().enumerate() {
        assert!(matches!(outcome, Err(Error::ValueTooLong)), "{number}: {outcome:?}");
    }
    let players = database.sorted_set("a");
    assert!(matches!(players.insert("x", f64::NAN), Err(Error::NotANumber)));
    assert!(matches!(players.insert_many([("x", 1.0), ("y", f64::NAN)]), Err(Error::NotANumber)));
    assert!(database.is_empty().unwrap());
    players.insert("x", f64::INFINITY).unwrap();
    assert!(matches!(players.increment("x", f64::NEG_INFINITY), Err(Error::NotANumber)));
    assert_eq!(players.score("x").unwrap(), Some(f64::INFINITY));
}

/// An iterator holds nothing, so that a set may become small under it.
#[test]
fn what_stays_comes_once_though_the_set_becomes_compact_on_the_way() {
    let database = with_small_pages();
    let set = database.set_at("set");
    set.insert_many((0..1000u16).map(text)).unwrap();
    let mut walk = set.iter();
    let mut met: Vec<Value> = walk.by_ref().take(600).map(Result::unwrap).collect();
    let mut client = database.client().unwrap();
    client.run(["SPOP", "set", "950"]).unwrap();
    assert_eq!(client.run(["OBJECT", "ENCODING", "set"]).unwrap(), Reply::Bulk(b"listpack".to_vec()));
    met.extend(walk.map(Result::unwrap));
    let count = met.len();
    met.sort();
    met.dedup();
    assert_eq!(met.len(), count, "nothing comes twice");
    assert!(all(set.iter()).iter().all(|member| met.contains(member)), "what stays comes");
}

/// A page that is missing under a tree fails a call half way. The closure goes on all the same.
#[test]
fn a_closure_in_which_a_call_failed_half_way_writes_nothing() {
    let database = with_small_pages();
    database.list("list").extend((0..500u16).map(text)).unwrap();
    let damage = |open: &crate::handle::Open| {
        let store = open.instance.data.store();
        // All pages of collections: docs/FORMAT.md.
        let pages = store.scan(&[0x11], &[0x12], 10_000).unwrap().records;
        assert!(pages.len() > 100);
        let writes = pages.into_iter().map(|(key, _)| Write::Delete(key.into())).collect();
        store.apply(Batch { writes }).unwrap();
        Ok::<_, Error>(())
    };
    database.shared().run(damage).unwrap();
    let outcome = database.update(&["list", "other"], |keys| {
        keys.set("other", "1")?;
        assert!(keys.list("list")?.remove(250).is_err());
        Ok::<_, Error>(())
    });
    assert!(matches!(&outcome, Err(Error::Other(text)) if text.contains("half way")), "{outcome:?}");
    assert!(!database.exists("other").unwrap());
}

#[test]
fn iterators_obey_the_rules_of_calls_also_between_two_reads() {
    let database = Database::in_memory().unwrap();
    database.hash("hash").insert_many([("a", "1"), ("b", "2")]).unwrap();
    database.list("list").extend(["a", "b"]).unwrap();
    database.set_at("set").insert_many(["a", "b"]).unwrap();
    database.sorted_set("sorted").insert_many([("a", 1.0), ("b", 2.0)]).unwrap();
    let iterators = || -> Vec<Box<dyn Iterator<Item = Result<(), Error>>>> {
        vec![
            Box::new(database.hash("hash").iter().map(|step| step.map(drop))),
            Box::new(database.list("list").iter().map(|step| step.map(drop))),
            Box::new(database.set_at("set").iter().map(|step| step.map(drop))),
            Box::new(database.sorted_set("sorted").iter().map(|step| step.map(drop))),
        ]
    };
    for closed in [false, true] {
        let mut begun = iterators();
        assert!(begun.iter_mut().all(|walk| walk.next().is_some_and(|step| step.is_ok())));
        let mut end = |expected: fn(&Error) -> bool| {
            for walk in &mut begun {
                assert!(matches!(walk.next(), Some(Err(error)) if expected(&error)));
                assert!(walk.next().is_none(), "after an error there is nothing more");
            }
        };
        if closed {
            database.close().unwrap();
            end(|error| matches!(error, Error::Closed));
        } else {
            let inside = |_: &mut Update<'_>| {
                end(|error| matches!(error, Error::InsideUpdate));
                Ok::<_, Error>(())
            };
            database.update(&["other"], inside).unwrap();
        }
    }
}

/// Readers share the stripe of a key; a closure on it keeps them waiting.
#[test]
fn who_reads_several_records_waits_for_who_writes_them() {
    let mut options = crate::Options::in_memory();
    options.patience_with_closures = Duration::from_millis(50);
    let database = options.open().unwrap();
    database.hash("hash").insert("a", "1").unwrap();
    let reader = database.clone();
    database
        .update(&["hash"], |keys| {
            keys.hash("hash")?.insert("a", "2")?;
            let read = std::thread::spawn(move || reader.hash("hash").get("a")).join().unwrap();
            assert!(matches!(read, Err(Error::UpdateTooSlow { .. })), "{read:?}");
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(database.hash("hash").get("a").unwrap(), Some("2".into()));
}
