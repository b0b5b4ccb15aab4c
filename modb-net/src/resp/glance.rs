//! A look at a request before its turn has come: enough to guess what it will need, and no more. Pure.
//!
//! It judges nothing: what is long, unusual or wrong is left to the decoder, which looks at it when its turn comes.

use super::number::short_line;

/// More words are not looked at.
const MOST_WORDS: u32 = 8;

/// What is seen of a request by [`glance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance<'a> {
    /// Its first argument behind the command's name, in most commands a key.
    pub second_word: Option<&'a [u8]>,
    /// The bytes it takes of the input.
    pub bytes: usize,
}

/// What can be seen of the request that `input` begins with, if it is all there, an array, and of a few short words.
///
/// ```
/// use modb_net::resp::glance;
///
/// let input = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb";
/// let seen = glance(input).unwrap();
/// assert_eq!((seen.second_word, seen.bytes), (Some(&b"a"[..]), 20));
/// assert_eq!(glance(&input[seen.bytes..]), None);
/// ```
pub fn glance(input: &[u8]) -> Option<Glance<'_>> {
    let (words, mut at) = short_line(input, 0, b'*')?;
    let mut second_word = None;
    if words > MOST_WORDS {
        return None;
    }
    for word in 0..words {
        let (len, start) = short_line(input, at, b'$')?;
        let end = start + len as usize;
        at = end + 2;
        if word == 1 {
            second_word = input.get(start..end);
        }
    }
    (at <= input.len()).then_some(Glance { second_word, bytes: at })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Decoded, Limits, RequestDecoder, encode_request};
    use super::*;

    proptest! {
        /// Whatever it sees, the decoder sees as well.
        #[test]
        fn it_sees_nothing_that_the_decoder_does_not(
            mut input in prop_oneof![
                proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..10)
                    .prop_map(|words| { let mut out = Vec::new(); encode_request(&mut out, words); out }),
                "[*$0-9a\r\n]{0,40}".prop_map(String::into_bytes),
            ],
            cut in any::<proptest::sample::Index>(),
            more in "[*$0-9\r\n]{0,9}",
        ) {
            input.extend_from_slice(more.as_bytes());
            input.truncate(cut.index(input.len() + 1));
            let Some(seen) = glance(&input) else { return Ok(()) };
            let mut decoder = RequestDecoder::new();
            match decoder.decode(&input, &Limits::default()) {
                Ok(Decoded::Request { consumed }) => {
                    prop_assert_eq!(seen.bytes, consumed);
                    prop_assert_eq!(seen.second_word, decoder.args(&input).iter().nth(1));
                }
                Ok(Decoded::Nothing { consumed }) => prop_assert_eq!(seen.bytes, consumed),
                // It does not look at what ends a word, nor at the limits.
                other => prop_assert!(other.is_err(), "{:?}", other),
            }
        }
    }

    #[test]
    fn what_is_all_there_and_short_is_seen() {
        for (input, word) in [
            (&b"*1\r\n$4\r\nPING\r\n"[..], None),
            (b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", Some(&b""[..])),
            (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n", Some(b"k")),
        ] {
            assert_eq!(glance(input), Some(Glance { second_word: word, bytes: input.len() }));
            assert!((0..input.len()).all(|end| glance(&input[..end]).is_none()), "cut short");
        }
        assert_eq!(glance(b"PING\r\n"), None);
        assert_eq!(glance(&[b"*9\r\n", &b"$1\r\na\r\n".repeat(9)[..]].concat()), None);
    }
}
