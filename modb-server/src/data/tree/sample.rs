//! An entry chosen at random, all with the same probability, in a tree that does not count.
//!
//! The accept/reject walk of Olken and Rotem ("Random sampling from B+ trees", 1989): on the way down a place is chosen evenly
//! among as many as the widest node has, and where there is none in this node the walk begins again; so what a narrow node
//! gave too much is taken back. Who counts takes [`Tree::nth`] of a random index.

use super::cursor::child_number;
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
            if let Some(cursor) = self.try_sample(ground, below)? {
                return Ok(Some(cursor));
            }
        }
    }

    /// A walk down; `None` once it is rejected: what is below then is not read.
    fn try_sample<P: Pages>(
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
            // As many places as the widest has, of which this one fills its own.
            let places = match height {
                root if root == self.height => count,
                0 => count.max(self.widest.leaf.into()),
                _ => count.max(self.widest.inner.into()),
            };
            step.at = below(places as u64) as usize;
            if step.at >= count {
                return Ok(None);
            }
            if height == 0 {
                break;
            }
            let number = child_number(&step)?;
            way.push(step);
            step = self.read_step(ground, number, height - 1)?;
        }
        Ok(Some(Cursor { way, leaf: step }))
    }
}
