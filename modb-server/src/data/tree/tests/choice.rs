//! That choices are even, and that what is done costs as many pages as the tree is high.

use super::super::order::Slot;
use super::super::*;
use super::{Planted, SMALL, USUAL};
use crate::data::hash::Seed;

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

fn hashed(limits: Limits, count: u32) -> Planted<Hashed> {
    let mut hash = Planted::new(Hashed(Seed::from_bytes([3; 16])), limits);
    for number in 0..count {
        put(&mut hash, number, true);
    }
    hash
}

fn put(hash: &mut Planted<Hashed>, number: u32, there: bool) {
    hash.with(|tree, ground| {
        let name = number.to_string();
        let key = tree.order.key(name.as_bytes());
        let cursor = tree.find(ground, &key)?;
        let was = usize::from(cursor.entry().is_some());
        let entry = key.entry(b"");
        let insert: &[&[u8]] = if there { &[&entry] } else { &[] };
        tree.splice(ground, cursor, was, insert)
    });
}

#[test]
fn every_entry_is_chosen_as_often_as_any_other_also_in_an_uneven_tree() {
    const CHOICES: u32 = 200_000;
    let mut hash = hashed(SMALL, 600);
    // Nearly nothing is left of what stands low, so that leaves differ as much as they can.
    for number in 0..600 {
        let low = hash.tree.order.key(number.to_string().as_bytes()).slot() < Slot(1 << 52);
        if low && number % 8 != 0 {
            put(&mut hash, number, false);
        }
    }
    hash.verify();
    assert!(hash.tree.height >= 3);
    let mut dice = Dice(1);
    let mut chosen = std::collections::HashMap::<Vec<u8>, u32>::new();
    for _ in 0..CHOICES {
        let entry = hash.with(|tree, ground| {
            let cursor = tree.sample(ground, &mut |n| dice.below(n))?.unwrap();
            Ok(cursor.entry().unwrap().to_vec())
        });
        *chosen.entry(entry).or_default() += 1;
    }
    let count = hash.tree.len as f64;
    assert_eq!(chosen.len() as f64, count);
    let expected = f64::from(CHOICES) / count;
    let square: f64 = chosen.values().map(|&seen| (f64::from(seen) - expected).powi(2) / expected).sum();
    assert!(square < critical(count - 1.0), "chi-square {square} of {count} entries");
}

#[test]
fn a_choice_takes_few_walks() {
    let mut hash = hashed(USUAL, 20_000);
    let mut dice = Dice(2);
    hash.shelf.reads = 0;
    for _ in 0..1000 {
        hash.with(|tree, ground| tree.sample(ground, &mut |n| dice.below(n)));
    }
    let pages = hash.shelf.reads as f64 / 1000.0;
    assert!(
        pages < 6.0 * f64::from(hash.tree.height),
        "{pages} pages for a choice, height {}",
        hash.tree.height
    );
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
    let (root, height) = (scores.tree.root.clone(), usize::from(scores.tree.height));
    let mut moved = 0;
    for number in (0..20_000).step_by(97) {
        let (was, is) = (f64::from(number), f64::from(number) + 1.5);
        let cursor = scores.with(|tree, ground| tree.seek(ground, &Bound::at_member(was, &member(number))));
        (scores.shelf.reads, scores.shelf.written_bytes) = (0, 0);
        let (entry, name) = (scored_entry(is, &member(number)), member(number));
        let kept = scores
            .with(|tree, ground| tree.move_within_leaf(ground, cursor, &Bound::at_member(is, &name), &entry));
        assert_eq!(scores.shelf.reads, 0, "the leaf was read by whoever looked for it");
        // What is not in its leaf is told, and nothing was done.
        let most = if kept.is_none() { 2 * (3 + entry.len()) + 1 } else { 0 };
        assert!(scores.shelf.written_bytes <= most, "{} bytes", scores.shelf.written_bytes);
        moved += usize::from(kept.is_none());
    }
    assert!(moved > 180, "{moved} of 207: a leaf has more than twenty");
    assert_eq!((&scores.tree.root, usize::from(scores.tree.height)), (&root, height));
    scores.verify();
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
    let mut hash = hashed(USUAL, 1000);
    let large = vec![b'x'; 1 << 20];
    hash.with(|tree, ground| {
        let key = tree.order.key(b"large");
        let cursor = tree.find(ground, &key)?;
        tree.splice(ground, cursor, 0, &[&key.entry(&large)])
    });
    hash.shelf.written_bytes = 0;
    for number in 1000..3000 {
        put(&mut hash, number, true);
    }
    hash.verify();
    assert!(hash.shelf.written_bytes < 1 << 20, "{} bytes for 2000 small ones", hash.shelf.written_bytes);
}
