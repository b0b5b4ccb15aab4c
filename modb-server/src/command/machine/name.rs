//! The names of commands as they are looked up: in any case, and eight bytes at a time. Pure.
//!
//! Invariant: two words with the same [`Folded`] are the same but for the case of letters, if one of them [is told by
//! it](Folded::tells). Of others it says only that they may be.

/// The longest name, in bytes.
const MAX_BYTES: usize = 32;

/// The bit by which lower case differs from upper case. Set in any other byte it makes another one of it, the same for all.
const LOWER_CASE: u64 = 0x2020_2020_2020_2020;

/// A word, with that bit set everywhere. One of up to sixteen bytes is all here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Folded {
    first: u64,
    last: u64,
    bytes: usize,
}

impl Folded {
    pub(super) const NONE: Self = Self { first: 0, last: 0, bytes: 0 };

    /// `None`: no name is so short or so long.
    #[inline]
    pub(super) const fn of(word: &[u8]) -> Option<Self> {
        let bytes = word.len();
        // Where the two overlap, both have the same.
        let (first, last) = if let (Some(first), Some(last)) = (word.first_chunk(), word.last_chunk()) {
            (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
        } else if let (Some(first), Some(last)) = (word.first_chunk(), word.last_chunk()) {
            (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64)
        } else if let [first, .., last] = word {
            (*first as u64 | (word[bytes / 2] as u64) << 8, *last as u64)
        } else if let [only] = word {
            (*only as u64, 0)
        } else {
            return None;
        };
        if bytes > MAX_BYTES {
            return None;
        }
        Some(Self { first: first | LOWER_CASE, last: last | LOWER_CASE, bytes })
    }

    /// Whether it tells the name of which it is from all other words.
    pub(super) const fn tells(name: &[u8]) -> bool {
        let mut at = 0;
        while at < name.len() && name[at].is_ascii_lowercase() {
            at += 1;
        }
        at == name.len() && name.len() <= 16
    }

    /// A number below `end`, a power of two.
    #[inline]
    pub(super) const fn hash(self, end: usize) -> usize {
        // An odd number of many bits, from which the upper ones of the product follow: the fraction of the golden ratio.
        let mixed = (self.first ^ self.last.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize % end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_told_apart_but_for_the_case_of_their_letters(
            name in "[a-z]{1,16}", bits in prop::collection::vec(any::<u8>(), 16), at in 0_usize..16, by in any::<u8>(),
        ) {
            prop_assert!(Folded::tells(name.as_bytes()));
            let of_case = |(byte, bits): (u8, &u8)| if bits & 1 == 1 { byte.to_ascii_uppercase() } else { byte };
            let mut word: Vec<u8> = name.bytes().zip(&bits).map(of_case).collect();
            prop_assert_eq!(Folded::of(&word), Folded::of(name.as_bytes()));
            let at = at % word.len();
            word[at] ^= by;
            let is_named = word.eq_ignore_ascii_case(name.as_bytes());
            prop_assert_eq!(Folded::of(&word) == Folded::of(name.as_bytes()), is_named);
            word.push(b'a');
            prop_assert!(Folded::of(&word) != Folded::of(name.as_bytes()));
        }
    }

    #[test]
    fn what_has_other_bytes_than_letters_or_is_long_is_not_told() {
        assert!(!Folded::tells(b"sort_ro") && !Folded::tells(b"georadiusbymember"));
        assert_eq!(Folded::of(b"sort\x7fro"), Folded::of(b"sort_ro"));
        assert_eq!([Folded::of(b""), Folded::of(&[b'a'; MAX_BYTES + 1])], [None, None]);
    }
}
