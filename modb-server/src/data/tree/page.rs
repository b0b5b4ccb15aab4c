//! The bytes of a node.
//!
//! ```text
//! leaf     [1] [count u16] count times: [length varint] [entry]
//! inner    [2] [count u16] count times: [child u32] [length u8] [separator]
//! counted  [3] [count u16] count times: [child u32] [entries below it u32] [length u8] [separator]
//! free     [0] [the node freed before it u32]
//! ```
//!
//! Integers are big-endian. A child's separator is not above any entry below the child, and above all those before it. That
//! of a node's first child is not looked at: in its place stands the node's own, in the node above.
//! Invariant: whatever the bytes are, reading them neither panics nor reads beyond them.

use std::ops::Range;

use bytes::Bytes;

use super::Fault;

/// The name of a node below the root. The root has none; 0 is none.
pub(in crate::data) type NodeNumber = u32;

pub(super) const FREE: u8 = 0;
const LEAF: u8 = 1;
const INNER: u8 = 2;
const COUNTED: u8 = 3;

/// Bytes before the first entry.
pub(super) const HEAD_BYTES: usize = 3;

/// The longest separator, in bytes.
pub(super) const MAX_SEPARATOR_BYTES: usize = 72;

/// What a node's entries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Of a leaf.
    Leaf,
    /// Of an inner node, with or without counts.
    Inner { counted: bool },
}

impl Shape {
    fn tag(self) -> u8 {
        match self {
            Self::Leaf => LEAF,
            Self::Inner { counted: false } => INNER,
            Self::Inner { counted: true } => COUNTED,
        }
    }
}

pub(super) fn empty_leaf() -> Bytes {
    Bytes::from_static(&[LEAF, 0, 0])
}

/// The head of a page.
pub(super) fn head(shape: Shape, count: usize) -> [u8; HEAD_BYTES] {
    // Nodes are cut long before that, unless their entries cannot be told apart.
    let [high, low] = u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
    [shape.tag(), high, low]
}

/// A page as entries: where each begins, and where the last ends.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) page: Bytes,
    shape: Shape,
    /// One more than there are entries.
    starts: Vec<u32>,
}

/// An entry of an inner node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Child<S = Vec<u8>> {
    pub(super) node: NodeNumber,
    /// Entries below it, 0 where they are not counted.
    pub(super) below: u32,
    pub(super) separator: S,
}

impl Node {
    /// Reads a page that has to be of this shape. `number` is for the error.
    pub(super) fn read(page: Bytes, shape: Shape, number: NodeNumber) -> Result<Self, Fault> {
        let damaged = |what| Fault::Damaged { node: number, what };
        let Some((&[tag, high, low], _)) = page.split_first_chunk() else {
            return Err(damaged("it has no head"));
        };
        if tag != shape.tag() {
            return Err(damaged("it is a node of another kind"));
        }
        let count = usize::from(u16::from_be_bytes([high, low]));
        let bytes = &page[..];
        let starts = match shape {
            Shape::Leaf => starts(bytes, count, |at| match *bytes.get(at)? {
                short @ ..0x80 => Some(at + 1 + usize::from(short)),
                _ => get_varint(bytes.get(at..)?).map(|(length, of_length)| at + of_length + length),
            }),
            Shape::Inner { counted } => {
                let fixed = if counted { 8 } else { 4 };
                starts(bytes, count, |at| Some(at + fixed + 1 + usize::from(*bytes.get(at + fixed)?)))
            }
        };
        Ok(Self { starts: starts.ok_or_else(|| damaged("its entries do not fill it"))?, page, shape })
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// Where the entries `from..to` lie, in bytes.
    pub(super) fn bytes_of(&self, entries: Range<usize>) -> Range<usize> {
        self.start(entries.start)..self.start(entries.end)
    }

    /// Where the entry begins, or the page ends.
    fn start(&self, entry: usize) -> usize {
        self.starts.get(entry).map_or(self.page.len(), |&start| start as usize)
    }

    /// An entry with what precedes it.
    pub(super) fn raw(&self, entry: usize) -> &[u8] {
        self.page.get(self.bytes_of(entry..entry + 1)).unwrap_or_default()
    }

    /// An entry of a leaf, as it was put in; empty if there is none.
    pub(super) fn entry(&self, entry: usize) -> &[u8] {
        let raw = self.raw(entry);
        get_varint(raw).and_then(|(_, bytes)| raw.get(bytes..)).unwrap_or_default()
    }

    /// Where the entry of a leaf lies in its page, without its length.
    pub(super) fn place(&self, entry: usize) -> Range<usize> {
        let Range { start, end } = self.bytes_of(entry..entry + 1);
        let length = get_varint(self.raw(entry)).map_or(0, |(_, bytes)| bytes);
        (start + length).min(end)..end
    }

    /// An entry of an inner node.
    pub(super) fn child(&self, entry: usize) -> Option<Child<&[u8]>> {
        let Shape::Inner { counted } = self.shape else { return None };
        let (node, rest) = self.raw(entry).split_first_chunk()?;
        let (below, rest) = if counted {
            let (below, rest) = rest.split_first_chunk()?;
            (u32::from_be_bytes(*below), rest)
        } else {
            (0, rest)
        };
        Some(Child { node: u32::from_be_bytes(*node), below, separator: rest.get(1..)? })
    }

    /// Where the count of a child lies.
    pub(super) fn place_of_below(&self, entry: usize) -> usize {
        self.start(entry) + 4
    }

    pub(super) fn children(&self) -> impl DoubleEndedIterator<Item = Child<&[u8]>> + '_ {
        (0..self.count()).filter_map(|entry| self.child(entry))
    }

    /// All entries below it, where they are counted; those in it, if it is a leaf.
    pub(super) fn below(&self) -> u64 {
        match self.shape {
            Shape::Leaf => self.count() as u64,
            Shape::Inner { .. } => self.children().map(|child| u64::from(child.below)).sum(),
        }
    }
}

/// Where `count` entries of a page begin, and where the last ends; `behind` says where the one at a place ends. `None`: they are
/// not what fills it.
///
/// Whoever looks at any entry of a page passes here over all of them: it is most of what that costs.
#[inline(always)]
fn starts(page: &[u8], count: usize, behind: impl Fn(usize) -> Option<usize>) -> Option<Vec<u32>> {
    u32::try_from(page.len()).ok()?;
    let mut starts = vec![0; count + 1];
    let (end, entries) = starts.split_last_mut()?;
    let mut at = HEAD_BYTES;
    for start in entries {
        // What begins within the page has a place of 32 bits; what does not has no end.
        *start = at as u32;
        at = behind(at)?;
    }
    *end = at as u32;
    (at == page.len()).then_some(starts)
}

/// Appends an entry of a leaf to `out`.
pub(super) fn put_entry(entry: &[u8], out: &mut Vec<u8>) {
    put_varint(entry.len(), out);
    out.extend_from_slice(entry);
}

/// Appends an entry of an inner node to `out`.
pub(super) fn put_child(child: &Child, counted: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&child.node.to_be_bytes());
    if counted {
        out.extend_from_slice(&child.below.to_be_bytes());
    }
    let separator = child.separator.get(..MAX_SEPARATOR_BYTES).unwrap_or(&child.separator);
    out.push(separator.len() as u8);
    out.extend_from_slice(separator);
}

/// Appends a number, seven bits a byte, the lowest first.
pub(super) fn put_varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// How many bytes [`put_varint`] takes for a number.
pub(super) fn varint_bytes(number: usize) -> usize {
    (usize::BITS - number.leading_zeros()).div_ceil(7).max(1) as usize
}

/// Reads a number, and says how many bytes it has.
pub(super) fn get_varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0;
    for (index, &byte) in bytes.iter().take(5).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((number, index + 1));
        }
    }
    None
}
