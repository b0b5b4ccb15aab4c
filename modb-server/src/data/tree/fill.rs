//! A tree of entries that come in its order: leaf after leaf, each written once, and full.
//!
//! Invariant: what [`Tree::splice`] of one entry after the other makes is a tree of the same entries; only how full the nodes are differs.

use bytes::Bytes;

use super::page::{Child, HEAD_BYTES, Shape, child_bytes, head, inner_page, put_entry, varint_bytes};
use super::{Fault, Ground, Order, Pages, Tree};

/// A tree that is being filled.
#[derive(Debug)]
pub(in crate::data) struct Filling<O> {
    /// What it has so far; its root is made in the end.
    tree: Tree<O>,
    /// The leaves that are written.
    leaves: Vec<Child>,
    /// The entries of the next one, as they are in its page, and how many; what separates it from the one before; and the last of them.
    leaf: Vec<u8>,
    count: usize,
    separator: Vec<u8>,
    last: Vec<u8>,
}

impl<O: Order> Filling<O> {
    /// Begins one.
    pub(in crate::data) fn new(order: O) -> Self {
        let tree = Tree::new(order);
        let (leaf, separator, last) = (Vec::new(), Vec::new(), Vec::new());
        Self { tree, leaves: Vec::new(), leaf, count: 0, separator, last }
    }

    /// Puts an entry behind those that it has.
    ///
    /// # Errors
    /// If a page cannot be written, or the tree is full. It must not be used any more then; so in what follows.
    pub(in crate::data) fn push<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        entry: &[u8],
    ) -> Result<(), P::Error> {
        let bytes = HEAD_BYTES + self.leaf.len() + varint_bytes(entry.len()) + entry.len();
        let mut separator = Vec::new();
        if self.count > 0
            && bytes > ground.limits.leaf_bytes
            && self.tree.order.separate(&self.last, entry, &mut separator)
        {
            self.write_leaf(ground)?;
            self.separator = separator;
        }
        put_entry(entry, &mut self.leaf);
        self.count += 1;
        self.tree.len += 1;
        self.last.clear();
        self.last.extend_from_slice(entry);
        Ok(())
    }

    /// The tree.
    ///
    /// # Errors
    /// As [`Filling::push`].
    pub(in crate::data) fn finish<P: Pages>(
        mut self,
        ground: &mut Ground<'_, P>,
    ) -> Result<Tree<O>, P::Error> {
        if u32::try_from(self.tree.len).is_err() {
            return Err(Fault::Full.into());
        }
        if self.leaves.is_empty() && HEAD_BYTES + self.leaf.len() <= ground.limits.root_bytes {
            self.tree.root = self.take_leaf()?;
            return Ok(self.tree);
        }
        self.write_leaf(ground)?;
        let Self { mut tree, leaves: mut children, .. } = self;
        loop {
            tree.height = tree.height.checked_add(1).ok_or(Fault::Full)?;
            let root = inner_page(&children, O::COUNTED);
            if root.len() <= ground.limits.root_bytes || children.len() == 1 {
                tree.root = root;
                return Ok(tree);
            }
            children = above(&mut tree, ground, children)?;
        }
    }

    fn write_leaf<P: Pages>(&mut self, ground: &mut Ground<'_, P>) -> Result<(), P::Error> {
        self.tree.widen(Shape::Leaf, self.count);
        // A leaf has fewer than 65,536.
        let below = if O::COUNTED { self.count as u32 } else { 0 };
        let node = ground.allocate()?;
        let page = self.take_leaf()?;
        ground.pages.put(node, page)?;
        self.leaves.push(Child { node, below, separator: std::mem::take(&mut self.separator) });
        Ok(())
    }

    fn take_leaf(&mut self) -> Result<Bytes, Fault> {
        let count = std::mem::take(&mut self.count);
        if count > usize::from(u16::MAX) {
            return Err(Fault::Full);
        }
        let page = [&head(Shape::Leaf, count), &self.leaf[..]].concat();
        self.leaf.clear();
        Ok(page.into())
    }
}

/// Writes the nodes above `children`, and returns them.
fn above<O: Order, P: Pages>(
    tree: &mut Tree<O>,
    ground: &mut Ground<'_, P>,
    children: Vec<Child>,
) -> Result<Vec<Child>, P::Error> {
    let mut nodes = Vec::new();
    let mut rest = &children[..];
    while let Some(first) = rest.first() {
        let mut bytes = HEAD_BYTES;
        let fitting = rest.iter().take_while(|child| {
            bytes += child_bytes(child, O::COUNTED);
            bytes <= ground.limits.inner_bytes
        });
        let (here, others) = rest.split_at(fitting.count().max(1));
        rest = others;
        tree.widen(Tree::<O>::INNER, here.len());
        let node = ground.allocate()?;
        ground.pages.put(node, inner_page(here, O::COUNTED))?;
        let below = here.iter().try_fold(0_u32, |sum, child| sum.checked_add(child.below));
        nodes.push(Child { node, below: below.ok_or(Fault::Full)?, separator: first.separator.clone() });
    }
    Ok(nodes)
}
