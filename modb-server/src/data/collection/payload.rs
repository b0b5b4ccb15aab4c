//! What a key record holds of a collection; docs/FORMAT.md draws it. Pure.
//!
//! ```text
//! flat  [flags u8] [root page]                                                     a tree of height 0, and no other page
//! tree  [flags u8] [number u64] [next node u32] [free node u32] [elements u32] for each tree:
//!       [height u8] [widest leaf u16] [widest inner u16] [bytes of the root u16] [root page]
//! ```
//!
//! A list has three trees there, of which the first and the last are its ends; one that an earlier program wrote has the one between
//! them alone.

use bytes::{Buf as _, Bytes};

use crate::data::layout::{CollectionId, Kind, Stored};
use crate::data::tree::{Listed, Numbers, Order, Sequence, Tree, Widest};

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

    /// An end of a list.
    fn end(self) -> Option<Tree<Listed>> {
        let len = elements_of_flat(&self.root)?;
        Some(self.tree(Listed, len))
    }
}

/// Bytes of a payload before the trees of what has a number, and before the root of each of them.
const HEAD_BYTES: usize = 21;
const ROOT_HEAD_BYTES: usize = 7;
/// So many trees a collection has at most.
pub(super) const MOST_TREES: usize = 3;

/// A collection's part of its key record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Payload<B = Bytes> {
    pub(in crate::data) big: bool,
    pub(in crate::data) integers: bool,
    pub(in crate::data) id: Option<CollectionId>,
    pub(in crate::data) numbers: Numbers,
    pub(in crate::data) len: u64,
    /// One; of what has a number two, if it is a sorted set, or three, if it is a list.
    pub(in crate::data) roots: [Option<Roots<B>>; MOST_TREES],
}

impl Payload {
    /// `None`: it is not of this format.
    pub(in crate::data) fn decode(bytes: Bytes) -> Option<Self> {
        let flags = *bytes.first()?;
        if flags & !(NUMBERED | INTEGERS | BIG) != 0 {
            return None;
        }
        let (big, integers) = (flags & BIG != 0, flags & INTEGERS != 0);
        if flags & NUMBERED == 0 {
            let root = bytes.slice(1..);
            let len = elements_of_flat(&root)?;
            let roots = [Some(Roots { root, height: 0, widest: Widest::default() }), None, None];
            return Some(Self { big, integers, id: None, numbers: Numbers::default(), len, roots });
        }
        let mut head = bytes.get(1..HEAD_BYTES)?;
        let id = Some(CollectionId(head.try_get_u64().ok()?));
        let numbers = Numbers { next: head.try_get_u32().ok()?, free: head.try_get_u32().ok()? };
        let len = u64::from(head.try_get_u32().ok()?);
        let mut roots = [None, None, None];
        let mut at = HEAD_BYTES;
        for root in &mut roots {
            let Some(head) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { break };
            let &[height, a, b, c, d, e, f] = head.first_chunk()?;
            let widest = Widest { leaf: u16::from_be_bytes([a, b]), inner: u16::from_be_bytes([c, d]) };
            let start = at + ROOT_HEAD_BYTES;
            at = start + usize::from(u16::from_be_bytes([e, f]));
            if at > bytes.len() {
                return None;
            }
            *root = Some(Roots { root: bytes.slice(start..at), height, widest });
        }
        (at == bytes.len()).then_some(Self { big, integers, id, numbers, len, roots })
    }

    /// The first of its trees, which it has.
    pub(super) fn into_first_root(self) -> Option<Roots> {
        let [root, ..] = self.roots;
        root
    }

    /// The list that it is.
    pub(super) fn into_sequence(self) -> Option<Sequence> {
        match self.roots {
            [Some(middle), None, None] => Some(Sequence::without_ends(middle.tree(Listed, self.len))),
            [Some(front), Some(middle), Some(back)] => {
                let (front, back) = (front.end()?, back.end()?);
                let len = self.len.checked_sub(front.len)?.checked_sub(back.len)?;
                Some(Sequence { front, middle: middle.tree(Listed, len), back })
            }
            _ => None,
        }
    }
}

impl Payload<&[u8]> {
    /// How many bytes it has.
    pub(in crate::data) fn bytes(&self) -> usize {
        let (head, root_head) = if self.id.is_some() { (HEAD_BYTES, ROOT_HEAD_BYTES) } else { (1, 0) };
        head + self.roots.iter().flatten().map(|root| root_head + root.root.len()).sum::<usize>()
    }

    /// Appends them to `out`.
    pub(in crate::data) fn encode(&self, out: &mut Vec<u8>) {
        let flags = if self.big { BIG } else { 0 } | if self.integers { INTEGERS } else { 0 };
        let Some(CollectionId(id)) = self.id else {
            out.push(flags);
            self.roots.iter().flatten().for_each(|root| out.extend_from_slice(root.root));
            return;
        };
        let mut head = [flags | NUMBERED; HEAD_BYTES];
        head[1..9].copy_from_slice(&id.to_be_bytes());
        head[9..13].copy_from_slice(&self.numbers.next.to_be_bytes());
        head[13..17].copy_from_slice(&self.numbers.free.to_be_bytes());
        // A tree takes no more than fit.
        head[17..].copy_from_slice(&u32::try_from(self.len).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&head);
        for Roots { root, height, widest } in self.roots.iter().flatten() {
            let ([a, b], [c, d]) = (widest.leaf.to_be_bytes(), widest.inner.to_be_bytes());
            // Roots have some hundred bytes.
            let [e, f] = u16::try_from(root.len()).unwrap_or(u16::MAX).to_be_bytes();
            out.extend_from_slice(&[*height, a, b, c, d, e, f]);
            out.extend_from_slice(root);
        }
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
pub(super) fn with_number(payload: &[u8], id: CollectionId) -> Bytes {
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

    fn encoded(payload: &Payload) -> Bytes {
        fn borrowed(&Roots { ref root, height, widest }: &Roots) -> Roots<&[u8]> {
            Roots { root, height, widest }
        }
        let roots = payload.roots.each_ref().map(|root| root.as_ref().map(borrowed));
        let &Payload { big, integers, id, numbers, len, .. } = payload;
        let (payload, mut out) = (Payload { big, integers, id, numbers, len, roots }, Vec::new());
        payload.encode(&mut out);
        assert_eq!(out.len(), payload.bytes());
        out.into()
    }

    proptest! {
        #[test]
        fn payloads_round_trip(big: bool, integers: bool, id: Option<u64>, next: u32, free: u32, roots in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 3..300), any::<u8>(), any::<u16>(), any::<u16>()), 1..4), len: u32) {
            let mut roots = roots.into_iter().map(|(root, height, leaf, inner)| {
                let (height, widest) = if id.is_some() { (height, Widest { leaf, inner }) } else { (0, Widest::default()) };
                Roots { root: root.into(), height, widest }
            }).take(if id.is_some() { 3 } else { 1 });
            let roots: [Option<Roots>; MOST_TREES] = [(); 3].map(|()| roots.next());
            let flat_len = roots[0].as_ref().and_then(|root| elements_of_flat(&root.root)).unwrap();
            let payload = Payload {
                big,
                integers,
                id: id.map(CollectionId),
                numbers: if id.is_some() { Numbers { next, free } } else { Numbers::default() },
                len: if id.is_some() { u64::from(len) } else { flat_len },
                roots,
            };
            let bytes = encoded(&payload);
            prop_assert_eq!(number_in(Kind::Hash, &bytes), id.map(|id| (CollectionId(id), next)));
            prop_assert_eq!(number_in(Kind::String, &bytes), None);
            if id.is_some() {
                let other = Payload { id: Some(CollectionId(7)), ..payload.clone() };
                prop_assert_eq!(with_number(&bytes, CollectionId(7)), encoded(&other));
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
