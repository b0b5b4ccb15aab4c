//! An entry of a tree that counts moves to another place, as a member does that gets another score.
//!
//! To take it away and to put it in are two changes, each of which goes up to the root. Both at once change the two leaves and what
//! is counted on the ways down to them, each node once; and above the node where these ways part nothing changes. That is so unless a
//! leaf has to be cut, joined or removed: then it is two changes.
//!
//! Both ways are found before a leaf is read, and each leaf is announced, so that it comes while something else is done.
//!
//! Invariant: both places are found before anything is written.

use std::ops::Range;

use super::cursor::{Approach, Fork, Step, leaf_has};
use super::edit::{Edit, Fate};
use super::page::{entry_in, put_entry, varint_bytes};
use super::{Ground, Order, Pages, Probe, Tree};
use crate::store::Splices;

/// The ways to an entry and to where it goes.
#[derive(Debug)]
pub(in crate::data) struct Ways {
    from: Approach,
    /// The second, unless it ends in the same leaf.
    to: Option<Fork>,
}

impl<O: Order> Tree<O> {
    /// The ways to the place of an entry, whose leaf is announced, and to where it goes, which is known.
    ///
    /// # Errors
    /// As [`Tree::seek`].
    pub(in crate::data) fn part<P: Pages>(
        &self,
        ground: &mut Ground<'_, P>,
        Approach { mut way, leaf }: Approach,
        from: &impl Probe,
    ) -> Result<Ways, P::Error> {
        let fork = if leaf_has(&way, from) { None } else { self.fork(ground, &way, from)? };
        let Some(Fork { level, child, below: Approach { way: below, leaf: leaf_left } }) = fork else {
            return Ok(Ways { from: Approach { way, leaf }, to: None });
        };
        ground.pages.announce(leaf_left);
        let rest = Approach { way: way.split_off(level + 1), leaf };
        let to = Fork { level, child: std::mem::replace(&mut way[level].at, child), below: rest };
        way.extend(below);
        Ok(Ways { from: Approach { way, leaf: leaf_left }, to: Some(to) })
    }

    /// The entry that `is_it` is true of, at `from`, gives way to one that is as long and stands at `place`. `false`: it is not there.
    ///
    /// # Errors
    /// As [`Tree::splice`].
    pub(in crate::data) fn relocate<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        ways: Ways,
        (from, is_it): (&impl Probe, impl Fn(&[u8]) -> bool),
        place: &impl Probe,
        entry: &[u8],
    ) -> Result<bool, P::Error> {
        let to = match ways.to {
            Some(Fork { level, child, below }) => Some((level, child, self.arrive(ground, below, place)?)),
            None => None,
        };
        let mut cursor = self.arrive(ground, ways.from, from)?;
        if cursor.entry().is_some_and(&is_it) {
            let gone = cursor.leaf.node.bytes_of(cursor.leaf.at..cursor.leaf.at + 1);
            let mut raw = Vec::with_capacity(varint_bytes(entry.len()) + entry.len());
            put_entry(entry, &mut raw);
            debug_assert_eq!(raw.len(), gone.len(), "its leaf may become too large");
            let Some((level, child, below)) = to else {
                return self.move_within_leaf(ground, cursor.leaf, gone, place, &raw).map(|()| true);
            };
            let (from, to) = (&cursor.leaf, &below.leaf);
            let taken = Edit::new(&from.node, from.at..from.at + 1, Vec::new(), 0);
            let put = Edit::new(&to.node, to.at..to.at, raw, 1);
            let fates = [taken.fate(&from.node, ground.limits), put.fate(&to.node, ground.limits)];
            if fates == [Fate::Stays; 2] {
                self.write_edited(ground, cursor.leaf, &taken)?;
                self.write_edited(ground, below.leaf, &put)?;
                return self.count_moved(ground, cursor.way, (level, child), below.way).map(|()| true);
            }
        } else {
            // Where separators were cut off it may be the first of the next leaf.
            cursor = self.seek(ground, from)?;
            self.settle(ground, &mut cursor)?;
            if !cursor.entry().is_some_and(&is_it) {
                return Ok(false);
            }
        }
        self.splice(ground, cursor, 1, &[])?;
        let cursor = self.seek(ground, place)?;
        self.splice(ground, cursor, 0, &[entry])?;
        Ok(true)
    }

    /// What counts the entries of leaves does not change.
    fn move_within_leaf<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        leaf: Step,
        gone: Range<usize>,
        place: &impl Probe,
        raw: &[u8],
    ) -> Result<(), P::Error> {
        let (node, from) = (&leaf.node, leaf.at);
        let to = node.count_passed(|_, raw| place.passes(entry_in(raw)));
        let mut splices = Splices::default();
        if to == from || to == from + 1 {
            splices.replace(gone.start, &node.page[gone], raw);
        } else if to < from {
            splices.push(node.bytes_of(to..to).start, 0, raw);
            splices.push(gone.start, gone.len(), &[]);
        } else {
            splices.push(gone.start, gone.len(), &[]);
            splices.push(node.bytes_of(to..to).start, 0, raw);
        }
        self.write(ground, leaf, splices)
    }

    /// One entry less is below the nodes of one way, and one more below those of the other one, which leaves it at a level for a child.
    fn count_moved<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        mut way: Vec<Step>,
        (level, child): (usize, usize),
        other: Vec<Step>,
    ) -> Result<(), P::Error> {
        self.count(ground, way.split_off(level + 1), -1)?;
        self.count(ground, other, 1)?;
        let Some(parting) = way.pop() else { return Ok(()) };
        let mut both = [(parting.at, -1), (child, 1)];
        both.sort_unstable();
        self.count_below(ground, parting, &both)
    }
}
