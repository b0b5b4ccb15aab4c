//! That choices are even, and that what is done costs as many pages as the tree is high.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;

use super::super::order::Slot;
use super::super::page::Node;
use super::super::*;
use super::{Planted, SMALL, Shelf, USUAL, relocate};
use crate::data::hash::Seed;

/// As usual, in small, so that trees are high early.
const NARROW: Limits = Limits { root_bytes: 100, inner_bytes: 200, leaf_bytes: 200, end_bytes: 0 };

/// A small generator with a fixed seed (Steele, Lea, Flood 2014: SplitMix64), so that each run chooses the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(word ^ (word >> 31)) * u128::from(n)) >> 64) as u64
    }
}

/// The chi-square that an even choice exceeds once in a million times (Wilson and Hilferty 1931).
fn critical(degrees: f64) -> f64 {
    let spread = 2.0 / (9.0 * degrees);
    degrees * (1.0 - spread + 4.753 * spread.sqrt()).powi(3)
}

fn hashed(limits: Limits, numbers: Range<u32>) -> Planted<Hashed> {
    let mut hash = Planted::new(Hashed(Seed::from_bytes([3; 16])), limits);
    for number in numbers {
        put(&mut hash, number, true);
    }
    hash
}

fn put(hash: &mut Planted<Hashed>, number: u32, there: bool) {
    hash.with(|tree, ground| {
        let name = number.to_string();
        let key = tree.order.key(name.as_bytes());
        let place = tree.find(ground, &key)?;
        tree.put_at(ground, place, &key, there.then(|| key.entry(b"")).as_deref())
    });
}

/// What is chosen by `choose`, which may reject: each entry must come as often as any other.
fn assert_even(
    hash: &mut Planted<Hashed>,
    seed: u64,
    choose: impl Fn(&Tree<Hashed>, &mut Ground<'_, Shelf>, &mut Dice) -> Result<Option<Bytes>, Fault>,
) {
    let wanted = 200 * hash.tree.len;
    let mut dice = Dice(seed);
    let mut chosen = HashMap::<Bytes, u32>::new();
    let mut choices = 0;
    while choices < wanted {
        if let Some(entry) = hash.with(|tree, ground| choose(tree, ground, &mut dice)) {
            *chosen.entry(entry).or_default() += 1;
            choices += 1;
        }
    }
    let count = hash.tree.len as f64;
    assert_eq!(chosen.len() as f64, count);
    let square: f64 = chosen.values().map(|&seen| (f64::from(seen) - 200.0).powi(2) / 200.0).sum();
    assert!(square < critical(count - 1.0), "chi-square {square} of {count} entries");
}

#[test]
fn every_entry_is_chosen_as_often_as_any_other_also_in_an_uneven_tree() {
    // Nearly nothing is left of what stands low, so that leaves differ as much as they can; or nearly nothing at all, so that most
    // numbers are free.
    for (put_in, rarest, kept) in [(600, 8, Slot(1 << 52)), (4_000, 150, Slot(1 << 53))] {
        let mut hash = hashed(SMALL, 0..put_in);
        for number in 0..put_in {
            let low = hash.tree.order.key(number.to_string().as_bytes()).slot() < kept;
            if low && number % rarest != 0 {
                put(&mut hash, number, false);
            }
        }
        hash.verify();
        assert!(hash.tree.height >= 2);
        let by_number = hash.tree.goes_by_number(&hash.numbers);
        assert_eq!(by_number, put_in == 600, "{:?}", hash.numbers);
        assert_even(&mut hash, 1, |tree, ground, dice| tree.sample(ground, &mut |n| dice.below(n)));
        assert_even(&mut hash, 2, |tree, ground, dice| {
            Ok(tree.sample_place(ground, &mut |n| dice.below(n))?.and_then(|cursor| cursor.entry_bytes()))
        });
        assert_even(&mut hash, 3, |tree, ground, dice| {
            Ok(tree.try_walk(ground, &mut |n| dice.below(n))?.and_then(|cursor| cursor.entry_bytes()))
        });
        if by_number {
            assert_even(&mut hash, 4, |tree, ground, dice| {
                Ok(tree.try_number(ground, &mut |n| dice.below(n))?.and_then(|leaf| leaf.entry_bytes()))
            });
        }
    }
}

#[test]
fn a_tree_that_becomes_small_becomes_low() {
    let mut hash = hashed(NARROW, 0..4_000);
    let mut list = Planted::new(Listed, NARROW);
    for number in 0..4_000_u32 {
        list.with(|tree, ground| {
            let end = tree.end(ground)?;
            tree.splice(ground, end, 0, &[&number.to_be_bytes()])
        });
    }
    let mut dice = Dice(7);
    let mut left: Vec<u32> = (0..4_000).collect();
    while left.len() > 5 {
        let at = dice.below(left.len() as u64) as usize;
        put(&mut hash, left.swap_remove(at), false);
        list.with(|tree, ground| {
            let mut cursor = tree.nth(ground, at as u64)?;
            tree.settle(ground, &mut cursor)?;
            tree.splice(ground, cursor, 1, &[])
        });
        if left.len() == 20 {
            hash.verify();
            list.verify();
            assert!([hash.tree.height, list.tree.height].iter().all(|&height| height <= 1));
        }
    }
    hash.verify();
    list.verify();
    assert_eq!((hash.tree.height, list.tree.height), (0, 0));
}

/// At the median and at the 99th of a hundred, the pages that are read for one of what `choose` does.
fn pages_of(
    hash: &mut Planted<Hashed>,
    choose: impl Fn(&Tree<Hashed>, &mut Ground<'_, Shelf>, &mut Dice) -> Result<(), Fault>,
) -> [usize; 2] {
    let mut dice = Dice(5);
    let mut pages: Vec<usize> = (0..5_000)
        .map(|_| {
            hash.shelf.reads = 0;
            hash.with(|tree, ground| choose(tree, ground, &mut dice));
            hash.shelf.reads
        })
        .collect();
    pages.sort_unstable();
    [pages[2_500], pages[4_950]]
}

#[test]
fn a_choice_reads_no_more_pages_the_higher_the_tree_is() {
    for (count, height) in [(1_000, 2), (50_000, 4)] {
        // Names of one length.
        let mut hash = hashed(NARROW, 100_000..100_000 + count);
        assert_eq!(hash.tree.height, height);
        let found = pages_of(&mut hash, |tree, ground, dice| {
            assert!(tree.sample(ground, &mut |n| dice.below(n))?.is_some());
            Ok(())
        });
        assert!(found <= [1, 6], "{found:?} pages for a choice of {count}");
        // The way to it is one way down.
        let placed = pages_of(&mut hash, |tree, ground, dice| {
            assert!(tree.sample_place(ground, &mut |n| dice.below(n))?.is_some());
            Ok(())
        });
        assert_eq!(placed, found.map(|pages| pages + usize::from(height)), "of {count}");
        let expected = hash.tree.pages_of_choices(&hash.numbers, 1_000);
        assert!((1_000..2_000).contains(&expected), "{expected} pages for 1,000 choices");
    }
}

#[test]
fn a_choice_in_a_damaged_tree_ends_and_is_none_of_another_leaf() {
    let choose = |hash: &mut Planted<Hashed>| {
        let (mut dice, mut rolls) = (Dice(6), 0);
        let mut below = |n| {
            rolls += 1;
            assert!(rolls < 1_000_000, "it seeks a leaf for ever");
            dice.below(n)
        };
        let Planted { tree, shelf: pages, numbers, limits } = hash;
        let mut ground = Ground { pages, numbers, limits: *limits };
        (0..1_000).try_for_each(|_| tree.sample_place(&mut ground, &mut below).map(drop))
    };
    let mut hash = hashed(SMALL, 0..600);
    choose(&mut hash).unwrap();
    // Each leaf is where another one should be.
    let mut exchanged = hash.clone();
    let mut numbers: Vec<_> = exchanged.shelf.pages.keys().copied().collect();
    numbers.retain(|number| exchanged.shelf.pages[number][0] == 1);
    let first = exchanged.shelf.pages[&numbers[0]].clone();
    for pair in numbers.windows(2) {
        let next = exchanged.shelf.pages[&pair[1]].clone();
        exchanged.shelf.pages.insert(pair[0], next);
    }
    exchanged.shelf.pages.insert(numbers[numbers.len() - 1], first);
    assert!(matches!(choose(&mut exchanged), Err(Fault::Damaged { .. })));
    // All are free.
    hash.shelf.pages.values_mut().for_each(|page| *page = Bytes::from_static(&[0; 5]));
    assert!(matches!(choose(&mut hash), Err(Fault::Damaged { .. })));
}

#[test]
fn what_is_done_costs_as_many_pages_as_the_tree_is_high() {
    for (count, most) in [(1_000, 2), (100_000, 3)] {
        let mut list = Planted::new(Listed, USUAL);
        for number in 0..count {
            list.with(|tree, ground| {
                let end = tree.end(ground)?;
                tree.splice(ground, end, 0, &[format!("element {number}").as_bytes()])
            });
        }
        assert!(list.tree.height <= most);
        let mut dice = Dice(3);
        for _ in 0..100 {
            (list.shelf.reads, list.shelf.written_bytes) = (0, 0);
            let index = dice.below(count);
            list.with(|tree, ground| {
                let cursor = tree.nth(ground, index)?;
                tree.splice(ground, cursor, 0, &[b"between"])
            });
            // A leaf that is cut takes its halves, a child more above, and a number.
            assert!(list.shelf.reads <= usize::from(most) + 1, "{} reads", list.shelf.reads);
            assert!(list.shelf.written_bytes <= 2 * 960 + 100, "{} bytes", list.shelf.written_bytes);
        }
        list.verify();
    }
}

#[test]
fn a_score_that_changes_little_changes_nothing_but_its_leaf() {
    let mut scores = Planted::new(Scored, USUAL);
    let member = |number: u32| number.to_string().into_bytes();
    for number in 0..20_000 {
        scores.with(|tree, ground| {
            let end = tree.end(ground)?;
            tree.splice(ground, end, 0, &[&scored_entry(f64::from(number), &member(number))])
        });
    }
    let mut moved = 0;
    for number in (0..20_000).step_by(97) {
        let (was, is) = (f64::from(number), f64::from(number) + 1.5);
        (scores.shelf.reads, scores.shelf.written_bytes) = (0, 0);
        let root = scores.tree.root.clone();
        let (entry, name) = (scored_entry(is, &member(number)), member(number));
        move_member(&mut scores, &name, was, is);
        // One way.
        if scores.shelf.reads == usize::from(scores.tree.height) {
            let written = scores.shelf.written_bytes;
            assert!(written <= 2 * (3 + entry.len()) + 1, "{written} bytes");
            assert_eq!(scores.tree.root, root);
            moved += 1;
        }
    }
    assert!(moved > 180, "{moved} of 207: a leaf has more than twenty");
    scores.verify();
}

/// Gives a member that is there another score.
fn move_member(scores: &mut Planted<Scored>, name: &[u8], was: f64, is: f64) {
    let (from, to) = (Bound::at_member(was, name), Bound::at_member(is, name));
    let is_it = |entry: &[u8]| read_scored(entry).1 == name;
    let is_there =
        scores.with(|tree, ground| relocate(tree, ground, (&from, is_it), &to, &scored_entry(is, name)));
    assert!(is_there);
}

#[test]
fn a_score_that_goes_far_changes_two_leaves_and_each_node_above_them_once() {
    const MEMBERS: u32 = 5_000;
    let mut scores = Planted::new(Scored, USUAL);
    // No two leaves are as full.
    let mixed = |number: u32| f64::from(number * 7_919 % MEMBERS);
    for number in 0..MEMBERS {
        let (entry, score) = (scored_entry(mixed(number), &number.to_be_bytes()), mixed(number));
        scores.with(|tree, ground| {
            let cursor = tree.seek(ground, &Bound::at_member(score, &number.to_be_bytes()))?;
            tree.splice(ground, cursor, 0, &[&entry])
        });
    }
    let height = usize::from(scores.tree.height);
    assert!(height > 1);
    let mut far = 0;
    for number in (0..MEMBERS).step_by(7) {
        let (was, is, name) = (mixed(number), mixed(number + 31), number.to_be_bytes());
        let next = scores.numbers.next;
        scores.shelf.edited.clear();
        scores.shelf.reads = 0;
        move_member(&mut scores, &name, was, is);
        // Nothing was cut, joined or removed, which reads more, or takes a number.
        if (height + 1..=2 * height).contains(&scores.shelf.reads) && scores.numbers.next == next {
            let mut edited = std::mem::take(&mut scores.shelf.edited);
            // The other way has a node of its own for each that was read beside those of one.
            let ways = 2 * height - scores.shelf.reads..height;
            assert_eq!(edited.len(), 2 * ways.len() + usize::from(ways.start > 0));
            edited.sort_unstable();
            edited.dedup();
            assert_eq!(edited.len(), 2 * ways.len() + usize::from(ways.start > 0), "one is changed twice");
            far += 1;
        }
    }
    assert!(far > 600, "{far} of 715");
    scores.verify();
}

#[test]
fn a_leaf_that_all_its_members_leave_is_no_more() {
    for limits in [SMALL, NARROW] {
        let mut scores = Planted::new(Scored, limits);
        let member = |number: u32| number.to_string().into_bytes();
        for number in (0..300).map(|number| number * 97 % 300) {
            scores.with(|tree, ground| {
                let cursor = tree.seek(ground, &Bound::at_member(f64::from(number), &member(number)))?;
                tree.splice(ground, cursor, 0, &[&scored_entry(f64::from(number), &member(number))])
            });
        }
        for number in 0..200 {
            let (was, is, name) = (f64::from(number), f64::from(1_000 + number * 7 % 300), member(number));
            move_member(&mut scores, &name, was, is);
            scores.verify();
        }
        assert_eq!(scores.tree.len, 300);
    }
}

#[test]
fn a_node_is_cut_where_what_separates_its_halves_is_short() {
    const MEMBERS: u32 = 6_000;
    let mut scores = Planted::new(Scored, USUAL);
    for number in (0..MEMBERS).map(|number| number * 7_919 % MEMBERS) {
        // What tells two of one score from each other is at their ends.
        let (score, member) = (f64::from(number / 3), format!("a name that is long {number:05}"));
        scores.with(|tree, ground| {
            let cursor = tree.seek(ground, &Bound::at_member(score, member.as_bytes()))?;
            tree.splice(ground, cursor, 0, &[&scored_entry(score, member.as_bytes())])
        });
    }
    scores.verify();
    assert!(scores.tree.height > 1);
    let mut separators = 0;
    for page in scores.shelf.pages.values().filter(|page| page[0] == scores.tree.root[0]) {
        let node = Node::read(page.clone(), Tree::<Scored>::INNER, 1).unwrap();
        for child in node.children().skip(1) {
            assert_eq!(child.separator.len(), 8, "the score alone");
            separators += 1;
        }
    }
    assert!(separators > 300, "{separators}");
}

#[test]
fn nodes_that_are_filled_from_one_end_are_full() {
    for front in [false, true] {
        let mut list = Planted::new(Listed, USUAL);
        for number in 0..20_000_u32 {
            list.with(|tree, ground| {
                let place = if front { tree.first(ground)? } else { tree.end(ground)? };
                tree.splice(ground, place, 0, &[&number.to_be_bytes()])
            });
        }
        list.verify();
        let bytes: usize = list.shelf.pages.values().map(|page| page.len()).sum();
        assert!(bytes < 20_000 * 5 * 110 / 100, "{bytes} bytes for 20,000 elements of 5");
    }
}

#[test]
fn a_queue_uses_its_numbers_again() {
    let mut list = Planted::new(Listed, SMALL);
    for number in 0..20_000_u32 {
        list.with(|tree, ground| {
            let end = tree.end(ground)?;
            tree.splice(ground, end, 0, &[&number.to_be_bytes()])
        });
        if number >= 100 {
            list.with(|tree, ground| {
                let first = tree.first(ground)?;
                assert_eq!(first.entry(), Some(&(number - 100).to_be_bytes()[..]));
                tree.splice(ground, first, 1, &[])
            });
        }
    }
    list.verify();
    assert!(list.numbers.next < 60, "{} numbers for a queue of 100", list.numbers.next);
}

#[test]
fn a_large_entry_is_not_written_again_for_its_neighbours() {
    let mut hash = hashed(USUAL, 0..1000);
    let large = vec![b'x'; 1 << 20];
    hash.with(|tree, ground| {
        let key = tree.order.key(b"large");
        let place = tree.find(ground, &key)?;
        tree.put_at(ground, place, &key, Some(&key.entry(&large)))
    });
    hash.shelf.written_bytes = 0;
    for number in 1000..3000 {
        put(&mut hash, number, true);
    }
    hash.verify();
    assert!(hash.shelf.written_bytes < 1 << 20, "{} bytes for 2000 small ones", hash.shelf.written_bytes);
}
