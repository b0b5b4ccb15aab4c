//! Rust source without comments and literals, line for line: what is left can be searched for words.
//!
//! Not a parser: it knows just enough of the lexical grammar to find where a comment, string or character ends.

/// `source` with every comment, string and character literal replaced by spaces; line breaks stay.
pub(super) fn without_literals(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match literal_end(bytes, at) {
            Some(end) => end,
            None => {
                // A word is taken whole, so that the r of `for"` does not open a raw string.
                let word = bytes[at..].iter().take_while(|b| is_word(**b)).count().max(1);
                out.extend_from_slice(&bytes[at..at + word]);
                at += word;
                continue;
            }
        };
        out.extend(bytes[at..end].iter().map(|&b| if b == b'\n' { b'\n' } else { b' ' }));
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where the comment or literal that starts at `at` ends, if one starts there.
fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return Some(at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(at + block_comment_len(rest));
    }
    let prefix = rest.iter().take_while(|b| matches!(b, b'b' | b'r' | b'c')).count();
    let hashes = rest[prefix..].iter().take_while(|&&b| b == b'#').count();
    let raw = rest[..prefix].contains(&b'r');
    match rest.get(prefix + hashes) {
        Some(b'"') if raw && prefix <= 2 => {
            let mut close = vec![b'"'];
            close.resize(hashes + 1, b'#');
            let body = prefix + hashes + 1;
            let len = rest[body..].windows(close.len()).position(|w| w == close);
            Some(len.map_or(bytes.len(), |len| at + body + len + close.len()))
        }
        Some(b'"') if hashes == 0 && prefix <= 1 => Some(at + quoted_len(&rest[prefix..], b'"') + prefix),
        Some(b'\'') if hashes == 0 && prefix <= 1 => char_len(&rest[prefix..]).map(|len| at + prefix + len),
        _ => None,
    }
}

fn block_comment_len(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn quoted_len(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of a character literal; `None` for a lifetime.
fn char_len(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return Some(quoted_len(rest, b'\''));
    }
    // One character, of up to four bytes, then the closing quote.
    let first = std::str::from_utf8(rest.get(1..rest.len().min(5))?)
        .map_or_else(|e| e.valid_up_to(), str::len)
        .min(rest.len() - 1);
    let text = std::str::from_utf8(&rest[1..1 + first]).ok()?;
    let width = text.chars().next()?.len_utf8();
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

#[cfg(test)]
mod tests {
    use super::without_literals;

    #[test]
    fn comments_and_literals_are_blank_and_code_stays() {
        let source = "a // unsafe\nb /* c /* d */ e */ f \"g \\\" h\" 'i' '\\'' b'j' r#\"k \" l\"# m";
        let code = without_literals(source);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "b", "f", "m"]);
        assert_eq!(code.len(), source.len());
    }

    #[test]
    fn lines_stay_where_they_are() {
        assert_eq!(without_literals("a\n\"b\nc\"\nd").lines().count(), 4);
    }

    #[test]
    fn a_lifetime_is_code() {
        assert_eq!(without_literals("fn f<'a>(x: &'a str, y: 'é')"), "fn f<'a>(x: &'a str, y:     )");
    }

    #[test]
    fn a_raw_identifier_and_a_word_that_ends_in_r_are_code() {
        assert_eq!(without_literals("r#type for\"x\" y"), "r#type for    y");
    }
}
