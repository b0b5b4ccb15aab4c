//! Trees against what they stand for: `Vec`, `BTreeMap`, `HashMap`.

mod choice;
mod fill;
mod model;
mod sequence;

use std::collections::HashMap;

use bytes::Bytes;
use modb_net::Seq;

use super::*;
use crate::store::Splices;

/// Pages in memory, which are counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    pub(super) pages: HashMap<NodeNumber, Bytes>,
    pub(super) reads: usize,
    pub(super) written_bytes: usize,
    /// Which nodes were changed, one after the other.
    pub(super) edited: Vec<NodeNumber>,
}

impl Pages for Shelf {
    type Error = Fault;

    fn read(&mut self, node: NodeNumber) -> Result<(Bytes, Seq), Fault> {
        self.reads += 1;
        let page = self.pages.get(&node).cloned();
        page.map(|page| (page, Seq::ZERO)).ok_or(Fault::Damaged { node, what: "there is no such page" })
    }

    fn put(&mut self, node: NodeNumber, page: Bytes) -> Result<(), Fault> {
        self.written_bytes += page.len();
        self.pages.insert(node, page);
        Ok(())
    }

    fn edit(&mut self, node: NodeNumber, (old, _): (Bytes, Seq), splices: Splices) -> Result<(), Fault> {
        // Taken away: what nobody else has is changed where it lies.
        assert_eq!(
            self.pages.remove(&node).as_ref(),
            Some(&old),
            "an edit of something else than what is there"
        );
        self.written_bytes += splices.as_bytes().len();
        self.edited.push(node);
        self.pages.insert(node, splice(node, old, &splices)?);
        Ok(())
    }
}

/// The entry that `is_it` is true of gives way to one at another place; whether it is there.
pub(super) fn relocate<O: Order>(
    tree: &mut Tree<O>,
    ground: &mut Ground<'_, Shelf>,
    (from, is_it): (&impl Probe, impl Fn(&[u8]) -> bool),
    place: &impl Probe,
    entry: &[u8],
) -> Result<bool, Fault> {
    let towards = tree.approach(ground, place)?;
    let ways = tree.part(ground, towards, from)?;
    tree.relocate(ground, ways, (from, is_it), place, entry)
}

pub(super) const SMALL: Limits = Limits { root_bytes: 48, inner_bytes: 64, leaf_bytes: 64, end_bytes: 0 };
pub(super) const USUAL: Limits = Limits { root_bytes: 400, inner_bytes: 960, leaf_bytes: 583, end_bytes: 0 };

/// A tree with all that it stands on.
#[derive(Clone, Debug)]
pub(super) struct Planted<O> {
    pub(super) tree: Tree<O>,
    pub(super) shelf: Shelf,
    pub(super) numbers: Numbers,
    pub(super) limits: Limits,
}

impl<O: Order> Planted<O> {
    pub(super) fn new(order: O, limits: Limits) -> Self {
        Self { tree: Tree::new(order), shelf: Shelf::default(), numbers: Numbers::default(), limits }
    }

    pub(super) fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Tree<O>, &mut Ground<'_, Shelf>) -> Result<T, Fault>,
    ) -> T {
        let mut ground = Ground { pages: &mut self.shelf, numbers: &mut self.numbers, limits: self.limits };
        work(&mut self.tree, &mut ground).unwrap()
    }

    /// All invariants: those of the tree, and that each number is a node once or free once.
    pub(super) fn verify(&mut self) {
        let mut seen = HashMap::<NodeNumber, usize>::new();
        self.with(|tree, ground| tree.verify(ground, &mut |number| *seen.entry(number).or_default() += 1));
        self.numbers.verify(&mut self.shelf, &mut |number| *seen.entry(number).or_default() += 1).unwrap();
        for number in 1..self.numbers.next {
            assert_eq!(seen.get(&number), Some(&1), "node {number} is there once, or free once");
        }
        assert_eq!(seen.len() as u32, self.numbers.next - 1);
        for (number, page) in &self.shelf.pages {
            let fits =
                page.len() <= self.limits.leaf_bytes.max(self.limits.inner_bytes) || page[1..3] == [0, 1];
            assert!(fits, "node {number} has {} bytes", page.len());
        }
        assert!(self.tree.root.len() <= self.limits.root_bytes);
    }

    pub(super) fn entries(&mut self) -> Vec<Vec<u8>> {
        self.with(|tree, ground| {
            let mut all = Vec::new();
            let mut cursor = tree.first(ground)?;
            loop {
                all.extend(cursor.leaf().map(<[u8]>::to_vec));
                if !tree.next_leaf(ground, &mut cursor)? {
                    return Ok(all);
                }
            }
        })
    }

    pub(super) fn entries_backwards(&mut self) -> Vec<Vec<u8>> {
        self.with(|tree, ground| {
            let mut all = Vec::new();
            let mut cursor = tree.end(ground)?;
            while tree.retreat(ground, &mut cursor)? {
                all.push(cursor.entry().unwrap().to_vec());
            }
            Ok(all)
        })
    }
}
