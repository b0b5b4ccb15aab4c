//! Random programs on a tree and on its model, with pages so small that every few entries make a level.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::super::cursor::leaf_has;
use super::super::order::Slot;
use super::super::page::{Child, Node, Shape, child_in, inner_page};
use super::super::*;
use super::{Planted, SMALL, USUAL, relocate};
use crate::data::hash::Seed;

/// What is done, as numbers that the model makes sense of.
#[derive(Clone, Debug)]
enum Step {
    Insert(u16, Vec<u8>),
    Remove(u16, u8),
    Replace(u16, Vec<u8>),
    First(Vec<u8>),
    Last(Vec<u8>),
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => proptest::collection::vec(any::<u8>(), 40..200),
    ]
}

fn program() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (any::<u16>(), bytes()).prop_map(|(at, entry)| Step::Insert(at, entry)),
        3 => (any::<u16>(), 1u8..6).prop_map(|(at, count)| Step::Remove(at, count)),
        2 => (any::<u16>(), bytes()).prop_map(|(at, entry)| Step::Replace(at, entry)),
        1 => bytes().prop_map(Step::First),
        1 => bytes().prop_map(Step::Last),
    ];
    // Some grow, some shrink in the end.
    (proptest::collection::vec(step, 1..300), any::<bool>()).prop_map(|(mut steps, shrink)| {
        if shrink {
            let removals: Vec<Step> =
                (0..steps.len() as u16).map(|at| Step::Remove(at.wrapping_mul(7919), 3)).collect();
            steps.extend(removals);
        }
        steps
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_list_is_a_vec(program in program(), small: bool) {
        let mut list = Planted::new(Listed, if small { SMALL } else { USUAL });
        let mut model: Vec<Vec<u8>> = Vec::new();
        for step in program {
            let len = model.len();
            let at = |number: u16| usize::from(number) % (len + 1);
            match step {
                Step::Insert(number, entry) => {
                    insert_at(&mut list, at(number), &entry);
                    model.insert(at(number), entry);
                }
                Step::First(entry) => {
                    insert_at(&mut list, 0, &entry);
                    model.insert(0, entry);
                }
                Step::Last(entry) => {
                    list.with(|tree, ground| {
                        let end = tree.end(ground)?;
                        tree.splice(ground, end, 0, &[&entry])
                    });
                    model.push(entry);
                }
                Step::Remove(number, count) => {
                    let from = at(number);
                    let to = (from + usize::from(count)).min(len);
                    remove_range(&mut list, from, to);
                    model.drain(from..to);
                }
                Step::Replace(number, entry) if len > 0 => {
                    let at = usize::from(number) % len;
                    list.with(|tree, ground| {
                        let mut cursor = tree.nth(ground, at as u64)?;
                        assert_eq!(cursor.rank(), at as u64);
                        assert_eq!(cursor.entry(), Some(&model[at][..]));
                        tree.settle(ground, &mut cursor)?;
                        tree.splice(ground, cursor, 1, &[&entry])
                    });
                    model[at] = entry;
                }
                Step::Replace(..) => {}
            }
            prop_assert_eq!(list.tree.len, model.len() as u64);
        }
        list.verify();
        prop_assert_eq!(&list.entries(), &model);
        model.reverse();
        prop_assert_eq!(&list.entries_backwards(), &model);
    }

    #[test]
    fn a_map_is_a_btree_map(program in program(), small: bool, long_prefix: bool) {
        // Long keys with a long beginning in common, so that separators are cut off.
        let key = |number: u16| {
            let mut key = if long_prefix { vec![b'p'; 63 + usize::from(number % 3)] } else { Vec::new() };
            key.extend_from_slice(&number.to_be_bytes()[usize::from(number.is_multiple_of(5))..]);
            key
        };
        let limits = match (small, long_prefix) {
            (true, false) => SMALL,
            (true, true) => Limits { root_bytes: 200, inner_bytes: 250, leaf_bytes: 250, end_bytes: 0 },
            _ => USUAL,
        };
        let mut map = Planted::new(Sorted, limits);
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for step in program {
            match step {
                Step::Insert(number, value) | Step::Replace(number, value) => {
                    let key = key(number % 400);
                    set(&mut map, &key, &value);
                    model.insert(key, value);
                }
                Step::First(value) => {
                    set(&mut map, b"", &value);
                    model.insert(Vec::new(), value);
                }
                Step::Last(value) => {
                    let key = [model.last_key_value().map_or(&[][..], |(key, _)| key), &[0xff]].concat();
                    if key.len() < 70 {
                        set(&mut map, &key, &value);
                        model.insert(key, value);
                    }
                }
                Step::Remove(number, count) => {
                    for number in number..number.saturating_add(u16::from(count)) {
                        let key = key(number % 400);
                        let was = unset(&mut map, &key);
                        prop_assert_eq!(was, model.remove(&key));
                    }
                }
            }
        }
        map.verify();
        let expected: Vec<Vec<u8>> = model.iter().map(|(key, value)| sorted_entry(key, value)).collect();
        prop_assert_eq!(map.entries(), expected);
        for number in 0..410 {
            let key = key(number);
            let rank = |map: &mut Planted<Sorted>, among| {
                map.with(|tree, ground| Ok(tree.seek(ground, &Bound::key(among))?.rank()))
            };
            prop_assert_eq!(rank(&mut map, Among::Before(&key)), model.range(..key.clone()).count() as u64);
            prop_assert_eq!(rank(&mut map, Among::Behind(&key)), model.range(..=key.clone()).count() as u64);
            let prefix = &key[..key.len() - 1];
            let behind = model.keys().filter(|other| &other[..] < prefix || other.starts_with(prefix)).count();
            prop_assert_eq!(rank(&mut map, Among::BehindPrefix(prefix)), behind as u64);
        }
        prop_assert_eq!(map.with(|tree, ground| Ok(tree.seek(ground, &Bound::key(Among::Last))?.rank())), model.len() as u64);
        prop_assert_eq!(map.with(|tree, ground| Ok(tree.seek(ground, &Bound::key(Among::First))?.rank())), 0);
    }

    #[test]
    fn scores_stand_by_score_and_then_by_member(
        program in proptest::collection::vec((0u8..60, 0u16..300, 0u8..4), 1..400), small: bool, many_of_one: bool,
        long_prefix: bool,
    ) {
        const SCORES: [f64; 6] = [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 2.0, f64::INFINITY];
        // Long members with a long beginning in common, so that separators are cut off.
        let limits = match (small, long_prefix) {
            (true, false) => SMALL,
            (true, true) => Limits { root_bytes: 200, inner_bytes: 250, leaf_bytes: 250, end_bytes: 0 },
            _ => USUAL,
        };
        let mut scores = Planted::new(Scored, limits);
        let mut model: Vec<(f64, Vec<u8>)> = Vec::new();
        for (score, number, what) in program {
            // Some are taken away, some are taken away and put in again, and most move.
            let (stays, moves) = (what == 1, what > 1);
            let score = match SCORES.get(usize::from(score)) {
                Some(&score) => score,
                None if many_of_one => 1.0,
                None => f64::from(score),
            };
            let prefix = if long_prefix { 63 + usize::from(number % 3) } else { 0 };
            let member = [&b"p".repeat(prefix)[..], number.to_string().as_bytes()].concat();
            let (entry, place) = (scored_entry(score, &member), Bound::at_member(score, &member));
            let known = model.iter().position(|(_, known)| *known == member);
            if let Some(known) = known {
                let (score, member) = model.remove(known);
                scores.with(|tree, ground| {
                    let from = Bound::at_member(score, &member);
                    let mut cursor = tree.seek(ground, &from)?;
                    tree.settle(ground, &mut cursor)?;
                    assert_eq!(cursor.entry(), Some(&scored_entry(score, &member)[..]));
                    assert_eq!(cursor.rank(), known as u64);
                    if !moves {
                        return tree.splice(ground, cursor, 1, &[]);
                    }
                    let is_it = |entry: &[u8]| read_scored(entry).1 == member;
                    let is_there = relocate(tree, ground, (&from, is_it), &place, &entry)?;
                    assert!(is_there);
                    Ok(())
                });
            }
            if moves || stays {
                if known.is_none() || !moves {
                    scores.with(|tree, ground| {
                        let cursor = tree.seek(ground, &place)?;
                        tree.splice(ground, cursor, 0, &[&entry])
                    });
                }
                model.push((score, member));
                model.sort_by(|left, right| left.0.partial_cmp(&right.0).unwrap().then_with(|| left.1.cmp(&right.1)));
            }
        }
        scores.verify();
        let expected: Vec<Vec<u8>> = model.iter().map(|(score, member)| scored_entry(*score, member)).collect();
        prop_assert_eq!(scores.entries(), expected);
        for score in SCORES {
            let from = scores.with(|tree, ground| Ok(tree.seek(ground, &Bound::from_score(score))?.rank()));
            let behind = scores.with(|tree, ground| Ok(tree.seek(ground, &Bound::behind_score(score))?.rank()));
            prop_assert_eq!(from, model.iter().filter(|(known, _)| *known < score).count() as u64);
            prop_assert_eq!(behind, model.iter().filter(|(known, _)| *known <= score).count() as u64);
        }
    }

    #[test]
    fn a_hash_is_a_hash_map(program in program(), small: bool, seed: [u8; 16]) {
        let order = Hashed(Seed::from_bytes(seed));
        let mut hash = Planted::new(order, if small { SMALL } else { USUAL });
        let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for step in program {
            match step {
                Step::Insert(number, value) | Step::Replace(number, value) => {
                    let key = (number % 400).to_string().into_bytes();
                    put(&mut hash, &key, Some(&value));
                    model.insert(key, value);
                }
                Step::First(value) | Step::Last(value) => {
                    put(&mut hash, &value, Some(b"x"));
                    model.insert(value, b"x".to_vec());
                }
                Step::Remove(number, count) => {
                    for number in number..number.saturating_add(u16::from(count)) {
                        let key = (number % 400).to_string().into_bytes();
                        prop_assert_eq!(put(&mut hash, &key, None), model.remove(&key));
                    }
                }
            }
        }
        hash.verify();
        let mut expected: Vec<(Vec<u8>, Vec<u8>)> = model.into_iter().collect();
        let pair = |entry: &[u8]| (read_hashed(entry).0.to_vec(), read_hashed(entry).1.to_vec());
        let mut found: Vec<_> = hash.entries().iter().map(|entry| pair(entry)).collect();
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
    }

    /// Each element that is there from the first call to the last is returned exactly once, whatever comes and goes.
    #[test]
    fn a_scan_returns_what_stays_exactly_once(
        steps in proptest::collection::vec((any::<u16>(), any::<bool>()), 0..400), per_call in 0usize..40,
    ) {
        let order = Hashed(Seed::from_bytes([7; 16]));
        let mut hash = Planted::new(order, SMALL);
        for number in 0..100u16 {
            put(&mut hash, format!("stays {number}").as_bytes(), Some(b""));
        }
        let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut steps = steps.into_iter();
        let mut slot = Slot(0);
        loop {
            let next = hash.with(|tree, ground| {
                let (entries, next) = tree.scan(ground, slot)?;
                entries.iter().for_each(|entry| *seen.entry(read_hashed(entry).0.to_vec()).or_default() += 1);
                Ok(next)
            });
            for (number, add) in steps.by_ref().take(per_call) {
                let key = format!("goes {}", number % 500);
                put(&mut hash, key.as_bytes(), add.then_some(&b"some value"[..]));
            }
            match next {
                Some(next) => slot = next,
                None => break,
            }
        }
        for number in 0..100 {
            prop_assert_eq!(seen.get(format!("stays {number}").as_bytes()), Some(&1));
        }
    }

    #[test]
    fn entries_are_passed_up_to_the_first_that_is_not_however_long_separators_are(
        separators in proptest::collection::vec(0usize..10, 1..40), even: bool, counted: bool, from: u8,
    ) {
        const MIN: usize = 7;
        let length = |at: usize, longer: usize| match (at, even) {
            (0, _) => longer,
            (_, true) => MIN,
            // Mostly as short as they can be.
            (_, false) => MIN + longer.saturating_sub(8),
        };
        let children: Vec<_> = separators.iter().enumerate()
            .map(|(at, &longer)| Child { node: at as u32 + 1, below: 1, separator: vec![MIN as u8; length(at, longer)] })
            .collect();
        let shape = Shape::Inner { counted, min_separator_bytes: MIN as u8 };
        let node = Node::read(inner_page(&children, counted), shape, 1).unwrap();
        let from = usize::from(from) % (children.len() + 1);
        let is_child = |at: usize, raw: &[u8]| child_in(raw, shape).is_some_and(|child| child.node == at as u32 + 1);
        let passed = node.count_passed(|at, raw| {
            assert!(is_child(at, raw), "the entry {at} is where it is");
            at < from
        });
        prop_assert_eq!(passed, from);
        for at in from.saturating_sub(1)..children.len() {
            prop_assert!(is_child(at, node.raw(at)), "what is looked at then is where it is");
        }
    }

    #[test]
    fn bytes_that_are_no_page_are_refused(page in proptest::collection::vec(any::<u8>(), 0..40), kind in 1u8..4) {
        let mut page = page;
        if let Some(first) = page.first_mut() {
            *first = kind;
        }
        for (order, height) in [(0, 0), (0, 1), (1, 1), (2, 0), (2, 1)] {
            let mut shelf = super::Shelf::default();
            let mut numbers = Numbers::default();
            let mut ground = Ground { pages: &mut shelf, numbers: &mut numbers, limits: SMALL };
            if order == 0 {
                let tree = Tree { root: page.clone().into(), height, len: 3, ..Tree::new(Sorted) };
                let _ = tree.verify(&mut ground, &mut |_| {});
                let _ = tree.seek(&mut ground, &Bound::key(Among::Before(b"p")));
                let _ = tree.nth(&mut ground, 2);
            } else if order == 2 {
                let tree = Tree { root: page.clone().into(), height, len: 3, ..Tree::new(Scored) };
                let (here, there) = (Bound::from_score(5.0), Bound::from_score(7.0));
                if let Ok(cursor) = tree.seek(&mut ground, &here) {
                    let _ = leaf_has(&cursor.way, &there);
                    let _ = tree.fork(&mut ground, &cursor.way, &there);
                    let _ = tree.leaf_towards(&mut ground, &there);
                }
            } else {
                let tree = Tree { root: page.clone().into(), height, len: 3, ..Tree::new(Hashed(Seed::from_bytes([1; 16]))) };
                let _ = tree.verify(&mut ground, &mut |_| {});
                let _ = tree.seek(&mut ground, &Slot(5));
                let _ = tree.find(&mut ground, &tree.order.key(b"key"));
            }
        }
    }
}

fn insert_at(list: &mut Planted<Listed>, at: usize, entry: &[u8]) {
    list.with(|tree, ground| {
        let cursor = tree.nth(ground, at as u64)?;
        tree.splice(ground, cursor, 0, &[entry])
    });
}

fn remove_range(list: &mut Planted<Listed>, from: usize, to: usize) {
    let mut left = to - from;
    while left > 0 {
        list.with(|tree, ground| {
            let mut cursor = tree.nth(ground, from as u64)?;
            tree.settle(ground, &mut cursor)?;
            let here = cursor.rest_of_leaf().count().min(left);
            left -= here;
            tree.splice(ground, cursor, here, &[])
        });
    }
}

fn set(map: &mut Planted<Sorted>, key: &[u8], value: &[u8]) {
    map.with(|tree, ground| {
        let mut cursor = tree.seek(ground, &Bound::key(Among::Before(key)))?;
        let mut settled = cursor.clone();
        tree.settle(ground, &mut settled)?;
        let known = settled.entry().is_some_and(|entry| read_sorted(entry).0 == key);
        if known {
            cursor = settled;
        }
        tree.splice(ground, cursor, usize::from(known), &[&sorted_entry(key, value)])
    });
}

fn unset(map: &mut Planted<Sorted>, key: &[u8]) -> Option<Vec<u8>> {
    map.with(|tree, ground| {
        let mut cursor = tree.seek(ground, &Bound::key(Among::Before(key)))?;
        tree.settle(ground, &mut cursor)?;
        let Some((known, value)) = cursor.entry().map(read_sorted) else { return Ok(None) };
        if known != key {
            return Ok(None);
        }
        let value = value.to_vec();
        tree.splice(ground, cursor, 1, &[]).map(|()| Some(value))
    })
}

fn put(hash: &mut Planted<Hashed>, key: &[u8], value: Option<&[u8]>) -> Option<Vec<u8>> {
    hash.with(|tree, ground| {
        let key = tree.order.key(key);
        let place = tree.find(ground, &key)?;
        let was = place.entry().map(|entry| read_hashed(entry).1.to_vec());
        let entry = value.map(|value| key.entry(value));
        tree.put_at(ground, place, &key, entry.as_deref()).map(|()| was)
    })
}
