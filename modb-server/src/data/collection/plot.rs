//! Where the pages of a collection are: its number, and those of its nodes.

use super::pages::TxPages;
use super::payload::Payload;
use crate::data::layout::CollectionId;
use crate::data::tree::{Filling, Limits, MAX_END_BYTES, Numbers, Order, Tree};
use crate::data::{DataError, Tx, tree};

/// What a tree of a collection stands on.
pub(in crate::data) type Ground<'g, 't, 'a> = tree::Ground<'g, TxPages<'t, 'a>>;

/// How large the root of a small collection grows, which is all of it: with its key it is then still edited in place.
const FLAT_ROOT_BYTES: usize = 860;
/// And that of a tree: it is written with every element that comes or goes.
const TREE_ROOT_BYTES: usize = 300;
/// Leaves are small where each change is at a random place.
const HASHED_LEAF_BYTES: usize = 455;
const COUNTED_LEAF_BYTES: usize = 1_011;
const INNER_BYTES: usize = 1_011;

/// The number of a collection and those of its nodes.
#[derive(Debug)]
pub(in crate::data) struct Plot {
    pub(super) big: bool,
    /// Of a set: it has few members, and never had any but integers.
    pub(super) integers: bool,
    pub(super) id: Option<CollectionId>,
    pub(super) numbers: Numbers,
    /// Its number is new, or will be: nobody sees its pages before its key record.
    new: bool,
}

impl Plot {
    pub(super) fn new() -> Self {
        Self { big: false, integers: false, id: None, numbers: Numbers::default(), new: true }
    }

    pub(super) fn of(payload: &Payload) -> Self {
        let &Payload { big, integers, id, numbers, .. } = payload;
        Self { big, integers, id, numbers, new: id.is_none() }
    }

    /// Sees to it that it has a number.
    pub(super) fn number(&mut self, tx: &Tx<'_>) -> Result<(), DataError> {
        if self.id.is_none() {
            self.id = Some(tx.data().new_collection()?);
        }
        Ok(())
    }

    /// How large the root of a tree grows here.
    pub(super) fn root_bytes<O: Order>(&self, tx: &Tx<'_>) -> usize {
        limits::<O>(tx, self.id.is_some()).root_bytes
    }

    /// Works on a tree that stands here.
    pub(super) fn with<T, O: Order>(
        &mut self,
        tx: &mut Tx<'_>,
        tree: &mut Tree<O>,
        work: impl FnOnce(&mut Tree<O>, &mut Ground<'_, '_, '_>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        self.on_ground::<T, O>(tx, |ground| work(tree, ground))
    }

    /// Works on what trees of this order stand on here.
    pub(super) fn on_ground<T, O: Order>(
        &mut self,
        tx: &mut Tx<'_>,
        work: impl FnOnce(&mut Ground<'_, '_, '_>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let limits = limits::<O>(tx, self.id.is_some());
        let mut pages = TxPages::new(tx, &mut self.id);
        let done = work(&mut Ground { pages: &mut pages, numbers: &mut self.numbers, limits })?;
        if let (true, Some(id)) = (self.new, self.id) {
            tx.spill(id, self.numbers.next)?;
        }
        Ok(done)
    }

    /// Makes a tree of entries that come in its order. What they are is asked for some at a time, so that pages are written in between.
    pub(super) fn fill<O: Order>(
        &mut self,
        tx: &mut Tx<'_>,
        order: O,
        mut entries: impl Iterator<Item = Vec<u8>>,
    ) -> Result<Tree<O>, DataError> {
        /// Some hundred pages.
        const AT_ONCE: usize = 4_096;
        let mut filling = Filling::new(order);
        let mut goes_on = true;
        while goes_on {
            goes_on = self.on_ground::<_, O>(tx, |ground| {
                for _ in 0..AT_ONCE {
                    let Some(entry) = entries.next() else { return Ok(false) };
                    filling.push(ground, &entry)?;
                }
                Ok(true)
            })?;
        }
        self.on_ground::<_, O>(tx, |ground| filling.finish(ground))
    }
}

/// How large the pages of a tree grow.
fn limits<O: Order>(tx: &Tx<'_>, numbered: bool) -> Limits {
    if let Some(limits) = tx.data().forced_limits() {
        return Limits { end_bytes: if numbered { limits.end_bytes } else { 0 }, ..limits };
    }
    Limits {
        end_bytes: if numbered { MAX_END_BYTES } else { 0 },
        root_bytes: if numbered { TREE_ROOT_BYTES } else { FLAT_ROOT_BYTES },
        inner_bytes: INNER_BYTES,
        leaf_bytes: if O::COUNTED { COUNTED_LEAF_BYTES } else { HASHED_LEAF_BYTES },
    }
}
