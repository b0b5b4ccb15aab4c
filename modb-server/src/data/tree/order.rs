//! What trees of different kinds do differently: how their entries stand, what separates two, and who counts.
//!
//! | order | for | an entry | stands by | counted |
//! |---|---|---|---|---|
//! | [`Listed`] | lists | the element | where it was put | yes |
//! | [`Scored`] | sorted sets | `[score f64][member]` | score, then member | yes |
//! | [`Sorted`] | maps | `[length varint][key][value]` | key | yes |
//! | [`Hashed`] | hashes, sets, members of sorted sets | `[print u8][length varint][key][value]` | the key's hash; anywhere in its leaf | no |
//!
//! Separators are short: no more of the right neighbour than tells it from the left one, and never more than 64 bytes of
//! it. Where that is not enough, a probe cannot tell by the separator alone and looks at the child's first entry.

use std::cmp::Ordering;

use super::page::{MAX_SEPARATOR_BYTES, get_varint, put_varint};
use crate::data::hash::Seed;

/// So much of a key or member is in a separator. Together with a score it fills it.
const MAX_PREFIX_BYTES: usize = MAX_SEPARATOR_BYTES - 8;

/// How the entries of a tree stand.
pub(in crate::data) trait Order {
    /// Whether inner nodes say how many entries are below each child, so that there are ranks and indexes.
    const COUNTED: bool;

    /// No separator is shorter, but for that of a node's first child, which means nothing.
    const MIN_SEPARATOR_BYTES: u8;

    /// Appends what separates two neighbours to `out`. `false`: nothing does, they stay in one leaf.
    fn separate(&self, left: &[u8], right: &[u8], out: &mut Vec<u8>) -> bool;

    /// Brings the entries of a leaf that is to be cut into order, where leaves are not in order.
    fn arrange(&self, _entries: &mut [&[u8]]) {}

    /// Whether two neighbours in a leaf stand as they should.
    fn in_order(&self, left: &[u8], right: &[u8]) -> bool;

    /// Whether an entry may stand in a child with this separator.
    fn behind_separator(&self, separator: &[u8], entry: &[u8]) -> bool;

    /// Whether an entry may stand before a child with this separator.
    fn before_separator(&self, separator: &[u8], entry: &[u8]) -> bool;

    /// Whether an entry may stand in a child with this separator, before one with that one.
    fn within(&self, start: &[u8], end: Option<&[u8]>, entry: &[u8]) -> bool {
        self.behind_separator(start, entry) && end.is_none_or(|end| self.before_separator(end, entry))
    }
}

/// What is sought in a tree: a place between two entries.
pub(in crate::data) trait Probe {
    /// Whether a child with this separator begins at or before the place. `None`: its first entry tells.
    fn reaches(&self, separator: &[u8]) -> Option<bool>;

    /// Whether an entry stands before the place.
    fn passes(&self, entry: &[u8]) -> bool;
}

/// Elements stand where they were put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Listed;

impl Order for Listed {
    const COUNTED: bool = true;
    const MIN_SEPARATOR_BYTES: u8 = 0;

    fn separate(&self, _left: &[u8], _right: &[u8], _out: &mut Vec<u8>) -> bool {
        true
    }

    fn in_order(&self, _left: &[u8], _right: &[u8]) -> bool {
        true
    }

    fn behind_separator(&self, separator: &[u8], _entry: &[u8]) -> bool {
        separator.is_empty()
    }

    fn before_separator(&self, separator: &[u8], _entry: &[u8]) -> bool {
        separator.is_empty()
    }
}

/// Members stand by score, those of one score by their bytes. `-0.0` and `0.0` are one score, and keep their signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Scored;

/// A place among scored members, or among sorted keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::data) struct Bound<'a, S> {
    /// The score; nothing among sorted keys.
    pub(in crate::data) score: S,
    /// Where among those of this score.
    pub(in crate::data) among: Among<'a>,
}

/// A place among strings of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among<'a> {
    /// Before all.
    First,
    /// Before this one, whether it is there or not.
    Before(&'a [u8]),
    /// Behind this one, whether it is there or not.
    Behind(&'a [u8]),
    /// Behind all that begin with this.
    BehindPrefix(&'a [u8]),
    /// Behind all.
    Last,
}

impl Among<'_> {
    /// Whether this string stands before the place.
    fn passes(self, bytes: &[u8]) -> bool {
        match self {
            Self::First => false,
            Self::Before(key) => bytes < key,
            Self::Behind(key) => bytes <= key,
            Self::BehindPrefix(prefix) => bytes < prefix || bytes.starts_with(prefix),
            Self::Last => true,
        }
    }

    /// As [`Probe::reaches`]. A separator of full length may have been cut off, and then those that begin with it stand
    /// on both sides.
    fn reaches(self, prefix: &[u8]) -> Option<bool> {
        let whole = prefix.len() < MAX_PREFIX_BYTES;
        let key = match self {
            Self::First => return Some(prefix.is_empty()),
            Self::Last => return Some(true),
            Self::BehindPrefix(key) if prefix.starts_with(key) => return Some(true),
            Self::Before(key) | Self::Behind(key) | Self::BehindPrefix(key) => key,
        };
        if !whole && key.starts_with(prefix) { None } else { Some(prefix <= key) }
    }
}

impl Bound<'_, f64> {
    /// Before all of a score.
    pub(in crate::data) fn from_score(score: f64) -> Self {
        Self { score, among: Among::First }
    }

    /// Behind all of a score.
    pub(in crate::data) fn behind_score(score: f64) -> Self {
        Self { score, among: Among::Last }
    }
}

impl<'a> Bound<'a, f64> {
    /// Where a member with a score is, or would be.
    pub(in crate::data) fn at_member(score: f64, member: &'a [u8]) -> Self {
        Self { score, among: Among::Before(member) }
    }
}

impl<'a> Bound<'a, ()> {
    /// A place among keys.
    pub(in crate::data) fn key(among: Among<'a>) -> Self {
        Self { score: (), among }
    }
}

/// An entry of a [`Scored`] tree.
pub(in crate::data) fn scored_entry(score: f64, member: &[u8]) -> Vec<u8> {
    [&score.to_be_bytes(), member].concat()
}

/// Reads an entry of a [`Scored`] tree; what is no such entry is taken for score 0.
#[inline]
pub(in crate::data) fn read_scored(entry: &[u8]) -> (f64, &[u8]) {
    entry.split_first_chunk().map_or((0.0, entry), |(score, member)| (f64::from_be_bytes(*score), member))
}

/// How two scores stand.
#[inline]
pub(in crate::data) fn compare_scores(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| left.total_cmp(&right))
}

/// Appends as much of `right` as tells it from `left`. `false`: they are the same.
fn separate_bytes(left: &[u8], right: &[u8], out: &mut Vec<u8>) -> bool {
    let shared = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    out.extend_from_slice(&right[..right.len().min(shared + 1).min(MAX_PREFIX_BYTES)]);
    left != right
}

/// Whether `bytes` may stand before a separator made of a prefix. One of full length may have been cut off.
fn before_prefix(prefix: &[u8], bytes: &[u8]) -> bool {
    bytes < prefix || prefix.len() == MAX_PREFIX_BYTES && bytes.starts_with(prefix)
}

impl Order for Scored {
    const COUNTED: bool = true;
    const MIN_SEPARATOR_BYTES: u8 = 8;

    fn separate(&self, left: &[u8], right: &[u8], out: &mut Vec<u8>) -> bool {
        let ((left_score, left), (right_score, right)) = (read_scored(left), read_scored(right));
        out.extend_from_slice(&right_score.to_be_bytes());
        compare_scores(left_score, right_score).is_ne() || separate_bytes(left, right, out)
    }

    fn in_order(&self, left: &[u8], right: &[u8]) -> bool {
        let ((left_score, left), (right_score, right)) = (read_scored(left), read_scored(right));
        compare_scores(left_score, right_score).then_with(|| left.cmp(right)).is_lt()
    }

    fn behind_separator(&self, separator: &[u8], entry: &[u8]) -> bool {
        if separator.is_empty() {
            return true;
        }
        let ((at, prefix), (score, member)) = (read_scored(separator), read_scored(entry));
        compare_scores(at, score).then_with(|| prefix.cmp(member)).is_le()
    }

    fn before_separator(&self, separator: &[u8], entry: &[u8]) -> bool {
        let ((at, prefix), (score, member)) = (read_scored(separator), read_scored(entry));
        let order = compare_scores(score, at);
        order.is_lt() || order.is_eq() && before_prefix(prefix, member)
    }
}

impl Probe for Bound<'_, f64> {
    #[inline]
    fn reaches(&self, separator: &[u8]) -> Option<bool> {
        if separator.is_empty() {
            return Some(true);
        }
        let (score, prefix) = read_scored(separator);
        match compare_scores(score, self.score) {
            Ordering::Less => Some(true),
            Ordering::Greater => Some(false),
            Ordering::Equal => self.among.reaches(prefix),
        }
    }

    #[inline]
    fn passes(&self, entry: &[u8]) -> bool {
        let (score, member) = read_scored(entry);
        match compare_scores(score, self.score) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => self.among.passes(member),
        }
    }
}

/// Keys stand by their bytes, each with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Sorted;

/// An entry of a [`Sorted`] tree.
pub(in crate::data) fn sorted_entry(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(5 + key.len() + value.len());
    put_varint(key.len(), &mut entry);
    entry.extend_from_slice(key);
    entry.extend_from_slice(value);
    entry
}

/// Reads an entry of a [`Sorted`] tree: key and value.
#[inline]
pub(in crate::data) fn read_sorted(entry: &[u8]) -> (&[u8], &[u8]) {
    get_varint(entry)
        .and_then(|(length, bytes)| entry.get(bytes..)?.split_at_checked(length))
        .unwrap_or((entry, b""))
}

impl Order for Sorted {
    const COUNTED: bool = true;
    const MIN_SEPARATOR_BYTES: u8 = 0;

    fn separate(&self, left: &[u8], right: &[u8], out: &mut Vec<u8>) -> bool {
        separate_bytes(read_sorted(left).0, read_sorted(right).0, out)
    }

    fn in_order(&self, left: &[u8], right: &[u8]) -> bool {
        read_sorted(left).0 < read_sorted(right).0
    }

    fn behind_separator(&self, separator: &[u8], entry: &[u8]) -> bool {
        separator <= read_sorted(entry).0
    }

    fn before_separator(&self, separator: &[u8], entry: &[u8]) -> bool {
        before_prefix(separator, read_sorted(entry).0)
    }
}

impl Probe for Bound<'_, ()> {
    #[inline]
    fn reaches(&self, separator: &[u8]) -> Option<bool> {
        self.among.reaches(separator)
    }

    #[inline]
    fn passes(&self, entry: &[u8]) -> bool {
        self.among.passes(read_sorted(entry).0)
    }
}

/// Keys stand by their hash, each with a value; in any order within a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Hashed(pub(in crate::data) Seed);

/// The hash by which a key stands: 53 bits, so that a cursor of `SCAN` is a whole number in every language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::data) struct Slot(pub(in crate::data) u64);

/// A key of a [`Hashed`] tree, hashed.
#[derive(Clone, Copy, Debug)]
pub(in crate::data) struct HashedKey<'a> {
    slot: Slot,
    print: u8,
    key: &'a [u8],
}

const SLOT_SHIFT: u32 = 11;
const SLOT_BYTES: usize = 7;

impl Hashed {
    /// Hashes a key.
    pub(in crate::data) fn key<'a>(&self, key: &'a [u8]) -> HashedKey<'a> {
        let hash = self.0.hash(key);
        HashedKey { slot: Slot(hash >> SLOT_SHIFT), print: hash as u8, key }
    }

    /// Where an entry stands.
    pub(in crate::data) fn slot_of(&self, entry: &[u8]) -> Slot {
        self.key(read_hashed(entry).0).slot
    }
}

impl HashedKey<'_> {
    /// Where it stands.
    pub(in crate::data) fn slot(&self) -> Slot {
        self.slot
    }

    /// Whether an entry is that of this key.
    #[inline]
    pub(in crate::data) fn is(&self, entry: &[u8]) -> bool {
        entry.first() == Some(&self.print) && read_hashed(entry).0 == self.key
    }

    /// Its entry.
    pub(in crate::data) fn entry(&self, value: &[u8]) -> Vec<u8> {
        let mut entry = Vec::with_capacity(6 + self.key.len() + value.len());
        entry.push(self.print);
        put_varint(self.key.len(), &mut entry);
        entry.extend_from_slice(self.key);
        entry.extend_from_slice(value);
        entry
    }
}

/// Reads an entry of a [`Hashed`] tree: key and value.
#[inline]
pub(in crate::data) fn read_hashed(entry: &[u8]) -> (&[u8], &[u8]) {
    read_sorted(entry.get(1..).unwrap_or_default())
}

impl Slot {
    /// Reads a separator; an empty one is the lowest slot.
    #[inline]
    pub(super) fn of_separator(separator: &[u8]) -> Self {
        // All are whole, but for the empty one of what comes first.
        if let &[a, b, c, d, e, f, g] = separator {
            return Self(u64::from_be_bytes([0, a, b, c, d, e, f, g]));
        }
        Self(separator.iter().take(SLOT_BYTES).fold(0, |slot, &byte| slot << 8 | u64::from(byte)))
    }
}

impl Order for Hashed {
    const COUNTED: bool = false;
    const MIN_SEPARATOR_BYTES: u8 = SLOT_BYTES as u8;

    fn separate(&self, left: &[u8], right: &[u8], out: &mut Vec<u8>) -> bool {
        let (left, right) = (self.slot_of(left), self.slot_of(right));
        out.extend_from_slice(&right.0.to_be_bytes()[8 - SLOT_BYTES..]);
        left != right
    }

    fn arrange(&self, entries: &mut [&[u8]]) {
        entries.sort_by_cached_key(|entry| self.slot_of(entry));
    }

    fn in_order(&self, left: &[u8], right: &[u8]) -> bool {
        read_hashed(left).0 != read_hashed(right).0
    }

    fn behind_separator(&self, separator: &[u8], entry: &[u8]) -> bool {
        Slot::of_separator(separator) <= self.slot_of(entry)
    }

    fn before_separator(&self, separator: &[u8], entry: &[u8]) -> bool {
        self.slot_of(entry) < Slot::of_separator(separator)
    }

    fn within(&self, start: &[u8], end: Option<&[u8]>, entry: &[u8]) -> bool {
        let slot = self.slot_of(entry);
        Slot::of_separator(start) <= slot && end.is_none_or(|end| slot < Slot::of_separator(end))
    }
}

impl Probe for Slot {
    #[inline]
    fn reaches(&self, separator: &[u8]) -> Option<bool> {
        Some(Self::of_separator(separator) <= *self)
    }

    /// Leaves are in no order: the place is before the first entry.
    fn passes(&self, _entry: &[u8]) -> bool {
        false
    }
}
