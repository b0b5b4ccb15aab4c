//! What `SCAN`, `HSCAN`, `SSCAN` and `ZSCAN` have in common: their options and their reply. Pure.

use modb_net::resp::Args;

use crate::command::language::parse::{Options, int, is};
use crate::command::{CommandError, Reply};

/// Keys, or elements of a collection, that one call returns at most, whatever `COUNT` says: it is only a hint.
pub(crate) const MAX_ELEMENTS: usize = 100_000;

/// What was asked for.
pub(crate) struct Walk<'a> {
    pub(crate) cursor: u64,
    pub(crate) pattern: Option<&'a [u8]>,
    pub(crate) count: usize,
}

impl<'a> Walk<'a> {
    /// Reads the cursor at argument `at` and the options behind it.
    pub(crate) fn parse(args: Args<'a>, at: usize) -> Result<Self, CommandError> {
        Self::parse_with(args, at, |_, _| false)
    }

    /// As [`Walk::parse`], where there are more options: `other` takes those that it knows.
    pub(crate) fn parse_with(
        args: Args<'a>,
        at: usize,
        mut other: impl FnMut(&[u8], &'a [u8]) -> bool,
    ) -> Result<Self, CommandError> {
        let cursor = cursor_at(args, at)?;
        let (mut pattern, mut count) = (None, 10);
        let mut options = Options::from(args, at + 1);
        while let Some(word) = options.next() {
            let value = options.value()?;
            if is(word, "match") {
                pattern = Some(value);
            } else if is(word, "count") {
                count = usize::try_from(int(value)?).ok().filter(|n| *n > 0).ok_or(CommandError::Syntax)?;
            } else if !other(word, value) {
                return Err(CommandError::Syntax);
            }
        }
        Ok(Self { cursor, pattern, count: count.min(MAX_ELEMENTS) })
    }
}

/// As `strtoul` has it: what is read ends at a zero byte, nothing at all is 0, and negative numbers count from the end.
fn cursor(arg: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(arg.split(|byte| *byte == 0).next()?).ok()?;
    match text.strip_prefix('-') {
        _ if text.is_empty() => Some(0),
        Some(digits) if digits.starts_with(|first: char| first.is_ascii_digit()) => {
            digits.parse().ok().map(u64::wrapping_neg)
        }
        _ => text.parse().ok(),
    }
}

/// The reply: where to go on, and what was found.
pub(crate) fn walk(next: u64, found: Reply) -> Reply {
    Reply::Array(vec![Reply::string(next.to_string()), found])
}

/// The cursor at argument `at`, which is looked at before the key.
pub(crate) fn cursor_at(args: Args<'_>, at: usize) -> Result<u64, CommandError> {
    cursor(&args[at]).ok_or(CommandError::Text("ERR invalid cursor".into()))
}

#[cfg(test)]
mod tests {
    use super::cursor;

    #[test]
    fn cursors_are_read_as_redis_reads_them() {
        for (text, read) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("17", Some(17)),
            ("+17", Some(17)),
            ("\0", Some(0)),
            ("17\0x", Some(17)),
            ("-1", Some(u64::MAX)),
            ("-9223372036854775809", Some(9_223_372_036_854_775_807)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-", None),
            ("-+1", None),
            (" 1", None),
            ("1x", None),
        ] {
            assert_eq!(cursor(text.as_bytes()), read, "{text:?}");
        }
    }
}
