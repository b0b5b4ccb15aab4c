//! How a record differs from what it was, as the log keeps it. Pure.
//!
//! ```text
//! difference  sum u32 | splices u8, then that many:
//!             kept varint | removed varint | added varint | that many bytes
//! sum         CRC-32C of the whole record that it makes
//! ```
//!
//! A splice begins `kept` bytes behind the end of the one before it, in what the record was: there `removed` bytes give way to
//! those that are added. What is behind the last one stays. A varint has seven bits a byte, the lowest first, and a bit
//! that says whether another follows.
//!
//! Invariant: applied to anything but what the record was, a difference makes nothing: the sum tells.

use super::chunk::u32_at;

/// Bytes that are the same between two places that differ, for these to be two splices.
const SAME_BYTES: usize = 8;
/// How far behind a place that differs it is looked for where both are the same again, byte for byte.
const MOST_CHANGED_BYTES: usize = 64;
/// Numbers fit 32 bits.
const MOST_VARINT_BYTES: usize = 5;

/// Appends how `after` differs from `before` to `out`. `None`, with some bytes appended, if that takes more than `most` bytes.
pub(super) fn encode(before: &[u8], after: &[u8], most: usize, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let count_at = out.len();
    out.push(0);
    let end = same_at_end(before, after);
    let (old, new) = (&before[..before.len() - end], &after[..after.len() - end]);
    let (mut at, mut kept_from, mut splices) = (0, 0, 0u8);
    loop {
        at += same_at_start(&old[at..], &new[at..]);
        if at == old.len() && at == new.len() {
            break;
        }
        let changed = changed(&old[at..], &new[at..]);
        let (removed, added) = changed.map_or((old.len() - at, new.len() - at), |bytes| (bytes, bytes));
        if out.len() - start + added > most {
            return None;
        }
        put_varint(at - kept_from, out);
        put_varint(removed, out);
        put_varint(added, out);
        out.extend_from_slice(&new[at..at + added]);
        splices = splices.checked_add(1)?;
        kept_from = at + removed;
        match changed {
            Some(bytes) => at += bytes,
            None => break,
        }
    }
    if out.len() - start > most {
        return None;
    }
    out[count_at] = splices;
    out[start..count_at].copy_from_slice(&crc32c::crc32c(after).to_le_bytes());
    Some(())
}

/// How many bytes give way to as many others, where both are the same again behind them. `None`: nothing near is.
fn changed(old: &[u8], new: &[u8]) -> Option<usize> {
    let most = old.len().min(new.len()).min(MOST_CHANGED_BYTES + SAME_BYTES);
    let mut same = 0;
    for at in 0..most {
        same = if old[at] == new[at] { same + 1 } else { 0 };
        if same == SAME_BYTES {
            return Some(at + 1 - SAME_BYTES);
        }
    }
    None
}

/// As many bytes as a processor compares in a few steps.
const COMPARED_BYTES: usize = 32;

fn same_at_start(a: &[u8], b: &[u8]) -> usize {
    let ((many, _), (others, _)) = (a.as_chunks::<COMPARED_BYTES>(), b.as_chunks());
    let same = many.iter().zip(others).take_while(|(a, b)| a == b).count() * COMPARED_BYTES;
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}

fn same_at_end(a: &[u8], b: &[u8]) -> usize {
    let ((_, many), (_, others)) = (a.as_rchunks::<COMPARED_BYTES>(), b.as_rchunks());
    let same =
        many.iter().rev().zip(others.iter().rev()).take_while(|(a, b)| a == b).count() * COMPARED_BYTES;
    let (a, b) = (&a[..a.len() - same], &b[..b.len() - same]);
    same + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// A difference in a chunk's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    sum: u32,
    splices: Vec<Splice>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Splice {
    kept: usize,
    removed: usize,
    added: Vec<u8>,
}

impl Difference {
    /// Takes one off the front; `None`: there is none.
    pub(super) fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let (sum, rest) = bytes.split_at_checked(4)?;
        *bytes = rest;
        let (splices, rest) = bytes.split_first()?;
        *bytes = rest;
        let splices = (0..*splices).map(|_| Splice::decode(bytes)).collect::<Option<_>>()?;
        Some(Self { sum: u32_at(sum, 0), splices })
    }

    /// What the record is afterwards; `None` if `before` is not what it was.
    pub(crate) fn apply(&self, before: &[u8]) -> Option<Vec<u8>> {
        let mut after = Vec::with_capacity(before.len());
        let mut rest = before;
        for Splice { kept, removed, added } in &self.splices {
            let (kept, behind) = rest.split_at_checked(*kept)?;
            after.extend_from_slice(kept);
            after.extend_from_slice(added);
            rest = behind.get(*removed..)?;
        }
        after.extend_from_slice(rest);
        (crc32c::crc32c(&after) == self.sum).then_some(after)
    }
}

impl Splice {
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let (kept, removed, added) = (take_varint(bytes)?, take_varint(bytes)?, take_varint(bytes)?);
        let (added, rest) = bytes.split_at_checked(added)?;
        *bytes = rest;
        Some(Self { kept, removed, added: added.to_vec() })
    }
}

#[allow(clippy::cast_possible_truncation)] // the lowest seven bits
fn put_varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<usize> {
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
    use proptest::prelude::*;

    use super::*;

    fn difference(before: &[u8], after: &[u8], most: usize) -> Option<(Difference, usize)> {
        let mut bytes = Vec::new();
        encode(before, after, most, &mut bytes)?;
        let mut rest = &bytes[..];
        let difference = Difference::decode(&mut rest)?;
        assert!(rest.is_empty() && bytes.len() <= most);
        Some((difference, bytes.len()))
    }

    /// A record, and what becomes of it at some places.
    fn change() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let bytes = |most| prop::collection::vec(0u8..4, 0..most);
        let places = prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, bytes(40)), 0..6);
        (bytes(600), places).prop_map(|(before, places)| {
            let mut after = before.clone();
            for (at, removed, added) in places {
                let at = at.index(after.len() + 1);
                let end = (at + removed).min(after.len());
                after.splice(at..end, added);
            }
            (before, after)
        })
    }

    proptest! {
        #[test]
        fn applied_to_what_a_record_was_it_makes_what_it_is((before, after) in change(), most in 0usize..2000) {
            if let Some((difference, _)) = difference(&before, &after, most) {
                prop_assert_eq!(difference.apply(&before), Some(after));
            } else {
                prop_assert!(most < after.len() + 200, "it may be as large as the record, and some more");
            }
        }

        #[test]
        fn applied_to_anything_else_it_makes_nothing((before, after) in change(), (other, _) in change()) {
            prop_assume!(before != other);
            if let Some((difference, _)) = difference(&before, &after, 5000) {
                // Where all of the record was replaced it makes the same.
                prop_assert!(difference.apply(&other).is_none_or(|made| made == after));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(0u8..6, 0..100), before in prop::collection::vec(any::<u8>(), 0..50)) {
            if let Some(difference) = Difference::decode(&mut &bytes[..]) {
                let _ = difference.apply(&before);
            }
        }
    }

    #[test]
    fn what_changes_at_a_few_places_is_a_few_bytes() {
        let before: Vec<u8> = (0..900u32).map(|n| (n * n % 251) as u8).collect();
        // A count, and an entry put in.
        let mut entry = before.clone();
        entry[1] ^= 1;
        entry.splice(400..400, *b"entry of a page");
        // Counts here and there.
        let mut counts = before.clone();
        [3, 70, 71, 500, 896].into_iter().for_each(|at| counts[at] ^= 0x55);
        let mut shorter = before.clone();
        shorter.drain(..60);
        let longer = [&before[..], b" and more"].concat();
        for (after, most) in [(entry, 30), (counts, 30), (shorter, 10), (longer, 20), (before.clone(), 5)] {
            let (difference, bytes) = difference(&before, &after, 100).unwrap();
            assert!(bytes <= most, "{bytes}");
            assert_eq!(difference.apply(&before), Some(after));
        }
    }

    #[test]
    fn what_has_nothing_in_common_is_not_worth_it() {
        assert_eq!(difference(&[1; 500], &[2; 500], 250), None);
        assert_eq!(difference(b"", &[2; 500], 250), None);
    }
}
