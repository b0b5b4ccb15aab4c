//! Trees that are filled at once: whole, with the same entries, and trees like any other afterwards.

use proptest::prelude::*;

use super::super::*;
use super::{Planted, SMALL, USUAL};
use crate::data::hash::Seed;

fn filled<O: Order + Copy>(order: O, entries: &[Vec<u8>], small: bool) -> Planted<O> {
    let mut planted = Planted::new(order, if small { SMALL } else { USUAL });
    planted.tree = planted.with(|_, ground| {
        let mut filling = Filling::new(order);
        entries.iter().try_for_each(|entry| filling.push(ground, entry))?;
        filling.finish(ground)
    });
    planted.verify();
    assert_eq!(planted.entries(), entries);
    planted
}

fn entry() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => proptest::collection::vec(any::<u8>(), 40..200),
    ]
}

proptest! {
    #[test]
    fn a_list_has_what_it_was_filled_with_and_goes_on(
        entries in proptest::collection::vec(entry(), 0..600), small: bool, at: prop::sample::Index,
    ) {
        let mut list = filled(Listed, &entries, small);
        let mut model = entries;
        let at = at.index(model.len() + 1);
        for place in [at, 0, model.len()] {
            list.with(|tree, ground| {
                let cursor = tree.nth(ground, place as u64)?;
                tree.splice(ground, cursor, 0, &[b"new"])
            });
            model.insert(place, b"new".to_vec());
        }
        list.verify();
        prop_assert_eq!(list.entries(), model);
    }

    #[test]
    fn members_are_found_where_their_scores_say(
        scores in proptest::collection::btree_set((-20i8..20, 0u16..2000), 0..600), small: bool,
    ) {
        let member = |number: u16| format!("a member {number:05}");
        let pairs: Vec<(f64, String)> = scores.into_iter().map(|(score, n)| (f64::from(score), member(n))).collect();
        let entries: Vec<_> = pairs.iter().map(|(score, member)| scored_entry(*score, member.as_bytes())).collect();
        let mut set = filled(Scored, &entries, small);
        for (rank, (score, member)) in pairs.iter().enumerate() {
            let found = set.with(|tree, ground| Ok(tree.seek(ground, &Bound::at_member(*score, member.as_bytes()))?.rank()));
            prop_assert_eq!(found, rank as u64);
        }
    }

    #[test]
    fn keys_are_found_by_their_hash(keys in proptest::collection::btree_set(any::<u16>(), 0..600), small: bool) {
        let order = Hashed(Seed::from_bytes([7; 16]));
        let keys: Vec<[u8; 2]> = keys.into_iter().map(u16::to_be_bytes).collect();
        let mut hashed: Vec<_> = keys.iter().map(|key| order.key(key)).collect();
        hashed.sort_by_key(|key| key.slot());
        let entries: Vec<_> = hashed.iter().map(|key| key.entry(b"value")).collect();
        let mut tree = filled(order, &entries, small);
        for key in &keys {
            let found = tree.with(|tree, ground| tree.find(ground, &tree.order.key(key)));
            prop_assert_eq!(found.entry().map(|entry| read_hashed(entry).1), Some(&b"value"[..]));
        }
    }
}
