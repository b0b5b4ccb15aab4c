//! An entry chosen at random, all with the same probability, in a tree that does not count.
//!
//! The accept/reject walk of Olken and Rotem ("Random sampling from B+ trees", 1989): children are chosen evenly on the way
//! down, and a node is taken with the probability that its width has to the widest one; so what a narrow node gave too much
//! is taken back. Who counts takes [`Tree::nth`] of a random index.

use super::{Cursor, Fault, Ground, Order, Pages, Tree};

impl<O: Order> Tree<O> {
    /// The place of an entry; `None` if there is none. `below(n)` must choose evenly among the numbers below `n`.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged.
    pub(in crate::data) fn sample<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        below: &mut impl FnMut(u64) -> u64,
    ) -> Result<Option<Cursor>, P::Error> {
        if self.len == 0 {
            return Ok(None);
        }
        loop {
            let mut accepted = true;
            let mut accept = |count: usize, widest: u16, below: &mut dyn FnMut(u64) -> u64| {
                accepted &= below(u64::from(widest).max(1)) < count as u64;
            };
            let cursor = self.descend(ground, |node, _, height| {
                if height < self.height {
                    accept(node.count(), self.widest.inner, below);
                }
                match node.count() {
                    0 => Err(Fault::Damaged { node: 0, what: "a node without children" }.into()),
                    count => Ok(below(count as u64) as usize),
                }
            })?;
            let count = cursor.leaf.node.count();
            if self.height > 0 {
                accept(count, self.widest.leaf, below);
            }
            if accepted && count > 0 {
                return Ok(Some(cursor.at(below(count as u64) as usize)));
            }
        }
    }
}
