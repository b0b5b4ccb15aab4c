//! A list: a tree of which the two ends lie apart, each a leaf beside the root, so that what comes and goes there changes the key
//! record alone.
//!
//! ```text
//! front | middle, a tree | back
//! ```
//!
//! An end that is full goes into the tree as a whole, and one that is empty is half filled from there: so the tree changes once in
//! dozens of elements, in whatever order they come and go. A large element goes straight into the tree.
//!
//! Invariants, proven by [`Sequence::verify`]: an end is one leaf of at most [`MAX_END_BYTES`]; there are none where
//! [`Limits::end_bytes`](super::Limits) has no room for any.

use std::ops::Range;

use bytes::Bytes;

use super::page::{HEAD_BYTES, Node, Shape, head, put_entry, varint_bytes};
use super::{Fault, Ground, Listed, NodeNumber, Pages, Tree};

/// So many bytes an end has at most: four of them fill a leaf.
pub(in crate::data) const MAX_END_BYTES: usize = 255;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where index 0 is.
    Left,
    /// Where index -1 is.
    Right,
}

/// See the top of this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Sequence {
    /// The left end.
    pub(in crate::data) front: Tree<Listed>,
    /// What is between the ends.
    pub(in crate::data) middle: Tree<Listed>,
    /// The right end.
    pub(in crate::data) back: Tree<Listed>,
}

/// A part of it, and an index in that part.
enum Part {
    End(End, u64),
    Middle(u64),
}

impl Sequence {
    /// One without elements.
    pub(in crate::data) fn new() -> Self {
        Self::without_ends(Tree::new(Listed))
    }

    /// One whose ends are empty.
    pub(in crate::data) fn without_ends(middle: Tree<Listed>) -> Self {
        Self { front: Tree::new(Listed), middle, back: Tree::new(Listed) }
    }

    /// How many elements it has.
    pub(in crate::data) fn len(&self) -> u64 {
        self.front.len + self.middle.len + self.back.len
    }

    /// Where the element at an index is.
    fn part(&self, index: u64) -> Part {
        let (front, inner) = (self.front.len, self.front.len + self.middle.len);
        match index {
            _ if index < front => Part::End(End::Left, index),
            _ if index < inner => Part::Middle(index - front),
            _ => Part::End(End::Right, index - inner),
        }
    }

    /// Where an element is put in front of the one at an index.
    fn gap(&self, index: u64) -> Part {
        let (front, inner) = (self.front.len, self.front.len + self.middle.len);
        match index {
            _ if index == 0 || index < front => Part::End(End::Left, index),
            _ if index > inner || index == self.len() => Part::End(End::Right, index - inner),
            _ => Part::Middle(index - front),
        }
    }

    fn end(&mut self, end: End) -> &mut Tree<Listed> {
        match end {
            End::Left => &mut self.front,
            End::Right => &mut self.back,
        }
    }

    /// Visits elements from the one at `index` on, or from there backwards, until `visit` says `false`.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged; so in all that follow.
    pub(in crate::data) fn walk<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        index: u64,
        reverse: bool,
        mut visit: impl FnMut(Bytes) -> bool,
    ) -> Result<(), P::Error> {
        let inner = self.front.len + self.middle.len;
        let mut parts = [(0, &self.front), (self.front.len, &self.middle), (inner, &self.back)];
        if reverse {
            parts.reverse();
        }
        let mut goes_on = true;
        for (begin, part) in parts {
            let is_passed = if reverse { index < begin } else { index >= begin + part.len };
            if is_passed || part.len == 0 || !goes_on {
                continue;
            }
            let from = index.saturating_sub(begin).min(part.len - 1);
            part.walk(ground, from, reverse, |element| {
                goes_on = visit(element);
                goes_on
            })?;
        }
        Ok(())
    }

    /// Puts an element in front of the one at `index`, or at the right end.
    ///
    /// # Errors
    /// As [`Tree::splice`]; so in all that follow.
    pub(in crate::data) fn insert<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        index: u64,
        element: &[u8],
    ) -> Result<(), P::Error> {
        let index = index.min(self.len());
        let (end, at) = match self.gap(index) {
            Part::Middle(at) => return put(&mut self.middle, ground, at, 0, element),
            Part::End(end, at) => (end, at),
        };
        let (bytes, most) = (entry_bytes(element), ground.limits.end_bytes);
        // Where there is no room for a second one of its kind, it would be handed over with the next.
        if HEAD_BYTES + 2 * bytes > most {
            self.hand_over(ground, end)?;
            let at = index - self.front.len;
            return put(&mut self.middle, ground, at, 0, element);
        }
        if self.end(end).root.len() + bytes <= most {
            return Ok(give_way(self.end(end), at..at, Some(element)).map(drop)?);
        }
        self.hand_over(ground, end)?;
        self.insert(ground, index, element)
    }

    /// Replaces the element at `index`, which is there.
    pub(in crate::data) fn set<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        index: u64,
        element: &[u8],
    ) -> Result<(), P::Error> {
        let (end, at) = match self.part(index) {
            Part::Middle(at) => return put(&mut self.middle, ground, at, 1, element),
            Part::End(end, at) => (end, at),
        };
        let part = self.end(end);
        let was = Node::read(part.root.clone(), Shape::Leaf, 0)?.raw(at as usize).len();
        if part.root.len() - was + entry_bytes(element) <= ground.limits.end_bytes {
            return Ok(give_way(part, at..at + 1, Some(element)).map(drop)?);
        }
        self.hand_over(ground, end)?;
        self.set(ground, index, element)
    }

    /// Takes elements away from `index` on, at most `most`, as far as one leaf reaches, and returns them.
    ///
    /// # Errors
    /// If there is none.
    pub(in crate::data) fn take_some<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        index: u64,
        most: u64,
    ) -> Result<Vec<Bytes>, P::Error> {
        match self.part(index) {
            Part::Middle(at) => self.middle.take_some(ground, at, most),
            Part::End(end, at) => {
                let end = self.end(end);
                let to = at.saturating_add(most).min(end.len);
                if at >= to {
                    let what = "a list has fewer elements than it says";
                    return Err(Fault::Damaged { node: 0, what }.into());
                }
                Ok(give_way(end, at..to, None)?)
            }
        }
    }

    /// Before a few elements are taken off an end: half fills it if it is empty.
    pub(in crate::data) fn fill<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        end: End,
    ) -> Result<(), P::Error> {
        if self.end(end).len > 0 || self.middle.len == 0 {
            return Ok(());
        }
        let cursor =
            if end == End::Left { self.middle.first(ground)? } else { self.middle.end(ground)?.at(0) };
        let (leaf, most) = (&cursor.leaf.node, ground.limits.end_bytes.saturating_sub(HEAD_BYTES) / 2);
        let mut bytes = 0;
        let mut fits = |entry: &usize| {
            bytes += leaf.raw(*entry).len();
            bytes <= most
        };
        let count = leaf.count();
        let moved = match end {
            End::Left => 0..(0..count).take_while(&mut fits).count(),
            End::Right => count - (0..count).rev().take_while(&mut fits).count()..count,
        };
        if moved.is_empty() {
            return Ok(());
        }
        let page = [&head(Shape::Leaf, moved.len()), &leaf.page[leaf.bytes_of(moved.clone())]].concat();
        let (len, cursor) = (moved.len(), cursor.at(moved.start));
        self.middle.splice(ground, cursor, len, &[])?;
        *self.end(end) = Tree { root: page.into(), len: len as u64, ..Tree::new(Listed) };
        Ok(())
    }

    /// All that an end has goes into the tree.
    fn hand_over<P: Pages>(&mut self, ground: &mut Ground<'_, P>, end: End) -> Result<(), P::Error> {
        let part = std::mem::replace(self.end(end), Tree::new(Listed));
        if part.len == 0 {
            return Ok(());
        }
        let entries = part.first(ground)?;
        let entries: Vec<&[u8]> = entries.leaf().collect();
        let place = if end == End::Left { self.middle.first(ground)? } else { self.middle.end(ground)? };
        self.middle.splice(ground, place, 0, &entries)
    }

    /// Reads all of it. `seen` is told the number of each node below the root.
    ///
    /// # Errors
    /// The first fault found, or that a page cannot be read.
    pub(in crate::data) fn verify<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        seen: &mut impl FnMut(NodeNumber),
    ) -> Result<(), P::Error> {
        for end in [&self.front, &self.back] {
            if end.height > 0 || end.root.len() > MAX_END_BYTES {
                return Err(Fault::Damaged { node: 0, what: "an end of a list is more than a leaf" }.into());
            }
            end.verify(ground, seen)?;
        }
        self.middle.verify(ground, seen)
    }
}

/// Elements of an end, which it has, give way to another; returns them. They share its memory.
fn give_way(end: &mut Tree<Listed>, elements: Range<u64>, with: Option<&[u8]>) -> Result<Vec<Bytes>, Fault> {
    let node = Node::read(end.root.clone(), Shape::Leaf, 0)?;
    // It has fewer than its page has bytes.
    let gone = elements.start as usize..elements.end as usize;
    let place = node.bytes_of(gone.clone());
    let count = node.count() - gone.len() + usize::from(with.is_some());
    let mut page = Vec::with_capacity(node.page.len() - place.len() + with.map_or(0, entry_bytes));
    page.extend_from_slice(&head(Shape::Leaf, count));
    page.extend_from_slice(&node.page[HEAD_BYTES..place.start]);
    if let Some(element) = with {
        put_entry(element, &mut page);
    }
    page.extend_from_slice(&node.page[place.end..]);
    end.root = page.into();
    end.len = count as u64;
    Ok(gone.map(|entry| node.page.slice(node.place(entry))).collect())
}

/// How many bytes an element takes in a page.
fn entry_bytes(element: &[u8]) -> usize {
    varint_bytes(element.len()) + element.len()
}

/// From the one at `index` on, `remove` elements of a leaf give way to another.
fn put<P: Pages>(
    tree: &mut Tree<Listed>,
    ground: &mut Ground<'_, P>,
    index: u64,
    remove: usize,
    element: &[u8],
) -> Result<(), P::Error> {
    let mut place = if index >= tree.len { tree.end(ground)? } else { tree.nth(ground, index)? };
    if remove > 0 {
        tree.settle(ground, &mut place)?;
    }
    tree.splice(ground, place, remove, &[element])
}
