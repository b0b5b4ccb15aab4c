//! How a record differs from what it was, as the log keeps it. Pure.
//!
//! ```text
//! difference  sum u32 | splices u8 | that many [splices](crate::store::Splices)
//! sum         CRC-32C of the whole record that it makes
//! ```
//!
//! Invariant: applied to anything but what the record was, a difference makes nothing: the sum tells.

use super::chunk::u32_at;
use crate::store::{Change, Patch, Splices};

/// Bytes that are the same between two places that differ, for these to be two splices.
const SAME_BYTES: usize = 8;
/// How far behind a place that differs it is looked for where both are the same again, byte for byte.
const MOST_CHANGED_BYTES: usize = 64;

/// Appends how a record changes to `out`. `false`, with nothing appended, if that takes more than `most` bytes.
pub(super) fn encode(patch: &Patch, most: usize, out: &mut Vec<u8>) -> bool {
    let found;
    let splices = match &patch.change {
        Change::By(known) => known,
        Change::From(base) => match compare(base, &patch.value, most) {
            Some(splices) => {
                found = splices;
                &found
            }
            None => return false,
        },
    };
    let fits = 5 + splices.as_bytes().len() <= most;
    if fits {
        let [a, b, c, d] = crc32c::crc32c(&patch.value).to_le_bytes();
        out.extend_from_slice(&[a, b, c, d, splices.count()]);
        out.extend_from_slice(splices.as_bytes());
    }
    fits
}

/// How `after` differs from `before`. `None` where it is seen on the way that this takes more than `most` bytes.
fn compare(before: &[u8], after: &[u8], most: usize) -> Option<Splices> {
    let end = same_at_end(before, after);
    let (old, new) = (&before[..before.len() - end], &after[..after.len() - end]);
    // Both have the same place of what is the same, but for the last that differs.
    let (mut at, mut splices) = (0, Splices::default());
    loop {
        at += same_at_start(&old[at..], &new[at..]);
        if at == old.len() && at == new.len() {
            return Some(splices);
        }
        let changed = changed(&old[at..], &new[at..]);
        let (removed, added) = changed.map_or((old.len() - at, new.len() - at), |bytes| (bytes, bytes));
        if splices.as_bytes().len() + added > most || splices.count() == u8::MAX {
            return None;
        }
        splices.push(at, removed, &new[at..at + added]);
        match changed {
            Some(bytes) => at += bytes,
            None => return Some(splices),
        }
    }
}

/// How many bytes give way to as many others, where both are the same again behind them. `None`: nothing near is.
fn changed(old: &[u8], new: &[u8]) -> Option<usize> {
    let most = old.len().min(new.len()).min(MOST_CHANGED_BYTES + SAME_BYTES);
    let is_same = |at: &usize| old[*at..].first_chunk::<SAME_BYTES>() == new[*at..].first_chunk();
    (0..(most + 1).saturating_sub(SAME_BYTES)).find(is_same)
}

/// Bytes that are compared at once: first many, then those of a word, of which the bits that differ tell the rest.
const COMPARED_BYTES: usize = 32;
const WORD_BYTES: usize = 8;

fn same_at_start(a: &[u8], b: &[u8]) -> usize {
    let ((many, _), (others, _)) = (a.as_chunks::<COMPARED_BYTES>(), b.as_chunks());
    let same = many.iter().zip(others).take_while(|(a, b)| a == b).count() * COMPARED_BYTES;
    let (a, b) = (&a[same..], &b[same..]);
    let ((words, _), (others, _)) = (a.as_chunks::<WORD_BYTES>(), b.as_chunks());
    for (at, (a, b)) in words.iter().zip(others).enumerate() {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return same + at * WORD_BYTES + differ.trailing_zeros() as usize / 8;
        }
    }
    let words = words.len().min(others.len()) * WORD_BYTES;
    same + words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

fn same_at_end(a: &[u8], b: &[u8]) -> usize {
    let ((_, many), (_, others)) = (a.as_rchunks::<COMPARED_BYTES>(), b.as_rchunks());
    let same =
        many.iter().rev().zip(others.iter().rev()).take_while(|(a, b)| a == b).count() * COMPARED_BYTES;
    let (a, b) = (&a[..a.len() - same], &b[..b.len() - same]);
    let ((_, words), (_, others)) = (a.as_rchunks::<WORD_BYTES>(), b.as_rchunks());
    for (at, (a, b)) in words.iter().rev().zip(others.iter().rev()).enumerate() {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return same + at * WORD_BYTES + differ.leading_zeros() as usize / 8;
        }
    }
    let words = words.len().min(others.len()) * WORD_BYTES;
    let (a, b) = (&a[..a.len() - words], &b[..b.len() - words]);
    same + words + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// A difference in a chunk's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    sum: u32,
    splices: Splices,
}

impl Difference {
    /// Takes one off the front; `None`: there is none.
    pub(super) fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let (sum, rest) = bytes.split_at_checked(4)?;
        let (count, rest) = rest.split_first()?;
        *bytes = rest;
        Some(Self { sum: u32_at(sum, 0), splices: Splices::take(*count, bytes)? })
    }

    /// What the record is afterwards; `None` if `before` is not what it was.
    pub(crate) fn apply(&self, before: &[u8]) -> Option<Vec<u8>> {
        self.splices.apply(before).filter(|after| crc32c::crc32c(after) == self.sum)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn difference(before: &[u8], after: &[u8], most: usize) -> Option<(Difference, usize)> {
        let of = Bytes::copy_from_slice;
        let (change, value) = (Change::From(of(before)), of(after));
        let patch = Patch { key: "".into(), base_seq: modb_net::Seq(1), value, change };
        let mut bytes = Vec::new();
        if !encode(&patch, most, &mut bytes) {
            assert!(bytes.is_empty());
            return None;
        }
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
