//! Collections as trees of pages: what a hash, a set, a list and a sorted set keep beside their key.
//!
//! A tree is a B+ tree whose root lies in the key record and whose other nodes are records of some hundred bytes, named
//! by number. While it is small it is its root alone (height 0: the root is a leaf), so a small collection is one record.
//! Pages are read by name only, never by range: what was deleted costs nothing.
//!
//! - [`page`] is the bytes of a node, [`ground`] where nodes come from and go to. A change of a node is [`Splices`](crate::store::Splices).
//! - [`order`] is what the four kinds of trees do differently: how probes, separators and entries compare, and whether inner
//!   nodes count what is below them (rank and index).
//! - [`cursor`] is the way down, [`edit`] the one function that changes a tree, [`moving`] two such changes as one, [`fill`] what makes a tree of many entries at once, [`leaf`] a leaf without its way, [`hashed`] what only trees by hash do,
//!   [`sample`] an even choice where nothing is counted, [`sequence`] a list, whose ends lie apart, [`verify`] the proof that a tree is whole.
//!
//! It knows bytes and numbers, and nothing of keys or types.
//!
//! Invariants, all proven by [`verify`]: entries are in order, and between the separators on their way down; no node but
//! the root is empty; each count is the sum of what is below; each number below `next` is a node once, or free once.

mod cursor;
mod edit;
mod fill;
mod ground;
mod hashed;
mod leaf;
mod moving;
mod order;
mod page;
mod sample;
mod sequence;
#[cfg(test)]
mod tests;
mod verify;

use bytes::Bytes;

pub(super) use self::cursor::{Approach, Cursor};
pub(super) use self::fill::Filling;
pub(super) use self::ground::{Ground, Limits, Numbers, Pages, splice};
pub(super) use self::leaf::Place;
pub use self::order::Among;
pub(super) use self::order::{
    Bound, Hashed, Listed, Order, Probe, Scored, Sorted, compare_scores, read_hashed, read_scored,
    read_sorted, scored_entry, sorted_entry,
};
pub(super) use self::page::NodeNumber;
pub use self::sequence::End;
pub(super) use self::sequence::{MAX_END_BYTES, Sequence};

/// A tree: its root node and what is known of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Tree<O> {
    /// How it is ordered.
    pub(in crate::data) order: O,
    /// The page of the root; it lies in the key record.
    pub(in crate::data) root: Bytes,
    /// How many nodes are between the root and an entry: 0 if the root is a leaf.
    pub(in crate::data) height: u8,
    /// How many entries it has.
    pub(in crate::data) len: u64,
    /// The most entries that a leaf, and children that an inner node below the root, ever had: what [`sample`] needs.
    pub(in crate::data) widest: Widest,
}

/// The widest nodes that a tree ever had below its root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::data) struct Widest {
    /// In entries.
    pub(in crate::data) leaf: u16,
    /// In children.
    pub(in crate::data) inner: u16,
}

impl<O: Order> Tree<O> {
    /// A tree without entries.
    pub(in crate::data) fn new(order: O) -> Self {
        Self { order, root: page::empty_leaf(), height: 0, len: 0, widest: Widest::default() }
    }
}

/// What can be wrong with a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A page is not what was written.
    #[error("a damaged collection: node {node}: {what}")]
    Damaged {
        /// The node, 0 for the root.
        node: NodeNumber,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A collection has at most 2^32 - 1 elements.
    #[error("a collection of more than 4294967295 elements")]
    Full,
}
