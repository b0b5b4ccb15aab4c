//! Inline commands: a line of words with Redis's quoting. Pure.
//!
//! The rules are those of Redis's `sdssplitargs`, with one difference: a NUL is a byte like others (Redis, in C,
//! stops reading at it).

use std::ops::Range;

/// A quote is not closed, or something other than a space follows a closing quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unbalanced quotes")]
pub struct UnbalancedQuotes;

/// Splits `line` into words, whose bytes it appends to `bytes` and whose places there it gives to `word`.
///
/// A word may be quoted: `"..."` knows `\n \r \t \b \a \xHH` and `\` before any other byte for that byte;
/// `'...'` knows `\'` only. Quotes may begin within a word but must end it.
///
/// # Errors
/// [`UnbalancedQuotes`]; some words may have been given by then.
pub fn split_args(
    line: &[u8],
    bytes: &mut Vec<u8>,
    mut word: impl FnMut(Range<usize>),
) -> Result<(), UnbalancedQuotes> {
    let mut rest = line;
    loop {
        rest = skip_spaces(rest);
        if rest.is_empty() {
            return Ok(());
        }
        let start = bytes.len();
        rest = take_word(rest, bytes)?;
        word(start..bytes.len());
    }
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|&&b| is_space(b)).count();
    &text[spaces..]
}

/// Appends the word that `text` begins with; gives what follows it.
fn take_word<'a>(mut text: &'a [u8], bytes: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        match text {
            [] => return Ok(text),
            [b'"', rest @ ..] => return end_of_quoted(take_double_quoted(rest, bytes)?),
            [b'\'', rest @ ..] => return end_of_quoted(take_single_quoted(rest, bytes)?),
            // Narrower than `is_space`, as in Redis: a form feed separates words only between blanks.
            [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] => return Ok(rest),
            [byte, rest @ ..] => {
                bytes.push(*byte);
                text = rest;
            }
        }
    }
}

/// A closing quote must be followed by a space or by the end.
fn end_of_quoted(rest: &[u8]) -> Result<&[u8], UnbalancedQuotes> {
    match rest {
        [] => Ok(rest),
        [byte, ..] if is_space(*byte) => Ok(rest),
        _ => Err(UnbalancedQuotes),
    }
}

fn take_double_quoted<'a>(mut text: &'a [u8], bytes: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, rest) = match text {
            [] => return Err(UnbalancedQuotes),
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_digit(*high) << 4 | hex_digit(*low), rest)
            }
            [b'\\', escaped, rest @ ..] => (unescape(*escaped), rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        bytes.push(byte);
        text = rest;
    }
}

fn take_single_quoted<'a>(mut text: &'a [u8], bytes: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, rest) = match text {
            [] => return Err(UnbalancedQuotes),
            [b'\'', rest @ ..] => return Ok(rest),
            [b'\\', b'\'', rest @ ..] => (b'\'', rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        bytes.push(byte);
        text = rest;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// The value of an ASCII hexadecimal digit.
fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<Vec<u8>>> {
        let mut bytes = Vec::new();
        let mut spans = Vec::new();
        split_args(line.as_bytes(), &mut bytes, |span| spans.push(span)).ok()?;
        Some(spans.into_iter().map(|span| bytes[span].to_vec()).collect())
    }

    #[test]
    fn words_are_split_and_unquoted_as_redis_does() {
        let cases: [(&str, &[&[u8]]); 14] = [
            ("", &[]),
            ("  \t ", &[]),
            ("GET a", &[b"GET", b"a"]),
            ("  SET\ta   b  ", &[b"SET", b"a", b"b"]),
            (r#"SET a "b c""#, &[b"SET", b"a", b"b c"]),
            (r#""""#, &[b""]),
            (r#"'' x"#, &[b"", b"x"]),
            (r#""\x41\n\r\t\b\a\"\\""#, &[b"A\n\r\t\x08\x07\"\\"]),
            (r#""\xZZ""#, &[b"xZZ"]),
            (r#""\q""#, &[b"q"]),
            (r#"'it\'s \n'"#, &[br"it's \n"]),
            (r#"ab"cd" e"#, &[b"abcd", b"e"]),
            (r"a\nb", &[br"a\nb"]),
            ("'a\"b'", &[b"a\"b"]),
        ];
        for (line, expected) in cases {
            assert_eq!(
                words(line).as_deref(),
                Some(&expected.iter().map(|w| w.to_vec()).collect::<Vec<_>>()[..]),
                "{line}"
            );
        }
    }

    #[test]
    fn quotes_must_be_closed_and_followed_by_a_space() {
        for line in [r#"""#, r#""a"#, "'", "'a", r#""a"b"#, "'a'b", r#""a"""#, r#""\""#, r"'\'"] {
            assert_eq!(words(line), None, "{line}");
        }
    }
}
