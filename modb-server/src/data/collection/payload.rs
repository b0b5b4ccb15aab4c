//! What a key record holds of a collection; docs/FORMAT.md draws it. Pure.
//!
//! ```text
//! flat  [flags u8] [root page]                                                     a tree of height 0, and no other page
//! tree  [flags u8] [number u64] [next node u32] [free node u32] [elements u32] for each tree:
//!       [height u8] [widest leaf u16] [widest inner u16] [bytes of the root u16] [root page]
//! ```

use bytes::{Buf, BufMut, Bytes};

use crate::data::layout::{CollectionId, Kind, Stored};
use crate::data::tree::{Numbers, Order, Tree, Widest};

/// It has a number, and may have pages.
const NUMBERED: u8 = 1;
/// A set in which there was never anything but integers, and few.
const INTEGERS: u8 = 0x40;
/// It has grown beyond what Redis keeps in a compact form: what `OBJECT ENCODING` says, as long as it lives.
const BIG: u8 = 0x80;

/// The root of a tree, apart from its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Roots<B = Bytes> {
    root: B,
    height: u8,
    widest: Widest,
}

impl<'a> Roots<&'a [u8]> {
    pub(super) fn of<O>(tree: &'a Tree<O>) -> Self {
        Self { root: &tree.root, height: tree.height, widest: tree.widest }
    }
}

impl Roots {
    pub(super) fn tree<O: Order>(self, order: O, len: u64) -> Tree<O> {
        Tree { order, root: self.root, height: self.height, len, widest: self.widest }
    }
}

/// A collection's part of its key record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Payload<B = Bytes> {
    pub(in crate::data) big: bool,
    pub(in crate::data) integers: bool,
    pub(in crate::data) id: Option<CollectionId>,
    pub(in crate::data) numbers: Numbers,
    pub(in crate::data) len: u64,
    /// One, or two of a sorted set that has a number.
    pub(in crate::data) roots: Vec<Roots<B>>,
}

impl Payload {
    /// `None`: it is not of this format.
    pub(in crate::data) fn decode(mut bytes: Bytes) -> Option<Self> {
        let flags = bytes.try_get_u8().ok()?;
        if flags & !(NUMBERED | INTEGERS | BIG) != 0 {
            return None;
        }
        let (big, integers) = (flags & BIG != 0, flags & INTEGERS != 0);
        if flags & NUMBERED == 0 {
            let len = elements_of_flat(&bytes)?;
            let roots = vec![Roots { root: bytes, height: 0, widest: Widest::default() }];
            return Some(Self { big, integers, id: None, numbers: Numbers::default(), len, roots });
        }
        let id = Some(CollectionId(bytes.try_get_u64().ok()?));
        let numbers = Numbers { next: bytes.try_get_u32().ok()?, free: bytes.try_get_u32().ok()? };
        let len = u64::from(bytes.try_get_u32().ok()?);
        let mut roots = Vec::with_capacity(2);
        while !bytes.is_empty() {
            let height = bytes.try_get_u8().ok()?;
            let widest = Widest { leaf: bytes.try_get_u16().ok()?, inner: bytes.try_get_u16().ok()? };
            let length = usize::from(bytes.try_get_u16().ok()?);
            if length > bytes.len() {
                return None;
            }
            roots.push(Roots { root: bytes.split_to(length), height, widest });
        }
        Some(Self { big, integers, id, numbers, len, roots })
    }
}

impl<B: AsRef<[u8]>> Payload<B> {
    pub(in crate::data) fn encode(&self) -> Vec<u8> {
        let roots = self.roots.iter().map(|root| root.root.as_ref().len());
        let mut out = Vec::with_capacity(64 + roots.sum::<usize>());
        let flags = if self.big { BIG } else { 0 } | if self.integers { INTEGERS } else { 0 };
        let Some(CollectionId(id)) = self.id else {
            out.put_u8(flags);
            self.roots.iter().for_each(|root| out.put_slice(root.root.as_ref()));
            return out;
        };
        out.put_u8(flags | NUMBERED);
        out.put_u64(id);
        out.put_u32(self.numbers.next);
        out.put_u32(self.numbers.free);
        // A tree takes no more than fit.
        out.put_u32(u32::try_from(self.len).unwrap_or(u32::MAX));
        for Roots { root, height, widest } in &self.roots {
            let root = root.as_ref();
            out.put_u8(*height);
            out.put_u16(widest.leaf);
            out.put_u16(widest.inner);
            // Roots have some hundred bytes.
            out.put_u16(u16::try_from(root.len()).unwrap_or(u16::MAX));
            out.put_slice(root);
        }
        out
    }
}

/// The number in the payload of a record, if it has one, and the lowest number that no node of it had.
pub(in crate::data) fn number_in(kind: Kind, mut payload: &[u8]) -> Option<(CollectionId, u32)> {
    if kind == Kind::String || payload.try_get_u8().ok()? & NUMBERED == 0 {
        return None;
    }
    Some((CollectionId(payload.try_get_u64().ok()?), payload.try_get_u32().ok()?))
}

/// How many elements a collection has, by what its payload begins with.
fn elements_in(mut payload: &[u8]) -> Option<u64> {
    if payload.try_get_u8().ok()? & NUMBERED == 0 {
        return elements_of_flat(payload);
    }
    // Its number, the next node and the first that is free.
    payload = payload.get(8 + 4 + 4..)?;
    Some(u64::from(payload.try_get_u32().ok()?))
}

/// A root page has its number of entries behind its first byte.
fn elements_of_flat(root: &[u8]) -> Option<u64> {
    Some(u64::from(u16::from_be_bytes(*root.get(1..)?.first_chunk()?)))
}

/// How much a key holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Elements; of a string none.
    pub elements: u64,
    /// Bytes, about.
    pub bytes: u64,
}

/// What a page takes, about.
const PAGE_BYTES: u64 = 1_024;

impl Extent {
    /// What the key of this record holds, by the record alone.
    pub fn of(record: &impl Stored) -> Self {
        let (kind, bytes, begin) =
            (record.head().kind, record.payload_bytes() as u64, record.payload_begin());
        if kind == Kind::String {
            return Self { elements: 0, bytes };
        }
        let pages = number_in(kind, begin).map_or(0, |(_, next)| u64::from(next));
        Self { elements: elements_in(begin).unwrap_or(0), bytes: bytes + pages * PAGE_BYTES }
    }

    /// The part of it that so many of its elements are.
    #[must_use]
    pub fn part(self, elements: u64) -> Self {
        if elements >= self.elements {
            return self;
        }
        Self {
            elements,
            bytes: (u128::from(self.bytes) * u128::from(elements) / u128::from(self.elements)) as u64,
        }
    }
}

/// Whether a record is that of a collection which Redis would no longer keep in its compact form.
pub fn is_big(record: &impl Stored) -> bool {
    record.head().kind != Kind::String && flags_of(record) & BIG != 0
}

/// Whether a record is that of a set which Redis would keep as a list of integers.
pub fn has_only_integers(record: &impl Stored) -> bool {
    record.head().kind == Kind::Set && flags_of(record) & INTEGERS != 0
}

fn flags_of(record: &impl Stored) -> u8 {
    record.payload_begin().first().copied().unwrap_or(0)
}

/// The same payload under another number.
pub(super) fn with_number(payload: &Bytes, id: CollectionId) -> Bytes {
    let mut bytes = payload.to_vec();
    if let Some(place) = bytes.get_mut(1..9) {
        place.copy_from_slice(&id.0.to_be_bytes());
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn payloads_round_trip(big: bool, integers: bool, id: Option<u64>, next: u32, free: u32, roots in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 3..300), any::<u8>(), any::<u16>(), any::<u16>()), 1..3), len: u32) {
            let roots: Vec<Roots> = roots.into_iter().map(|(root, height, leaf, inner)| {
                let (height, widest) = if id.is_some() { (height, Widest { leaf, inner }) } else { (0, Widest::default()) };
                Roots { root: root.into(), height, widest }
            }).take(if id.is_some() { 2 } else { 1 }).collect();
            let flat_len = u64::from(u16::from_be_bytes([roots[0].root[1], roots[0].root[2]]));
            let payload = Payload {
                big,
                integers,
                id: id.map(CollectionId),
                numbers: if id.is_some() { Numbers { next, free } } else { Numbers::default() },
                len: if id.is_some() { u64::from(len) } else { flat_len },
                roots,
            };
            let bytes = Bytes::from(payload.encode());
            prop_assert_eq!(number_in(Kind::Hash, &bytes), id.map(|id| (CollectionId(id), next)));
            prop_assert_eq!(number_in(Kind::String, &bytes), None);
            if id.is_some() {
                let other = Payload { id: Some(CollectionId(7)), ..payload.clone() };
                prop_assert_eq!(with_number(&bytes, CollectionId(7)), Bytes::from(other.encode()));
            }
            prop_assert_eq!(Payload::decode(bytes), Some(payload));
        }

        #[test]
        fn bytes_that_are_no_payload_are_refused_not_misread(bytes: Vec<u8>) {
            let _ = Payload::decode(bytes.clone().into());
            let _ = number_in(Kind::Set, &bytes);
        }
    }
}
