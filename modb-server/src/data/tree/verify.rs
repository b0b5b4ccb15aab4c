//! The proof that a tree is whole: every invariant that [`super`] names, for all of its nodes.

use super::cursor::Step;
use super::ground::freed_before;
use super::page::Shape;
use super::{Fault, Ground, NodeNumber, Numbers, Order, Pages, Tree};

impl<O: Order> Tree<O> {
    /// Reads all of it. `seen` is told the number of each node below the root.
    ///
    /// # Errors
    /// The first fault found, or that a page cannot be read.
    pub(in crate::data) fn verify<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        seen: &mut impl FnMut(NodeNumber),
    ) -> Result<(), P::Error> {
        self.verify_with(ground, seen, &mut |_| {})
    }

    /// As [`Tree::verify`]; `read` is told each entry, in order, so that nothing has to be read again for what else is asked of them.
    ///
    /// # Errors
    /// As [`Tree::verify`].
    pub(in crate::data) fn verify_with<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        seen: &mut impl FnMut(NodeNumber),
        read: &mut impl FnMut(&[u8]),
    ) -> Result<(), P::Error> {
        let root = self.read_step(ground, 0, self.height)?;
        let mut walk = Walk { last: Vec::new(), is_first: true, seen, read };
        let entries = self.verify_node(ground, &root, self.height, (b"", None), &mut walk)?;
        if entries != self.len {
            return Err(Fault::Damaged { node: 0, what: "it has not as many entries as it says" }.into());
        }
        Ok(())
    }

    /// Returns how many entries are below a node, which must lie from the first separator on, and before the second.
    fn verify_node<P: Pages, S: FnMut(NodeNumber), R: FnMut(&[u8])>(
        &self,
        ground: &mut Ground<'_, P>,
        step: &Step,
        height: u8,
        (start, end): (&[u8], Option<&[u8]>),
        walk: &mut Walk<'_, S, R>,
    ) -> Result<u64, P::Error> {
        let damaged = |what| Err(Fault::Damaged { node: step.number, what }.into());
        let node = &step.node;
        if step.number != 0 {
            (walk.seen)(step.number);
            let widest = if node.shape() == Shape::Leaf { self.widest.leaf } else { self.widest.inner };
            if node.count() == 0 || node.count() > usize::from(widest) {
                return damaged("it is empty, or wider than the tree says");
            }
        }
        if !node.is_whole() {
            return damaged("its entries do not fill it");
        }
        if height == 0 {
            for entry in (0..node.count()).map(|entry| node.entry(entry)) {
                let in_order = walk.is_first || self.order.in_order(&walk.last, entry);
                if !in_order || !self.order.within(start, end, entry) {
                    return damaged("an entry stands in the wrong place");
                }
                walk.is_first = false;
                walk.last.clear();
                walk.last.extend_from_slice(entry);
                (walk.read)(entry);
            }
            return Ok(node.count() as u64);
        }
        let mut entries = 0;
        for (index, child) in node.children().enumerate() {
            if index > 0 && child.separator.len() < usize::from(O::MIN_SEPARATOR_BYTES) {
                return damaged("a separator is too short");
            }
            let start = if index == 0 { start } else { child.separator };
            let end = node.child(index + 1).map_or(end, |next| Some(next.separator));
            let below = self.read_step(ground, child.node, height - 1)?;
            let count = self.verify_node(ground, &below, height - 1, (start, end), walk)?;
            if O::COUNTED && count != u64::from(child.below) {
                return damaged("a count is not the sum of what is below");
            }
            entries += count;
        }
        Ok(entries)
    }
}

/// What is carried from leaf to leaf.
struct Walk<'a, S, R> {
    /// The last entry, unless the next is the first.
    last: Vec<u8>,
    is_first: bool,
    seen: &'a mut S,
    read: &'a mut R,
}

impl Numbers {
    /// Follows the list of freed nodes; `seen` is told each.
    ///
    /// # Errors
    /// If one is no freed node, or they go round in a circle.
    pub(in crate::data) fn verify<P: Pages>(
        &self,
        pages: &mut P,
        seen: &mut impl FnMut(NodeNumber),
    ) -> Result<(), P::Error> {
        let mut free = self.free;
        let mut left = self.next;
        while free != 0 {
            let (page, _) = pages.read(free)?;
            let before = freed_before(&page).filter(|_| left > 0 && free < self.next);
            let before =
                before.ok_or(Fault::Damaged { node: free, what: "the list of free nodes is broken" })?;
            seen(free);
            left -= 1;
            free = before;
        }
        Ok(())
    }
}
