//! The one function that changes a tree: some entries of a leaf give way to others.
//!
//! The change runs up the way that the cursor came down: each node that it meets is edited once, cut where it grew too
//! large, joined with a neighbour where it grew small, or removed where nothing is left in it. What the node above has to
//! know of that is a [`Change`].
//!
//! Invariants: a node is written after what it leads to; a node that does not change is not written, however large. Nodes
//! that are filled from one end stay full: they are cut where the new entry begins.

use std::ops::Range;

use bytes::Bytes;

use super::cursor::{Cursor, Step};
use super::ground::Limits;
use super::page::{
    self, Child, HEAD_BYTES, Node, Shape, fixed_bytes, head, inner_page, put_child, put_entry, varint_bytes,
};
use super::{Fault, Ground, Order, Pages, Tree, splice};
use crate::store::Splices;

/// Two pieces of a node that differ by at most this part of both are cut where the shortest separator is (Bayer and Unterauer 1977): of
/// short ones more fit the node above, and where all are as short as can be its entries are found by halves.
const NEAR_THE_MIDDLE: usize = 4;

/// What the node above has to know.
enum Change {
    /// So many entries more are below the node.
    Below(i64),
    /// These of its children give way to others.
    Children(Range<usize>, Vec<Child>),
}

/// Entries of a node that give way to others.
pub(super) struct Edit {
    entries: Range<usize>,
    /// Where they lie in the node.
    gone: Range<usize>,
    /// The others, as bytes, and how many.
    insert: Vec<u8>,
    inserted: usize,
    /// How many entries of the tree come with them, less those that go.
    added: i64,
    /// Where it stays full if it grows too large: entries came at an end of the tree.
    lean: Option<Lean>,
}

/// What becomes of a node that is edited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing is left in it.
    Empty,
    /// It is to be cut.
    Large,
    /// It may be joined with a neighbour: it is small, and has become smaller.
    Small,
    /// It stays as the node that it is.
    Stays,
}

/// At which end of a tree entries come. Those that come there next go to the node at that end, so the other one is left full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lean {
    First,
    Last,
}

impl<O: Order> Tree<O> {
    /// From the place of `cursor` on, `remove` entries of its leaf give way to `insert`.
    ///
    /// In a tree that counts they stand where they are put; whoever puts them keeps the order.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged, or the tree is full. The tree must not be used any more then.
    pub(in crate::data) fn splice<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        cursor: Cursor,
        remove: usize,
        insert: &[&[u8]],
    ) -> Result<(), P::Error> {
        let Cursor { mut way, leaf } = cursor;
        let first = leaf.at;
        let end = first.saturating_add(remove).min(leaf.node.count());
        if first == end && insert.is_empty() {
            return Ok(());
        }
        let added = insert.len() as i64 - (end - first) as i64;
        self.grow(added)?;
        let of_entries = insert.iter().map(|entry| varint_bytes(entry.len()) + entry.len());
        let mut bytes = Vec::with_capacity(of_entries.sum());
        insert.iter().for_each(|entry| put_entry(entry, &mut bytes));
        let is_last =
            || first == leaf.node.count() && way.iter().all(|step| step.at + 1 == step.node.count());
        let is_first = || first == 0 && way.iter().all(|step| step.at == 0);
        let lean = if !O::COUNTED || first != end {
            None
        } else if is_last() {
            Some(Lean::Last)
        } else {
            is_first().then_some(Lean::First)
        };
        let mut edit = Edit { added, lean, ..Edit::new(&leaf.node, first..end, bytes, insert.len()) };
        let mut step = leaf;
        while let Some(above) = way.pop() {
            match self.change(ground, step, &above, &edit)? {
                Change::Below(added) if !O::COUNTED || added == 0 => return Ok(()),
                Change::Below(added) => {
                    way.push(above);
                    return self.count(ground, way, added);
                }
                Change::Children(children, with) => {
                    edit = Edit::of_children::<O>(&above.node, children, &with, &edit);
                }
            }
            step = above;
        }
        self.change_root(ground, step, &edit)
    }

    /// Takes entries away from `index` on, at most `most`, as far as one leaf reaches, and returns them; in a tree that counts.
    ///
    /// # Errors
    /// As [`Tree::splice`], and if there is none.
    pub(in crate::data) fn take_some<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        index: u64,
        most: u64,
    ) -> Result<Vec<Bytes>, P::Error> {
        let mut cursor = self.nth(ground, index)?;
        self.settle(ground, &mut cursor)?;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let gone: Vec<Bytes> = cursor.rest_of_leaf().take(most).map(Bytes::copy_from_slice).collect();
        if gone.is_empty() {
            return Err(Fault::Damaged { node: 0, what: "it has fewer entries than it says" }.into());
        }
        self.splice(ground, cursor, gone.len(), &[])?;
        Ok(gone)
    }

    /// It has so many entries more.
    pub(super) fn grow(&mut self, added: i64) -> Result<(), Fault> {
        let len = self.len.checked_add_signed(added).filter(|&len| len <= u64::from(u32::MAX));
        self.len = len.ok_or(Fault::Full)?;
        Ok(())
    }

    /// Adds to the counts of all nodes on the way.
    pub(super) fn count<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        way: Vec<Step>,
        added: i64,
    ) -> Result<(), P::Error> {
        for step in way.into_iter().rev() {
            let at = step.at;
            self.count_below(ground, step, &[(at, added)])?;
        }
        Ok(())
    }

    /// Adds to what a node says to be below some of its children, in the order in which they stand.
    pub(super) fn count_below<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        step: Step,
        more: &[(usize, i64)],
    ) -> Result<(), P::Error> {
        let mut splices = Splices::default();
        for &(at, added) in more {
            let (place, was) = step.node.below_child(at).ok_or(step.damaged("it leads nowhere"))?;
            let below = i64::from(was) + added;
            let below = u32::try_from(below).map_err(|_| step.damaged("a count"))?;
            splices.replace(place, &was.to_be_bytes(), &below.to_be_bytes());
        }
        self.write(ground, step, splices)
    }

    /// Edits a node below the root.
    fn change<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        step: Step,
        above: &Step,
        edit: &Edit,
    ) -> Result<Change, P::Error> {
        let Step { number, ref node, .. } = step;
        let here = above.at..above.at + 1;
        match edit.fate(node, ground.limits) {
            Fate::Empty => {
                ground.release(number)?;
                return Ok(Change::Children(here, Vec::new()));
            }
            Fate::Large => {
                let child = above.node.child(above.at).ok_or(above.damaged("it leads nowhere"))?;
                let new = Node::read(edit.apply(node)?, node.shape(), number)?;
                let children = self.cut(ground, &new, Some(&step), child.separator, edit)?;
                return Ok(Change::Children(here, children));
            }
            Fate::Small => {
                if let Some(joined) = self.join(ground, &step, above, edit)? {
                    return Ok(joined);
                }
            }
            Fate::Stays => {}
        }
        let (_, bytes) = edit.result(node);
        self.write_edited(ground, step, edit)?;
        // Where it is all that is below the root it may be small enough now to take its place.
        if above.number == 0 && above.node.count() == 1 && becomes_root(bytes, ground.limits) {
            let child = above.node.child(above.at).ok_or(above.damaged("it leads nowhere"))?;
            let below = if O::COUNTED { i64::from(child.below) + edit.added } else { 0 };
            let below = u32::try_from(below).map_err(|_| above.damaged("a count"))?;
            let child = Child { node: number, below, separator: child.separator.to_vec() };
            return Ok(Change::Children(here, vec![child]));
        }
        Ok(Change::Below(edit.added))
    }

    /// Edits the root: cut, it becomes a level of its own below a new root; left with one child, it becomes that child.
    fn change_root<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        step: Step,
        edit: &Edit,
    ) -> Result<(), P::Error> {
        self.root = edit.apply(&step.node)?;
        // A leaf with a large entry, or a node with more than one child: a child alone always fits.
        while self.root.len() > ground.limits.root_bytes && (self.height == 0 || self.root_count() > 1) {
            let root = self.read_step(ground, 0, self.height)?;
            let children = self.cut(ground, &root.node, None, b"", edit)?;
            self.root = inner_page(&children, O::COUNTED);
            self.height = self.height.checked_add(1).ok_or(Fault::Full)?;
        }
        while self.height > 0 && self.root_count() <= 1 {
            let root = self.read_step(ground, 0, self.height)?;
            let Some(child) = root.node.child(0) else {
                (self.root, self.height) = (page::empty_leaf(), 0);
                break;
            };
            let number = child.node;
            let (page, _) = ground.pages.read(number)?;
            if !becomes_root(page.len(), ground.limits) {
                break;
            }
            ground.release(number)?;
            self.root = page;
            self.height -= 1;
        }
        Ok(())
    }

    fn root_count(&self) -> usize {
        page::count_in(&self.root)
    }

    /// Cuts a node into as many as it takes, each within the limit where its entries are, and writes them. The largest keeps
    /// the number, and is not written if it is as it was.
    fn cut<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        node: &Node,
        was: Option<&Step>,
        separator: &[u8],
        edit: &Edit,
    ) -> Result<Vec<Child>, P::Error> {
        let shape = node.shape();
        let mut entries: Vec<&[u8]> = match shape {
            Shape::Leaf => node.entries().collect(),
            Shape::Inner { .. } => (0..node.count()).map(|entry| node.raw(entry)).collect(),
        };
        if shape == Shape::Leaf {
            self.order.arrange(&mut entries);
        }
        let mut pieces = Vec::new();
        let most = limit(ground.limits, shape);
        self.pieces(&entries, shape, 0..entries.len(), most, edit.lean, &mut pieces);
        let keeper = was
            .and_then(|_| pieces.iter().max_by_key(|piece| bytes_of(shape, &entries[piece.entries.clone()])))
            .map(|piece| piece.entries.start);
        let mut children = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let entries = &entries[piece.entries.clone()];
            let page = assemble(shape, entries)?;
            let number = match was {
                Some(step) if keeper == Some(piece.entries.start) => step.number,
                _ => ground.allocate()?,
            };
            if !was.is_some_and(|was| was.number == number && was.node.page == page) {
                ground.pages.put(number, page.clone())?;
            }
            self.widen(shape, entries.len());
            let below = if O::COUNTED { Node::read(page, shape, number)?.below() } else { 0 };
            let separator = if piece.entries.start == 0 { separator.to_vec() } else { piece.separator };
            children.push(Child {
                node: number,
                below: u32::try_from(below).map_err(|_| Fault::Full)?,
                separator,
            });
        }
        Ok(children)
    }

    /// Where to cut: as evenly as entries and short separators allow, or so that what is away from the end that it leans to is full.
    fn pieces(
        &self,
        all: &[&[u8]],
        shape: Shape,
        entries: Range<usize>,
        most: usize,
        lean: Option<Lean>,
        out: &mut Vec<Piece>,
    ) {
        let total = bytes_of(shape, &all[entries.clone()]);
        if total + HEAD_BYTES <= most || entries.len() < 2 {
            out.push(Piece { entries, separator: Vec::new() });
            return;
        }
        let cuts = entries.clone().skip(1).scan(0, |before, at| {
            *before += bytes_of(shape, &all[at - 1..at]);
            Some((*before, total - *before, at))
        });
        let separated = |at: usize| {
            let mut separator = Vec::new();
            self.separator(shape, all[at - 1], all[at], &mut separator).then_some((at, separator))
        };
        let fits = |bytes: usize| bytes + HEAD_BYTES <= most;
        let full = match lean {
            None => None,
            Some(Lean::Last) => cuts.clone().take_while(|(before, ..)| fits(*before)).last(),
            Some(Lean::First) => cuts.clone().find(|(_, behind, _)| fits(*behind)),
        };
        // How uneven the halves are.
        let halves = cuts.map(|(before, behind, at)| (before.abs_diff(behind), at));
        let is_short =
            |(_, separator): &(usize, Vec<u8>)| separator.len() <= usize::from(O::MIN_SEPARATOR_BYTES);
        let middle = || halves.clone().min().and_then(|(_, at)| separated(at)).filter(is_short);
        let cut = full.and_then(|(.., at)| separated(at)).or_else(middle).or_else(|| {
            let near = halves.clone().filter(|(uneven, _)| *uneven <= total / NEAR_THE_MIDDLE);
            let separated = near.filter_map(|(uneven, at)| Some((uneven, separated(at)?)));
            let shortest = separated.min_by_key(|(uneven, (_, separator))| (separator.len(), *uneven));
            shortest.map(|(_, cut)| cut)
        });
        let cut = cut.or_else(|| {
            // Entries that nothing separates are rare.
            let mut halves: Vec<_> = halves.collect();
            halves.sort_unstable();
            halves.into_iter().find_map(|(_, at)| separated(at))
        });
        let Some((at, separator)) = cut else {
            out.push(Piece { entries, separator: Vec::new() });
            return;
        };
        self.pieces(all, shape, entries.start..at, most, lean, out);
        let second = out.len();
        self.pieces(all, shape, at..entries.end, most, lean, out);
        out[second].separator = separator;
    }

    /// Appends what separates two entries of a node. `false`: nothing does.
    fn separator(&self, shape: Shape, left: &[u8], right: &[u8], out: &mut Vec<u8>) -> bool {
        match shape {
            Shape::Leaf => self.order.separate(left, right, out),
            Shape::Inner { counted, .. } => {
                out.extend_from_slice(right.get(fixed_bytes(counted)..).unwrap_or_default());
                true
            }
        }
    }

    /// Joins a node with a neighbour, if they fit one page well.
    fn join<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        step: &Step,
        above: &Step,
        edit: &Edit,
    ) -> Result<Option<Change>, P::Error> {
        let shape = step.node.shape();
        let right_too = above.at + 1 < above.node.count();
        let pair = match (right_too, above.at.checked_sub(1)) {
            (true, _) => above.at..above.at + 2,
            (false, Some(left)) => left..above.at + 1,
            (false, None) => return Ok(None),
        };
        let other = if right_too { above.at + 1 } else { above.at - 1 };
        let missing = above.damaged("it leads nowhere");
        let (Some(other), Some(left), Some(right)) =
            (above.node.child(other), above.node.child(pair.start), above.node.child(pair.end - 1))
        else {
            return Err(missing.into());
        };
        let (page, _) = ground.pages.read(other.node)?;
        let (_, bytes) = edit.result(&step.node);
        let most = limit(ground.limits, shape);
        if bytes + page.len() > most * 3 / 4 {
            return Ok(None);
        }
        let here = Node::read(edit.apply(&step.node)?, shape, step.number)?;
        let there = Node::read(page, shape, other.node)?;
        let (first, second) = if right_too { (&here, &there) } else { (&there, &here) };
        let mut joined = Vec::with_capacity(bytes + there.page.len());
        joined.extend_from_slice(&first.page[HEAD_BYTES..]);
        match second.child(0) {
            // The separator of a node's first child is the node's own.
            Some(child) => {
                let own = Child { node: child.node, below: child.below, separator: right.separator.to_vec() };
                put_child(&own, O::COUNTED, &mut joined);
                joined.extend_from_slice(&second.page[second.bytes_of(0..1).end..]);
            }
            None => joined.extend_from_slice(&second.page[HEAD_BYTES..]),
        }
        let count = first.count() + second.count();
        let page = [&head(shape, count), &joined[..]].concat().into();
        ground.pages.put(left.node, page)?;
        ground.release(right.node)?;
        self.widen(shape, count);
        let below = first.below() + second.below();
        let below = if O::COUNTED { u32::try_from(below).map_err(|_| Fault::Full)? } else { 0 };
        let child = Child { node: left.node, below, separator: left.separator.to_vec() };
        Ok(Some(Change::Children(pair, vec![child])))
    }

    pub(super) fn widen(&mut self, shape: Shape, count: usize) {
        let widest = match shape {
            Shape::Leaf => &mut self.widest.leaf,
            Shape::Inner { .. } => &mut self.widest.inner,
        };
        *widest = (*widest).max(u16::try_from(count).unwrap_or(u16::MAX));
    }

    /// Writes a node below the root that stays.
    pub(super) fn write_edited<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        step: Step,
        edit: &Edit,
    ) -> Result<(), P::Error> {
        let (count, _) = edit.result(&step.node);
        self.widen(step.node.shape(), count);
        let splices = edit.splices(&step.node);
        self.write(ground, step, splices)
    }

    pub(super) fn write<P: Pages>(
        &mut self,
        ground: &mut Ground<'_, P>,
        step: Step,
        splices: Splices,
    ) -> Result<(), P::Error> {
        if step.number == 0 {
            self.root = splice(0, step.node.page, &splices)?;
            return Ok(());
        }
        ground.pages.edit(step.number, (step.node.page, step.seq), splices)
    }
}

/// Entries that come to one node.
struct Piece {
    entries: Range<usize>,
    separator: Vec<u8>,
}

impl Step {
    pub(super) fn damaged(&self, what: &'static str) -> Fault {
        Fault::Damaged { node: self.number, what }
    }
}

impl Edit {
    /// Of entries of a leaf, or of an inner node, which give way to so many, which these bytes are.
    pub(super) fn new(node: &Node, entries: Range<usize>, insert: Vec<u8>, inserted: usize) -> Self {
        let gone = node.bytes_of(entries.clone());
        let added = inserted as i64 - entries.len() as i64;
        Self { entries, gone, insert, inserted, added, lean: None }
    }

    /// The edit of the node above that follows from `below`.
    fn of_children<O: Order>(node: &Node, children: Range<usize>, with: &[Child], below: &Self) -> Self {
        let mut insert = Vec::new();
        with.iter().for_each(|child| put_child(child, O::COUNTED, &mut insert));
        // What was cut off at an end of the tree goes into a node of its own here, too.
        let lean = below.lean.filter(|_| with.len() > 1);
        Self { added: below.added, lean, ..Self::new(node, children, insert, with.len()) }
    }

    /// How many entries and bytes the node has afterwards.
    fn result(&self, node: &Node) -> (usize, usize) {
        let count = node.count() - self.entries.len() + self.inserted;
        (count, node.page.len() - self.gone.len() + self.insert.len())
    }

    pub(super) fn fate(&self, node: &Node, limits: Limits) -> Fate {
        let most = limit(limits, node.shape());
        match self.result(node) {
            (0, _) => Fate::Empty,
            (2.., bytes) if bytes > most => Fate::Large,
            (_, bytes) if bytes < most / 4 && bytes < node.page.len() => Fate::Small,
            _ => Fate::Stays,
        }
    }

    fn splices(&self, node: &Node) -> Splices {
        let (count, _) = self.result(node);
        let mut splices = Splices::default();
        if count != node.count() {
            splices.replace(0, &head(node.shape(), node.count()), &head(node.shape(), count));
        }
        splices.push(self.gone.start, self.gone.len(), &self.insert);
        splices
    }

    fn apply(&self, node: &Node) -> Result<Bytes, Fault> {
        if self.result(node).0 > usize::from(u16::MAX) {
            return Err(Fault::Full);
        }
        splice(0, node.page.clone(), &self.splices(node))
    }
}

/// Whether a node of so many bytes, which is the only one below the root, takes its place: with room to grow, so that it does not go up and
/// down with each entry.
fn becomes_root(bytes: usize, limits: Limits) -> bool {
    bytes <= limits.root_bytes * 3 / 4
}

fn limit(limits: Limits, shape: Shape) -> usize {
    match shape {
        Shape::Leaf => limits.leaf_bytes,
        Shape::Inner { .. } => limits.inner_bytes,
    }
}

/// What entries take in a page; those of a leaf come without their lengths.
fn bytes_of(shape: Shape, entries: &[&[u8]]) -> usize {
    let prefix = |entry: &[u8]| if shape == Shape::Leaf { varint_bytes(entry.len()) } else { 0 };
    entries.iter().map(|entry| prefix(entry) + entry.len()).sum()
}

/// A page of entries: those of a leaf come without their lengths.
fn assemble(shape: Shape, entries: &[&[u8]]) -> Result<Bytes, Fault> {
    if entries.len() > usize::from(u16::MAX) {
        return Err(Fault::Full);
    }
    let mut page = Vec::with_capacity(HEAD_BYTES + bytes_of(shape, entries));
    page.extend_from_slice(&head(shape, entries.len()));
    for entry in entries {
        match shape {
            Shape::Leaf => put_entry(entry, &mut page),
            Shape::Inner { .. } => page.extend_from_slice(entry),
        }
    }
    Ok(page.into())
}
