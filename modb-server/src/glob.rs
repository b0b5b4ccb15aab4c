//! Redis's glob patterns: `*`, `?`, `[a-z]`, `[^a]`, `\x`. Pure.
//!
//! Invariant: time is at most the product of both lengths, never exponential: only the last `*` is ever
//! tried again, which is enough because an earlier one could match nothing that the last one cannot.

/// Whether all of `text` matches `pattern`; `fold`: letters of either case are equal.
pub fn matches(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        match one(&pattern[p..], text[t], fold) {
            Some(len) => {
                p += len;
                t += 1;
            }
            None => match &mut star {
                Some((after, from)) => {
                    *from += 1;
                    (p, t) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Matches one byte against the element at the start of `pattern`: how long that element is, if it matches.
fn one(pattern: &[u8], byte: u8, fold: bool) -> Option<usize> {
    let same = |a: u8, b: u8| if fold { a.eq_ignore_ascii_case(&b) } else { a == b };
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let (hit, len) = class(pattern, byte, fold);
            hit.then_some(len)
        }
        b'\\' if pattern.len() >= 2 => same(pattern[1], byte).then_some(2),
        literal => same(literal, byte).then_some(1),
    }
}

/// A class `[...]`, as Redis reads it: unterminated, it ends with the pattern.
fn class(pattern: &[u8], byte: u8, fold: bool) -> (bool, usize) {
    let lower = |b: u8| if fold { b.to_ascii_lowercase() } else { b };
    let byte = lower(byte);
    let mut at = 1;
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut hit = false;
    loop {
        match pattern[at.min(pattern.len())..] {
            [] => return (hit != negated, pattern.len()),
            [b'\\', escaped, ..] => {
                hit |= lower(escaped) == byte;
                at += 2;
            }
            [b']', ..] => return (hit != negated, at + 1),
            [from, b'-', to, ..] => {
                let (from, to) = (lower(from.min(to)), lower(from.max(to)));
                hit |= (from..=to).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                hit |= lower(literal) == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hbllo", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("[abc", "c", true),
            ("[\\]]", "]", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*a", "aaab", false),
            ("\\", "\\", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), false), expected, "{pattern} {text}");
        }
        assert!(matches(b"H[A-C]*", b"hbX", true));
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        let pattern = "a*".repeat(64) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(4096).as_bytes(), false));
    }
}
