//! An entry chosen at random, all with the same probability, in a tree by hash, which does not count.
//!
//! A leaf is chosen evenly, and in it a place, evenly among as many as the widest leaf ever had; where this one has no entry the choice
//! begins again, so what the entries of a narrow leaf got too much is taken back. There are two ways to a leaf:
//!
//! - **by number**: nodes have the numbers from 1 on, so whichever is chosen is a leaf's, and that leaf is chosen, or begins again. It
//!   reads one page, however high the tree is.
//! - **a walk** from the root, the accept/reject walk of Olken and Rotem ("Random sampling from B+ trees", 1989): on the way down a child is
//!   chosen evenly among as many as the widest node has. It is for the trees that have become so small that most numbers are free.
//!
//! Invariant: one attempt takes each entry with the same probability, whichever way it goes, and nothing of it is told to the next; so it does
//! not matter which way how many of them go. Who counts takes [`Tree::nth`] of a random index.

use bytes::Bytes;

use super::cursor::{Step, child_number};
use super::order::read_hashed;
use super::page::{self, Node, Shape};
use super::{Cursor, Fault, Ground, Hashed, NodeNumber, Numbers, Pages, Tree};

/// An entry that was chosen.
enum Chosen {
    /// At the end of a walk.
    At(Cursor),
    /// In a leaf to which nobody knows the way.
    In(Step),
}

/// After so many attempts by number one is a walk: where damage has left no leaf, that finds it.
const NUMBERS_IN_A_ROW: u32 = 64;

impl Tree<Hashed> {
    /// An entry; `None` if there is none. `below(n)` must choose evenly among the numbers below `n`. No other tree may stand on this ground.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged.
    pub(in crate::data) fn sample<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        below: &mut impl FnMut(u64) -> u64,
    ) -> Result<Option<Bytes>, P::Error> {
        Ok(self.choose(ground, below)?.and_then(|chosen| match chosen {
            Chosen::At(cursor) => cursor.leaf.entry_bytes(),
            Chosen::In(leaf) => leaf.entry_bytes(),
        }))
    }

    /// As [`Tree::sample`], the place of an entry.
    ///
    /// # Errors
    /// As [`Tree::sample`].
    pub(in crate::data) fn sample_place<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        below: &mut impl FnMut(u64) -> u64,
    ) -> Result<Option<Cursor>, P::Error> {
        let leaf = match self.choose(ground, below)? {
            None => return Ok(None),
            Some(Chosen::At(cursor)) => return Ok(Some(cursor)),
            Some(Chosen::In(leaf)) => leaf,
        };
        let found = self.find_way(ground, &self.order.key(read_hashed(leaf.node.entry(leaf.at)).0))?;
        if found.leaf.number != leaf.number || found.leaf.at != leaf.at {
            return Err(Fault::Damaged { node: leaf.number, what: "no way leads to its entries" }.into());
        }
        Ok(Some(found))
    }

    /// About how many pages it reads to choose so many entries.
    pub(in crate::data) fn pages_of_choices(&self, numbers: &Numbers, count: u64) -> u64 {
        let (leaves, pages) = if self.goes_by_number(numbers) {
            (of_nodes(numbers), 1)
        } else {
            (self.places_of_leaves(), u64::from(self.height))
        };
        let [leaves, pages, widest] = [leaves, pages, self.widest.leaf.into()].map(u128::from);
        let attempts = u128::from(count) * leaves * widest / u128::from(self.len.max(1));
        u64::try_from(attempts * pages).unwrap_or(u64::MAX)
    }

    fn choose<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        below: &mut impl FnMut(u64) -> u64,
    ) -> Result<Option<Chosen>, P::Error> {
        if self.len == 0 {
            return Ok(None);
        }
        let by_number = self.goes_by_number(ground.numbers);
        let mut attempts = 0_u32;
        loop {
            attempts = attempts.wrapping_add(1);
            let chosen = if by_number && !attempts.is_multiple_of(NUMBERS_IN_A_ROW) {
                self.try_number(ground, below)?.map(Chosen::In)
            } else {
                self.try_walk(ground, below)?.map(Chosen::At)
            };
            if chosen.is_some() {
                return Ok(chosen);
            }
        }
    }

    /// Whether attempts by number read fewer pages. Each way has as many leaves to hit; a number that hits none is one page, a walk that
    /// does not get to one is about two.
    pub(super) fn goes_by_number(&self, numbers: &Numbers) -> bool {
        self.height > 1 && of_nodes(numbers) < self.places_of_leaves().saturating_mul(2)
    }

    /// Among how many leaves a walk would choose if all nodes below the root were as wide as the widest.
    fn places_of_leaves(&self) -> u64 {
        let inner = u64::from(self.widest.inner).saturating_pow(u32::from(self.height.saturating_sub(1)));
        (page::count_in(&self.root) as u64).saturating_mul(inner)
    }

    /// An attempt by number; `None` once it is rejected.
    pub(super) fn try_number<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        below: &mut impl FnMut(u64) -> u64,
    ) -> Result<Option<Step>, P::Error> {
        // There are fewer than 2^32.
        let number = 1 + below(of_nodes(ground.numbers)) as NodeNumber;
        let (page, seq) = ground.pages.read(number)?;
        if !page::is_leaf(&page) {
            return Ok(None);
        }
        let node = Node::read(page, Shape::Leaf, number)?;
        let places = self.places_in(&node);
        Ok(choose_in(&node, places, below).map(|at| Step { number, node, seq, at }))
    }

    /// An attempt by a walk; `None` once it is rejected: what is below then is not read.
    pub(super) fn try_walk<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        below: &mut impl FnMut(u64) -> u64,
    ) -> Result<Option<Cursor>, P::Error> {
        let mut way = Vec::with_capacity(usize::from(self.height));
        let mut step = self.read_step(ground, 0, self.height)?;
        for height in (0..=self.height).rev() {
            let count = step.node.count();
            if count == 0 {
                return Err(Fault::Damaged { node: step.number, what: "a node without children" }.into());
            }
            let places = match height {
                root if root == self.height => count,
                0 => self.places_in(&step.node),
                _ => count.max(self.widest.inner.into()),
            };
            let Some(at) = choose_in(&step.node, places, below) else { return Ok(None) };
            step.at = at;
            if height == 0 {
                break;
            }
            let number = child_number(&step)?;
            way.push(step);
            step = self.read_step(ground, number, height - 1)?;
        }
        Ok(Some(Cursor { way, leaf: step }))
    }

    /// Among how many places one in this leaf is chosen: as many as the widest has, of which it fills its own.
    fn places_in(&self, leaf: &Node) -> usize {
        leaf.count().max(self.widest.leaf.into())
    }
}

/// One of so many places in a node; `None` if it has no entry there.
fn choose_in(node: &Node, places: usize, below: &mut impl FnMut(u64) -> u64) -> Option<usize> {
    let at = below(places as u64) as usize;
    (at < node.count()).then_some(at)
}

/// How many numbers nodes have, or had.
fn of_nodes(numbers: &Numbers) -> u64 {
    u64::from(numbers.next.saturating_sub(1))
}
