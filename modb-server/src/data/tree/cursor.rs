//! A place in a tree and the nodes on the way down to it.
//!
//! Invariant: a cursor is good for the tree that made it until that is changed; [`Tree::splice`] takes it away.

use std::ops::{Deref, Range};

use bytes::Bytes;
use modb_net::Seq;

use super::page::{Node, Shape, entry_in, fixed_bytes};
use super::{Ground, NodeNumber, Order, Pages, Probe, Tree};

/// A node on the way, and which of its entries.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// 0 for the root.
    pub(super) number: NodeNumber,
    pub(super) node: Node,
    /// The commit that wrote it, as [`Pages::read`] says.
    pub(super) seq: Seq,
    pub(super) at: usize,
}

impl Step {
    /// The entry of a leaf here, sharing the page's memory; `None` at its end.
    pub(super) fn entry_bytes(&self) -> Option<Bytes> {
        (self.at < self.node.count()).then(|| self.node.page.slice(self.node.place(self.at)))
    }
}

/// A place: that of an entry, or the end of a leaf.
#[derive(Clone, Debug)]
pub(in crate::data) struct Cursor {
    /// From the root to the leaf; never empty.
    pub(super) way: Vec<Step>,
    pub(super) leaf: Step,
}

/// The way down to a leaf that is still to be read.
#[derive(Debug)]
pub(in crate::data) struct Approach {
    pub(super) way: Vec<Step>,
    pub(super) leaf: NodeNumber,
}

/// A way beside another, which it shares to begin with.
#[derive(Debug)]
pub(super) struct Fork {
    /// The node where they part ...
    pub(super) level: usize,
    /// ... the child that it goes on to ...
    pub(super) child: usize,
    /// ... and the rest of it.
    pub(super) below: Approach,
}

impl Cursor {
    /// The entry here; `None` at the end of a leaf, behind which others may follow ([`Tree::settle`]).
    pub(in crate::data) fn entry(&self) -> Option<&[u8]> {
        (self.leaf.at < self.leaf.node.count()).then(|| self.leaf.node.entry(self.leaf.at))
    }

    /// As [`Cursor::entry`], sharing the page's memory.
    pub(in crate::data) fn entry_bytes(&self) -> Option<Bytes> {
        self.leaf.entry_bytes()
    }

    /// The entries of this leaf from here on.
    pub(in crate::data) fn rest_of_leaf(&self) -> impl Iterator<Item = &[u8]> {
        (self.leaf.at..self.leaf.node.count()).map(|entry| self.leaf.node.entry(entry))
    }

    /// All entries of this leaf.
    pub(in crate::data) fn leaf(&self) -> impl Iterator<Item = &[u8]> {
        self.leaf.node.entries()
    }

    /// The same leaf, at its `entry`-th entry.
    pub(in crate::data) fn at(mut self, entry: usize) -> Self {
        self.leaf.at = entry.min(self.leaf.node.count());
        self
    }

    /// How many entries stand before it, in a tree that counts.
    pub(in crate::data) fn rank(&self) -> u64 {
        let before = |step: &Step| step.node.counts().take(step.at).map(u64::from).sum::<u64>();
        self.way.iter().map(before).sum::<u64>() + self.leaf.at as u64
    }

    /// The separator that ends this leaf; `None` for the last leaf.
    pub(super) fn end_of_leaf(&self) -> Option<&[u8]> {
        end_of_leaf(&self.way)
    }

    /// The separator that begins this leaf; empty for the first.
    pub(super) fn start_of_leaf(&self) -> &[u8] {
        start_of_leaf(&self.way)
    }
}

/// Whether a place is for sure in the leaf that this way leads to: its separators tell.
pub(super) fn leaf_has(way: &[Step], place: &impl Probe) -> bool {
    let start = start_of_leaf(way);
    (start.is_empty() || place.reaches(start) == Some(true))
        && end_of_leaf(way).is_none_or(|end| place.reaches(end) == Some(false))
}

fn end_of_leaf(way: &[Step]) -> Option<&[u8]> {
    let next = |step: &'_ Step| (step.at + 1 < step.node.count()).then_some(step.at + 1);
    let step = way.iter().rev().find(|step| next(step).is_some())?;
    step.node.child(step.at + 1).map(|child| child.separator)
}

fn start_of_leaf(way: &[Step]) -> &[u8] {
    let step = way.iter().rev().find(|step| step.at > 0);
    step.and_then(|step| step.node.child(step.at)).map_or(&[], |child| child.separator)
}

impl<O: Order> Tree<O> {
    pub(super) const INNER: Shape =
        Shape::Inner { counted: O::COUNTED, min_separator_bytes: O::MIN_SEPARATOR_BYTES };

    /// The way down, by what `choose` takes in each inner node; the place in the leaf is its start.
    pub(super) fn descend<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        choose: impl FnMut(&Node, &mut Ground<'_, P>, u8) -> Result<usize, P::Error>,
    ) -> Result<Cursor, P::Error> {
        self.descend_from(ground, 0, self.height, choose)
    }

    /// As [`Tree::descend`], from the node `number` on, which is `height` nodes above an entry.
    fn descend_from<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        number: NodeNumber,
        height: u8,
        choose: impl FnMut(&Node, &mut Ground<'_, P>, u8) -> Result<usize, P::Error>,
    ) -> Result<Cursor, P::Error> {
        let Approach { way, leaf } = self.descend_above(ground, number, height, choose)?;
        Ok(Cursor { way, leaf: self.read_step(ground, leaf, 0)? })
    }

    /// As [`Tree::descend_from`], but for the leaf.
    fn descend_above<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        mut number: NodeNumber,
        height: u8,
        mut choose: impl FnMut(&Node, &mut Ground<'_, P>, u8) -> Result<usize, P::Error>,
    ) -> Result<Approach, P::Error> {
        let mut way = Vec::with_capacity(usize::from(height));
        for height in (1..=height).rev() {
            let mut step = self.read_step(ground, number, height)?;
            step.at = choose(&step.node, ground, height)?;
            number = child_number(&step)?;
            way.push(step);
        }
        Ok(Approach { way, leaf: number })
    }

    /// Reads the node `number`, which is `height` nodes above an entry.
    pub(super) fn read_step<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        number: NodeNumber,
        height: u8,
    ) -> Result<Step, P::Error> {
        let (page, seq) =
            if number == 0 { (self.root.clone(), Seq::ZERO) } else { ground.pages.read(number)? };
        let shape = if height == 0 { Shape::Leaf } else { Self::INNER };
        Ok(Step { number, node: Node::read(page, shape, number)?, seq, at: 0 })
    }

    /// The first place.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged; so in all that follow.
    pub(in crate::data) fn first<P: Pages>(&self, ground: &mut Ground<'_, P>) -> Result<Cursor, P::Error> {
        self.descend(ground, |_, _, _| Ok(0))
    }

    /// The place behind the last entry.
    pub(in crate::data) fn end<P: Pages>(&self, ground: &mut Ground<'_, P>) -> Result<Cursor, P::Error> {
        let cursor = self.descend(ground, |node, _, _| Ok(node.count().saturating_sub(1)))?;
        Ok(cursor.at(usize::MAX))
    }

    /// The entry at `index`, or the end, in a tree that counts.
    pub(in crate::data) fn nth<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        index: u64,
    ) -> Result<Cursor, P::Error> {
        let mut left = index;
        let cursor = self.descend(ground, |node, _, _| {
            let last = node.count().saturating_sub(1);
            let mut passed = 0;
            for below in node.counts().take(last).map(u64::from) {
                if left < below {
                    break;
                }
                left -= below;
                passed += 1;
            }
            Ok(passed)
        })?;
        Ok(cursor.at(usize::try_from(left).unwrap_or(usize::MAX)))
    }

    /// The place that a probe seeks: where an entry that it passes last ends.
    pub(in crate::data) fn seek<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        probe: &impl Probe,
    ) -> Result<Cursor, P::Error> {
        self.seek_from(ground, 0, self.height, probe)
    }

    /// As [`Tree::seek`], below the node `number`, which is `height` nodes above an entry.
    fn seek_from<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        number: NodeNumber,
        height: u8,
        probe: &impl Probe,
    ) -> Result<Cursor, P::Error> {
        let approach = self.approach_from(ground, number, height, probe)?;
        self.arrive(ground, approach, probe)
    }

    /// The way to the place that a probe seeks; the leaf is announced.
    ///
    /// # Errors
    /// As [`Tree::seek`].
    pub(in crate::data) fn approach<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        probe: &impl Probe,
    ) -> Result<Approach, P::Error> {
        let approach = self.approach_from(ground, 0, self.height, probe)?;
        ground.pages.announce(approach.leaf);
        Ok(approach)
    }

    fn approach_from<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        number: NodeNumber,
        height: u8,
        probe: &impl Probe,
    ) -> Result<Approach, P::Error> {
        let towards =
            |node: &Node, ground: &mut Ground<'_, P>, height| self.child_towards(ground, node, height, probe);
        self.descend_above(ground, number, height, towards)
    }

    /// The place that a probe seeks, at the end of the way to it.
    ///
    /// # Errors
    /// As [`Tree::seek`].
    pub(in crate::data) fn arrive<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        Approach { way, leaf }: Approach,
        probe: &impl Probe,
    ) -> Result<Cursor, P::Error> {
        let mut leaf = self.read_step(ground, leaf, 0)?;
        leaf.at = leaf.node.count_passed(|_, raw| probe.passes(entry_in(raw)));
        Ok(Cursor { way, leaf })
    }

    /// The child below which the place is that a probe seeks, in a node that is `height` nodes above an entry and has that place below it.
    fn child_towards<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        node: &Node,
        height: u8,
        probe: &impl Probe,
    ) -> Result<usize, P::Error> {
        // The first child always does; then come those that do, those of which their first entry tells, and those that do not.
        let reaches =
            |raw: &[u8]| raw.get(fixed_bytes(O::COUNTED)..).map(|separator| probe.reaches(separator));
        let mut is_sure = true;
        let may = |at, raw: &[u8]| {
            let reaches = if at == 0 { Some(Some(true)) } else { reaches(raw) };
            let may = matches!(reaches, Some(None | Some(true)));
            if may {
                // The last that may is the last one that is asked for and does.
                is_sure = reaches == Some(Some(true));
            }
            may
        };
        let mut behind = node.count_passed(may);
        if !is_sure {
            let does = |at, raw: &[u8]| at == 0 || reaches(raw) == Some(Some(true));
            let first = node.count_passed(does);
            behind = first_not(first..behind, |at| {
                let Some(child) = node.child(at) else { return Ok(false) };
                Ok::<_, P::Error>(probe.passes(&self.first_below(ground, child.node, height - 1)?))
            })?;
        }
        Ok(behind.saturating_sub(1))
    }

    /// Where the way to the place that a probe seeks leaves another one; `None`: it ends in the same leaf.
    pub(super) fn fork<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        way: &[Step],
        probe: &impl Probe,
    ) -> Result<Option<Fork>, P::Error> {
        for (level, step) in way.iter().enumerate() {
            // It is as high as there are nodes on the way to the leaf, this one included.
            let height = (way.len() - level) as u8;
            let child = self.child_towards(ground, &step.node, height, probe)?;
            if child != step.at {
                let number = number_of_child(step, child)?;
                let below = self.approach_from(ground, number, height - 1, probe)?;
                return Ok(Some(Fork { level, child, below }));
            }
        }
        Ok(None)
    }

    /// The first entry below a node.
    fn first_below<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        mut number: NodeNumber,
        height: u8,
    ) -> Result<Vec<u8>, P::Error> {
        for height in (1..=height).rev() {
            number = child_number(&self.read_step(ground, number, height)?)?;
        }
        Ok(self.read_step(ground, number, 0)?.node.entry(0).to_vec())
    }

    /// The same place, but at the start of the next leaf instead of the end of one, where there is a next.
    pub(in crate::data) fn settle<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        cursor: &mut Cursor,
    ) -> Result<(), P::Error> {
        if cursor.leaf.at >= cursor.leaf.node.count() {
            self.turn(ground, cursor, Direction::On)?;
        }
        Ok(())
    }

    /// One entry on; at the end it stays there.
    pub(in crate::data) fn advance<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        cursor: &mut Cursor,
    ) -> Result<(), P::Error> {
        cursor.leaf.at = (cursor.leaf.at + 1).min(cursor.leaf.node.count());
        self.settle(ground, cursor)
    }

    /// On to the start of the next leaf. `false`: this was the last, and the place is its end.
    pub(in crate::data) fn next_leaf<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        cursor: &mut Cursor,
    ) -> Result<bool, P::Error> {
        cursor.leaf.at = cursor.leaf.node.count();
        self.turn(ground, cursor, Direction::On)
    }

    /// One entry back. `false`: there was none before it.
    pub(in crate::data) fn retreat<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        cursor: &mut Cursor,
    ) -> Result<bool, P::Error> {
        if cursor.leaf.at == 0 && !self.turn(ground, cursor, Direction::Back)? {
            return Ok(false);
        }
        let Some(at) = cursor.leaf.at.checked_sub(1) else { return Ok(false) };
        cursor.leaf.at = at;
        Ok(true)
    }

    /// Visits entries from the one at `index` on, or from there backwards, until `visit` says `false`; in a tree that counts.
    pub(in crate::data) fn walk<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        index: u64,
        reverse: bool,
        mut visit: impl FnMut(Bytes) -> bool,
    ) -> Result<(), P::Error> {
        let mut cursor = self.nth(ground, index)?;
        self.settle(ground, &mut cursor)?;
        while let Some(entry) = cursor.entry_bytes() {
            if !visit(entry) {
                break;
            }
            if !reverse {
                self.advance(ground, &mut cursor)?;
            } else if !self.retreat(ground, &mut cursor)? {
                break;
            }
        }
        Ok(())
    }

    /// To the start of the next leaf, or to the end of the one before. `false`: there is none, and nothing changed.
    fn turn<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        cursor: &mut Cursor,
        direction: Direction,
    ) -> Result<bool, P::Error> {
        let on = |step: &Step| match direction {
            Direction::On => Some(step.at + 1).filter(|&at| at < step.node.count()),
            Direction::Back => step.at.checked_sub(1),
        };
        let Some((level, at)) =
            cursor.way.iter().enumerate().rev().find_map(|(level, step)| Some((level, on(step)?)))
        else {
            return Ok(false);
        };
        cursor.way.truncate(level + 1);
        cursor.way[level].at = at;
        for height in (0..usize::from(self.height) - level).rev() {
            let number = child_number(&cursor.way[cursor.way.len() - 1])?;
            let mut step = self.read_step(ground, number, height as u8)?;
            if direction == Direction::Back {
                step.at = step.node.count().saturating_sub(usize::from(height > 0));
            }
            if height > 0 {
                cursor.way.push(step);
            } else {
                cursor.leaf = step;
            }
        }
        Ok(true)
    }
}

/// The first of a range that `is` does not hold for, of which it holds for none behind that; the end, if it holds for all.
fn first_not<E>(
    Range { mut start, mut end }: Range<usize>,
    mut is: impl FnMut(usize) -> Result<bool, E>,
) -> Result<usize, E> {
    while start < end {
        let middle = usize::midpoint(start, end);
        if is(middle)? {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    Ok(start)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    On,
    Back,
}

/// The node that a step leads to.
pub(super) fn child_number(step: &Step) -> Result<NodeNumber, super::Fault> {
    number_of_child(step, step.at)
}

fn number_of_child(step: &Step, child: usize) -> Result<NodeNumber, super::Fault> {
    number_of_child_in(&step.node, step.number, child)
}

/// The node that a child of this one is.
pub(super) fn number_of_child_in<B: Deref<Target = [u8]>>(
    node: &Node<B>,
    number: NodeNumber,
    child: usize,
) -> Result<NodeNumber, super::Fault> {
    let damaged = super::Fault::Damaged { node: number, what: "it leads nowhere" };
    node.child_number(child).filter(|&number| number != 0).ok_or(damaged)
}
