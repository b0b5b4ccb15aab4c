//! A change of a record: bytes taken out, and others put in their place. Pure.
//!
//! It is one string of bytes, which is both applied to the record and what the log has of the change, so whoever knows what he
//! changes says it once, and nobody has to compare:
//!
//! ```text
//! kept varint | removed varint | added varint | that many bytes        for each splice
//! ```
//!
//! A splice begins `kept` bytes behind the end of the one before it, in what the record was: there `removed` bytes give way to
//! those that are added. What is behind the last one stays. A varint has seven bits a byte, the lowest first, and a bit
//! that says whether another follows.
//!
//! Invariant: splices are in ascending order and do not overlap; one that reaches beyond the record makes nothing of it.

mod compose;

use bytes::Bytes;

use super::vast::COPIED_RECORD_BYTES;

/// Numbers fit 32 bits.
const MOST_VARINT_BYTES: usize = 5;

/// Room that there is without asking for memory: for two, as a page has whose entries become more.
const FIRST_BYTES: usize = 56;

/// What a splice has before the bytes that it adds, and room behind that.
const HEAD_BYTES: usize = 3 * MOST_VARINT_BYTES + 1;

/// See the top of this file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Splices {
    bytes: FewBytes,
    count: u8,
    /// Where the last one ends, in what the record was.
    end: usize,
    added: usize,
    removed: usize,
    /// In one of them some bytes give way to more or fewer, so that what is behind them moves.
    shifts: bool,
}

impl Splices {
    /// At `at`, counted in what the record was, `removed` bytes give way to `added`. At most 255, in ascending order.
    pub fn push(&mut self, at: usize, removed: usize, added: &[u8]) {
        debug_assert!(at >= self.end && self.count < u8::MAX, "splices are in order, and few");
        let mut head = [0; HEAD_BYTES];
        let kept = put_varint(at - self.end, &mut head);
        let removing = kept + put_varint(removed, &mut head[kept..]);
        let head_bytes = removing + put_varint(added.len(), &mut head[removing..]);
        self.bytes.extend_few(&head, head_bytes);
        self.bytes.extend(added);
        self.count += 1;
        self.end = at + removed;
        self.added += added.len();
        self.removed += removed;
        self.shifts |= removed != added.len();
    }

    /// As [`Splices::push`], of bytes that give way to as many others: from the first that differs to the last.
    pub fn replace(&mut self, at: usize, before: &[u8], after: &[u8]) {
        debug_assert_eq!(before.len(), after.len(), "as many as there were");
        let differs = |&at: &usize| before.get(at) != after.get(at);
        if let (Some(first), Some(last)) = ((0..after.len()).find(differs), (0..after.len()).rfind(differs)) {
            self.push(at + first, last + 1 - first, &after[first..=last]);
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u8 {
        self.count
    }

    /// All of them, as they are kept.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// What a record becomes; `None` if one reaches beyond its end.
    pub fn apply(&self, before: &[u8]) -> Option<Vec<u8>> {
        let mut after = Vec::with_capacity((before.len() + self.added).checked_sub(self.removed)?);
        let (mut splices, mut rest) = (self.as_bytes(), before);
        while !splices.is_empty() {
            let Splice { kept, removed, added } = Splice::take(&mut splices)?;
            let (kept, behind) = rest.split_at_checked(kept)?;
            after.extend_from_slice(kept);
            after.extend_from_slice(added);
            rest = behind.get(removed..)?;
        }
        after.extend_from_slice(rest);
        Some(after)
    }

    /// As [`Splices::apply`], in the memory of what the record was if nothing in it moves and nobody else has it. What is large may be a part of
    /// something larger, which it would keep.
    pub fn apply_to(&self, before: Bytes) -> Option<Bytes> {
        let stays = !self.shifts && before.len() <= COPIED_RECORD_BYTES;
        let before = if stays { before.try_into_mut() } else { Err(before) };
        match before {
            Ok(mut bytes) => self.overwrite(&mut bytes).map(|()| bytes.freeze()),
            Err(before) => self.apply(&before).map(Bytes::from),
        }
    }

    /// As [`Splices::apply`], where nothing moves.
    fn overwrite(&self, mut rest: &mut [u8]) -> Option<()> {
        let mut splices = self.as_bytes();
        while !splices.is_empty() {
            let Splice { kept, added, .. } = Splice::take(&mut splices)?;
            let (here, behind) = rest.get_mut(kept..)?.split_at_mut_checked(added.len())?;
            here.copy_from_slice(added);
            rest = behind;
        }
        Some(())
    }

    /// Takes `count` splices off the front of bytes of the log; `None`: there are not so many.
    pub(crate) fn take(count: u8, bytes: &mut &[u8]) -> Option<Self> {
        let all = *bytes;
        let mut splices = Self { count, ..Self::default() };
        for _ in 0..count {
            let Splice { kept, removed, added } = Splice::take(bytes)?;
            splices.end = splices.end.checked_add(kept)?.checked_add(removed)?;
            splices.added += added.len();
            splices.removed += removed;
            splices.shifts |= removed != added.len();
        }
        splices.bytes.extend(&all[..all.len() - bytes.len()]);
        Some(splices)
    }
}

/// Bytes that mostly fit where they are.
#[derive(Clone)]
enum FewBytes {
    Here([u8; FIRST_BYTES], usize),
    Elsewhere(Vec<u8>),
}

impl FewBytes {
    #[inline]
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Here(bytes, len) => &bytes[..*len],
            Self::Elsewhere(bytes) => bytes,
        }
    }

    /// Appends the first `few` of these bytes: where there is room for all of them no more is asked.
    #[inline]
    fn extend_few(&mut self, bytes: &[u8; HEAD_BYTES], few: usize) {
        if let Self::Here(here, len) = self
            && let Some(room) = here[*len..].first_chunk_mut()
        {
            *room = *bytes;
            *len += few;
        } else {
            self.extend(&bytes[..few]);
        }
    }

    fn extend(&mut self, more: &[u8]) {
        match self {
            Self::Here(bytes, len) => match bytes[*len..].split_at_mut_checked(more.len()) {
                Some((room, _)) => {
                    room.copy_from_slice(more);
                    *len += more.len();
                }
                None => *self = Self::Elsewhere([&bytes[..*len], more].concat()),
            },
            Self::Elsewhere(bytes) => bytes.extend_from_slice(more),
        }
    }
}

impl Default for FewBytes {
    fn default() -> Self {
        Self::Here([0; FIRST_BYTES], 0)
    }
}

impl PartialEq for FewBytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for FewBytes {}

impl std::fmt::Debug for FewBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// One of them.
struct Splice<'a> {
    kept: usize,
    removed: usize,
    added: &'a [u8],
}

impl<'a> Splice<'a> {
    fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let (kept, removed, added) = (take_varint(bytes)?, take_varint(bytes)?, take_varint(bytes)?);
        let (added, rest) = bytes.split_at_checked(added)?;
        *bytes = rest;
        Some(Self { kept, removed, added })
    }
}

/// Puts a number in front of `out`, in which there is room; how many bytes it takes.
#[allow(clippy::cast_possible_truncation)] // the lowest seven bits
#[inline]
fn put_varint(mut number: usize, out: &mut [u8]) -> usize {
    let mut bytes = 0;
    while number >= 0x80 {
        out[bytes] = number as u8 | 0x80;
        number >>= 7;
        bytes += 1;
    }
    out[bytes] = number as u8;
    bytes + 1
}

#[inline]
fn take_varint(bytes: &mut &[u8]) -> Option<usize> {
    if let [number @ ..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Some(usize::from(*number));
    }
    take_long_varint(bytes)
}

fn take_long_varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for (index, &byte) in bytes.iter().take(MOST_VARINT_BYTES).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_give_way_where_it_is_said_and_all_others_stay() {
        let mut splices = Splices::default();
        assert_eq!(splices.apply(b"0123456789"), Some(b"0123456789".to_vec()));
        splices.push(0, 1, b"a");
        splices.push(3, 0, b"bcd");
        splices.push(8, 2, b"");
        assert_eq!(splices.apply(b"0123456789"), Some(b"a12bcd34567".to_vec()));
        assert_eq!(splices.apply(b"012345678"), None, "it reaches beyond the end");
        let mut rest = splices.as_bytes();
        assert_eq!(Splices::take(splices.count(), &mut rest), Some(splices.clone()));
        assert!(rest.is_empty());
    }

    #[test]
    fn bytes_that_give_way_to_as_many_do_so_where_they_are_unless_somebody_else_has_them() {
        let (mut even, mut uneven) = (Splices::default(), Splices::default());
        even.push(1, 2, b"ab");
        even.push(5, 1, b"c");
        uneven.push(1, 2, b"a");
        let bytes = || Bytes::copy_from_slice(b"0123456789");
        for (splices, in_place) in [(&even, true), (&uneven, false)] {
            let (mine, shared) = (bytes(), bytes());
            let (at, other) = (mine.as_ptr(), shared.clone());
            let made = splices.apply_to(mine).unwrap();
            assert_eq!((Some(made.to_vec()), made.as_ptr() == at), (splices.apply(b"0123456789"), in_place));
            assert_eq!(splices.apply_to(shared), Some(made));
            assert_eq!(other, bytes());
            assert_eq!(splices.apply_to(Bytes::from_static(b"01")), None, "it reaches beyond the end");
        }
    }

    #[test]
    fn of_what_gives_way_to_as_much_only_that_is_kept_which_differs() {
        let mut splices = Splices::default();
        splices.replace(0, b"abc", b"abc");
        splices.replace(3, b"0123", b"0x23");
        splices.replace(7, b"45", b"yz");
        assert_eq!((splices.count(), splices.as_bytes()), (2, &b"\x04\x01\x01x\x02\x02\x02yz"[..]));
        assert_eq!(splices.apply(b"abc012345"), Some(b"abc0x23yz".to_vec()));
    }

    #[test]
    fn long_distances_and_much_that_is_added_come_back() {
        let (before, added) = ([1; 70_000], [2; 300]);
        let mut splices = Splices::default();
        splices.push(60_000, 9_000, &added);
        let after = [&before[..60_000], &added, &before[69_000..]].concat();
        assert_eq!(splices.apply(&before), Some(after));
    }
}
