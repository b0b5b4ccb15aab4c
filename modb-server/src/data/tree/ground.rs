//! What a tree stands on: pages by number, the numbers of its nodes, and how large a node may be.

use bytes::{BufMut as _, Bytes, BytesMut};
use modb_net::Seq;

use super::Fault;
use super::page::{self, NodeNumber};
use crate::store::Splices;

/// Where pages are read and written.
pub(in crate::data) trait Pages {
    /// What reading can fail with.
    type Error: From<Fault>;

    /// The page of a node, as it was last written, and the commit that wrote it; zero if none has.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    fn read(&mut self, node: NodeNumber) -> Result<(Bytes, Seq), Self::Error>;

    /// What `see` makes of the page of a node where it lies, which is not copied. It must not take long: others may want that page.
    ///
    /// # Errors
    /// As [`Pages::read`].
    fn look<T>(&mut self, node: NodeNumber, see: impl FnOnce(&[u8]) -> T) -> Result<T, Self::Error> {
        self.read(node).map(|(page, _)| see(&page))
    }

    /// A page will be read soon, but perhaps not next: it may be brought near meanwhile. Nothing depends on it. 0 is none.
    fn announce(&mut self, _node: NodeNumber) {}

    /// Writes a whole page.
    ///
    /// # Errors
    /// If the collection cannot have pages now.
    fn put(&mut self, node: NodeNumber, page: Bytes) -> Result<(), Self::Error>;

    /// Changes a page that was read so.
    ///
    /// # Errors
    /// As [`Pages::put`], and if it has not what gives way.
    fn edit(
        &mut self,
        node: NodeNumber,
        (was, _): (Bytes, Seq),
        splices: Splices,
    ) -> Result<(), Self::Error> {
        let page = splice(node, was, &splices)?;
        self.put(node, page)
    }
}

/// What the page of a node becomes.
pub(in crate::data) fn splice(node: NodeNumber, page: Bytes, splices: &Splices) -> Result<Bytes, Fault> {
    splices.apply_to(page).ok_or(Fault::Damaged { node, what: "it is too short" })
}

/// The numbers that nodes of one collection have, also if it consists of two trees.
///
/// Numbers of removed nodes are used again: a freed node's page holds the number of the one freed before it, so what has
/// to be removed with a collection is always `1..next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Numbers {
    /// The lowest number that no node ever had.
    pub(in crate::data) next: NodeNumber,
    /// The node that was freed last, or 0.
    pub(in crate::data) free: NodeNumber,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { next: 1, free: 0 }
    }
}

/// How large pages grow, in bytes. Single entries may be larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Limits {
    /// A root, which lies in the key record.
    pub(in crate::data) root_bytes: usize,
    /// Any other inner node.
    pub(in crate::data) inner_bytes: usize,
    /// Any other leaf.
    pub(in crate::data) leaf_bytes: usize,
    /// An end of a list, which lies in the key record; 0 where there are none.
    pub(in crate::data) end_bytes: usize,
}

/// Pages and numbers of one collection.
#[derive(Debug)]
pub(in crate::data) struct Ground<'a, P> {
    /// Its pages.
    pub(in crate::data) pages: &'a mut P,
    /// Its numbers.
    pub(in crate::data) numbers: &'a mut Numbers,
    /// How large its pages grow.
    pub(in crate::data) limits: Limits,
}

impl<P: Pages> Ground<'_, P> {
    /// A number for a new node.
    pub(super) fn allocate(&mut self) -> Result<NodeNumber, P::Error> {
        let Numbers { next, free } = *self.numbers;
        if free == 0 {
            self.numbers.next = next.checked_add(1).ok_or(Fault::Full)?;
            return Ok(next);
        }
        let (page, _) = self.pages.read(free)?;
        self.numbers.free = freed_before(&page)
            .ok_or(Fault::Damaged { node: free, what: "it is not free, but listed so" })?;
        Ok(free)
    }

    /// A node is no longer needed.
    pub(super) fn release(&mut self, node: NodeNumber) -> Result<(), P::Error> {
        let mut page = BytesMut::with_capacity(5);
        page.put_u8(page::FREE);
        page.put_u32(self.numbers.free);
        self.pages.put(node, page.freeze())?;
        self.numbers.free = node;
        Ok(())
    }
}

/// What a free node's page says.
pub(super) fn freed_before(page: &[u8]) -> Option<NodeNumber> {
    match page {
        [page::FREE, number @ ..] => Some(u32::from_be_bytes(number.try_into().ok()?)),
        _ => None,
    }
}
