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

use std::cell::{Cell, OnceCell};
use std::ops::{Deref, Range};

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
    /// Of an inner node, with or without counts. No separator is shorter, but for that of the first child.
    Inner { counted: bool, min_separator_bytes: u8 },
}

impl Shape {
    fn tag(self) -> u8 {
        match self {
            Self::Leaf => LEAF,
            Self::Inner { counted: false, .. } => INNER,
            Self::Inner { counted: true, .. } => COUNTED,
        }
    }
}

pub(super) fn empty_leaf() -> Bytes {
    Bytes::from_static(&[LEAF, 0, 0])
}

/// Whether it is the page of a leaf.
pub(super) fn is_leaf(page: &[u8]) -> bool {
    page.first() == Some(&LEAF)
}

/// How many entries a page says that it has.
pub(super) fn count_in(page: &[u8]) -> usize {
    page.get(1..).and_then(<[u8]>::first_chunk).map_or(0, |&count| usize::from(u16::from_be_bytes(count)))
}

/// The head of a page.
pub(super) fn head(shape: Shape, count: usize) -> [u8; HEAD_BYTES] {
    // Nodes are cut long before that, unless their entries cannot be told apart.
    let [high, low] = u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
    [shape.tag(), high, low]
}

/// A page, of which entries are looked for where they are wanted: whoever needs one of them does not pass over all. Small itself, since
/// it is handed on with each step.
///
/// Invariant: what was found stays where it is, since a page does not change.
#[derive(Clone, Debug)]
pub(super) struct Node<B = Bytes> {
    pub(super) page: B,
    shape: Shape,
    count: u16,
    /// Where its second entry begins, and how long each is from there on, if all are as long.
    even: Option<(u32, u32)>,
    /// An entry that was looked for or passed over, and where it begins: the next one that is wanted is mostly not before it.
    finger: Cell<Finger>,
    /// One was looked for before that, which is walked to from the first again.
    went_back: Cell<bool>,
    /// Where each begins, once they are looked for backwards again and again.
    starts: OnceCell<Box<[u32]>>,
}

#[derive(Clone, Copy, Debug)]
struct Finger {
    entry: u32,
    start: u32,
}

impl Finger {
    const FIRST: Self = Self { entry: 0, start: HEAD_BYTES as u32 };

    /// Pages are shorter than 4 GiB.
    #[inline(always)]
    fn new(entry: usize, start: usize) -> Self {
        Self { entry: entry as u32, start: start as u32 }
    }

    #[inline(always)]
    fn place(self) -> (usize, usize) {
        (self.entry as usize, self.start as usize)
    }
}

/// An entry of an inner node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Child<S = Vec<u8>> {
    pub(super) node: NodeNumber,
    /// Entries below it, 0 where they are not counted.
    pub(super) below: u32,
    pub(super) separator: S,
}

impl<B: Deref<Target = [u8]>> Node<B> {
    /// Looks at the head of a page, which has to be of this shape. `number` is for the error.
    pub(super) fn read(page: B, shape: Shape, number: NodeNumber) -> Result<Self, Fault> {
        let damaged = |what| Fault::Damaged { node: number, what };
        let Some((&[tag, high, low], _)) = page.split_first_chunk() else {
            return Err(damaged("it has no head"));
        };
        if tag != shape.tag() {
            return Err(damaged("it is a node of another kind"));
        }
        let count = u16::from_be_bytes([high, low]);
        let finger = Cell::new(Finger::FIRST);
        let even = even_entries(&page, shape, count.into());
        let went_back = Cell::new(false);
        Ok(Self { page, shape, count, even, finger, went_back, starts: OnceCell::new() })
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn count(&self) -> usize {
        self.count.into()
    }

    /// Where an entry lies, in bytes, with what precedes it; where there is none, the end of the page.
    fn place_of_raw(&self, entry: usize) -> Range<usize> {
        let start = self.start(entry);
        if entry < self.count() { start..self.behind(start) } else { start..start }
    }

    /// Where the entries `from..to` lie, in bytes.
    pub(super) fn bytes_of(&self, entries: Range<usize>) -> Range<usize> {
        let start = self.start(entries.start);
        let end = match entries.end {
            end if end >= self.count() => self.page.len(),
            end => (entries.start..end).fold(start, |start, _| self.behind(start)),
        };
        start..end.max(start)
    }

    /// Where the entry begins, or the page ends.
    fn start(&self, entry: usize) -> usize {
        if entry == 0 {
            return HEAD_BYTES;
        }
        if entry >= self.count() {
            return self.page.len();
        }
        if let Some((second, bytes)) = self.even {
            return second as usize + (entry - 1) * bytes as usize;
        }
        if let Some(starts) = self.starts.get() {
            return starts.get(entry).map_or(self.page.len(), |&start| start as usize);
        }
        let (mut at, mut start) = self.finger.get().place();
        if entry < at && !self.went_back.replace(true) {
            (at, start) = Finger::FIRST.place();
        }
        if entry < at {
            let starts = self.starts.get_or_init(|| self.walk().map(|place| place.start as u32).collect());
            return starts.get(entry).map_or(self.page.len(), |&start| start as usize);
        }
        let start = (at..entry).fold(start, |start, _| self.behind(start));
        self.finger.set(Finger::new(entry, start));
        start
    }

    /// Where the entry that begins at `start` ends; the end of the page where that is damaged.
    #[inline(always)]
    fn behind(&self, start: usize) -> usize {
        let page = &self.page[..];
        let end = match self.shape {
            Shape::Leaf => match page.get(start) {
                Some(&short @ ..0x80) => Some(start + 1 + usize::from(short)),
                Some(_) => {
                    page.get(start..).and_then(get_varint).map(|(length, bytes)| start + bytes + length)
                }
                None => None,
            },
            Shape::Inner { counted, .. } => {
                let fixed = fixed_bytes(counted);
                page.get(start + fixed - 1).map(|&length| start + fixed + usize::from(length))
            }
        };
        end.filter(|&end| end <= page.len()).unwrap_or(page.len())
    }

    /// Where the entries lie, one after the other.
    #[inline(always)]
    fn walk(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut next = HEAD_BYTES;
        (0..self.count).map(move |_| {
            let start = next;
            next = self.behind(start);
            start..next
        })
    }

    /// Whether its entries are what fills it.
    pub(super) fn is_whole(&self) -> bool {
        let mut end = HEAD_BYTES;
        let are_there = self.walk().all(|place| {
            end = place.end;
            !place.is_empty()
        });
        are_there && end == self.page.len()
    }

    /// The first entry of a leaf that `is` holds for: they are passed over from the start on. What is wanted then is this one, or the one
    /// before it.
    #[inline(always)]
    pub(super) fn find(&self, mut is: impl FnMut(&[u8]) -> bool) -> Option<usize> {
        let (mut found, mut before) = (None, Finger::FIRST);
        let mut rest = self.page.get(HEAD_BYTES..).unwrap_or_default();
        for at in 0..self.count() {
            let start = self.page.len() - rest.len();
            let entry;
            (entry, rest) = take_entry(rest);
            if is(entry) {
                found = Some(at);
                break;
            }
            before = Finger::new(at, start);
        }
        self.finger.set(before);
        found
    }

    /// How many entries `passes` holds for: the first ones, and none behind them. Where all are as long they are looked for by halves.
    #[inline(always)]
    pub(super) fn count_passed(&self, mut passes: impl FnMut(usize, &[u8]) -> bool) -> usize {
        let mut passes =
            |entry: usize, place: Range<usize>| self.page.get(place).is_some_and(|raw| passes(entry, raw));
        let Some((second, bytes)) = self.even else { return self.walk_past(passes) };
        let start = |entry: usize| match entry {
            0 => HEAD_BYTES,
            _ => second as usize + (entry - 1) * bytes as usize,
        };
        let (mut passed, mut end) = (0, self.count());
        while passed < end {
            let middle = usize::midpoint(passed, end);
            if passes(middle, start(middle)..start(middle + 1)) {
                passed = middle + 1;
            } else {
                end = middle;
            }
        }
        let last = passed.saturating_sub(1);
        self.finger.set(Finger::new(last, start(last)));
        passed
    }

    /// As [`Node::count_passed`], entry after entry, of which one of some is looked at until one is not passed.
    #[inline(always)]
    fn walk_past(&self, mut passes: impl FnMut(usize, Range<usize>) -> bool) -> usize {
        const AT_ONCE: usize = 4;
        let (mut last, mut entry, mut start) = (Finger::FIRST, 0, HEAD_BYTES);
        while entry + AT_ONCE <= self.count() {
            let ahead = (1..AT_ONCE).fold(start, |start, _| self.behind(start));
            let behind = self.behind(ahead);
            if !passes(entry + AT_ONCE - 1, ahead..behind) {
                break;
            }
            last = Finger::new(entry + AT_ONCE - 1, ahead);
            (entry, start) = (entry + AT_ONCE, behind);
        }
        while entry < self.count() {
            let behind = self.behind(start);
            if !passes(entry, start..behind) {
                break;
            }
            last = Finger::new(entry, start);
            (entry, start) = (entry + 1, behind);
        }
        self.finger.set(last);
        entry
    }

    /// The entries of a leaf, as they were put in.
    #[inline(always)]
    pub(super) fn entries(&self) -> impl Iterator<Item = &[u8]> + '_ {
        let mut rest = self.page.get(HEAD_BYTES..).unwrap_or_default();
        (0..self.count).map(move |_| {
            let entry;
            (entry, rest) = take_entry(rest);
            entry
        })
    }

    /// An entry with what precedes it.
    pub(super) fn raw(&self, entry: usize) -> &[u8] {
        self.page.get(self.place_of_raw(entry)).unwrap_or_default()
    }

    /// An entry of a leaf, as it was put in; empty if there is none.
    pub(super) fn entry(&self, entry: usize) -> &[u8] {
        entry_in(self.raw(entry))
    }

    /// Where the entry of a leaf lies in its page, without its length.
    pub(super) fn place(&self, entry: usize) -> Range<usize> {
        let Range { start, end } = self.place_of_raw(entry);
        let length = self.page.get(start..end).and_then(get_varint).map_or(0, |(_, bytes)| bytes);
        (start + length).min(end)..end
    }

    /// An entry of an inner node.
    pub(super) fn child(&self, entry: usize) -> Option<Child<&[u8]>> {
        child_in(self.raw(entry), self.shape)
    }

    /// The node that an entry of an inner node leads to.
    pub(super) fn child_number(&self, entry: usize) -> Option<NodeNumber> {
        let number = self.page.get(self.start(entry)..)?.first_chunk()?;
        Some(u32::from_be_bytes(*number))
    }

    /// How many entries are below a child, in a node that counts, and where it says so.
    pub(super) fn below_child(&self, entry: usize) -> Option<(usize, u32)> {
        let place = self.start(entry) + 4;
        let below = self.page.get(place..)?.first_chunk()?;
        Some((place, u32::from_be_bytes(*below)))
    }

    #[inline(always)]
    pub(super) fn children(&self) -> impl Iterator<Item = Child<&[u8]>> + '_ {
        self.walk().filter_map(|place| child_in(self.page.get(place)?, self.shape))
    }

    /// How many entries are below each child, in a node that counts.
    #[inline(always)]
    pub(super) fn counts(&self) -> impl Iterator<Item = u32> + '_ {
        let mut start = HEAD_BYTES;
        (0..self.count).map_while(move |_| {
            let &[_, _, _, _, a, b, c, d, separator] = self.page.get(start..)?.first_chunk()?;
            start += fixed_bytes(true) + usize::from(separator);
            Some(u32::from_be_bytes([a, b, c, d]))
        })
    }

    /// All entries below it, where they are counted; those in it, if it is a leaf.
    pub(super) fn below(&self) -> u64 {
        match self.shape {
            Shape::Leaf => self.count() as u64,
            Shape::Inner { counted: true, .. } => self.counts().map(u64::from).sum(),
            Shape::Inner { counted: false, .. } => 0,
        }
    }
}

/// Where the second entry of an inner node begins, and how long it and those behind it are, if all are as long as the shortest that there
/// may be: in a list, by hash, and among scores of which no two neighbours are the same. As many bytes as there are can be no others.
fn even_entries(page: &[u8], shape: Shape, count: usize) -> Option<(u32, u32)> {
    let Shape::Inner { counted, min_separator_bytes } = shape else { return None };
    let fixed = fixed_bytes(counted);
    let second = HEAD_BYTES + fixed + usize::from(*page.get(HEAD_BYTES + fixed - 1)?);
    let bytes = fixed + usize::from(min_separator_bytes);
    // Separators are short.
    (count > 0 && page.len() == second + (count - 1) * bytes).then_some((second as u32, bytes as u32))
}

/// The first entry of a leaf, of which these are the bytes from there on, and what is behind it; damaged, it takes all of them.
#[inline(always)]
fn take_entry(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, behind) = match bytes {
        [short @ ..0x80, behind @ ..] => (usize::from(*short), behind),
        _ => get_varint(bytes)
            .and_then(|(length, of_length)| Some((length, bytes.get(of_length..)?)))
            .unwrap_or_default(),
    };
    behind.split_at_checked(length).unwrap_or((behind, &[]))
}

/// The entry of a leaf, of which these bytes are all.
#[inline(always)]
pub(super) fn entry_in(raw: &[u8]) -> &[u8] {
    match raw {
        [..0x80, entry @ ..] => entry,
        _ => get_varint(raw).and_then(|(_, bytes)| raw.get(bytes..)).unwrap_or_default(),
    }
}

/// The entry of an inner node, of which these bytes are all.
#[inline(always)]
pub(super) fn child_in(raw: &[u8], shape: Shape) -> Option<Child<&[u8]>> {
    let Shape::Inner { counted, .. } = shape else { return None };
    let (node, rest) = raw.split_first_chunk()?;
    let (below, rest) = if counted {
        let (below, rest) = rest.split_first_chunk()?;
        (u32::from_be_bytes(*below), rest)
    } else {
        (0, rest)
    };
    Some(Child { node: u32::from_be_bytes(*node), below, separator: rest.get(1..)? })
}

/// What an entry of an inner node has before its separator.
#[inline(always)]
pub(super) fn fixed_bytes(counted: bool) -> usize {
    if counted { 9 } else { 5 }
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

/// How many bytes [`put_child`] takes for a child.
pub(super) fn child_bytes(child: &Child, counted: bool) -> usize {
    child.separator.len().min(MAX_SEPARATOR_BYTES) + fixed_bytes(counted)
}

/// A page of children.
pub(super) fn inner_page(children: &[Child], counted: bool) -> Bytes {
    let mut page = head(Shape::Inner { counted, min_separator_bytes: 0 }, children.len()).to_vec();
    children.iter().for_each(|child| put_child(child, counted, &mut page));
    page.into()
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
