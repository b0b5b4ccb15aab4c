//! Reading arguments: numbers as Redis reads them, options in any case. Pure.

use modb_net::resp::{Args, parse_i64};

use crate::command::CommandError;
use crate::data::DataError;

/// A 64-bit integer.
pub(crate) fn int(arg: &[u8]) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(CommandError::Data(DataError::NotAnInteger))
}

/// A 64-bit integer, with another text if it is none.
pub(crate) fn int_or(arg: &[u8], text: &'static str) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(CommandError::Text(text.into()))
}

/// A number from 0 on; anything else is this error.
pub(crate) fn positive(arg: &[u8], text: &'static str) -> Result<u64, CommandError> {
    parse_i64(arg).and_then(|number| u64::try_from(number).ok()).ok_or(CommandError::Text(text.into()))
}

/// A number from 1 on; anything else is this error.
pub(crate) fn at_least_one(arg: &[u8], text: &'static str) -> Result<u64, CommandError> {
    positive(arg, text).ok().filter(|number| *number > 0).ok_or(CommandError::Text(text.into()))
}

/// A 32-bit integer, which is what Redis holds the index of a database in.
pub(crate) fn int32(arg: &[u8]) -> Result<i32, CommandError> {
    let text = "ERR value is out of range, value must between -2147483648 and 2147483647";
    i32::try_from(int(arg)?).map_err(|_| CommandError::Text(text.into()))
}

/// A double as `strtod` reads all of `arg`: no blanks, no NaN, and nothing that leaves the range.
pub(crate) fn double(arg: &[u8]) -> Option<f64> {
    if let Some(whole) = short_whole(arg) {
        return Some(whole);
    }
    let (number, rest) = strtod(arg)?;
    let out_of_range = is_out_of_range(number, arg);
    (rest.is_empty() && !number.is_nan() && !out_of_range && !arg[0].is_ascii_whitespace()).then_some(number)
}

/// A whole number of so few digits that a double has it, as most scores are.
fn short_whole(arg: &[u8]) -> Option<f64> {
    const MOST_DIGITS: usize = 15;
    if arg.is_empty() || arg.len() > MOST_DIGITS {
        return None;
    }
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let whole = arg.iter().try_fold(0, |whole, byte| Some(whole * 10 + digit(byte)?))?;
    Some(whole as f64)
}

/// A double, with another text than the usual if it is none.
pub(crate) fn double_or(arg: &[u8], text: &'static str) -> Result<f64, CommandError> {
    double(arg).ok_or(CommandError::Text(text.into()))
}

/// A double as Redis reads the ends of a range: as C reads a string, so it ends at a zero byte, may begin with blanks, be
/// nothing at all, or out of range.
pub(crate) fn lenient_double(arg: &[u8]) -> Option<f64> {
    let arg = arg.split(|byte| *byte == 0).next().unwrap_or_default();
    let (number, rest) = if arg.is_empty() { (0.0, arg) } else { strtod(arg)? };
    (rest.is_empty() && !number.is_nan()).then_some(number)
}

/// The number that `arg` begins with, and what is behind it.
fn strtod(arg: &[u8]) -> Option<(f64, &[u8])> {
    let text = arg.trim_ascii_start();
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1.0, rest),
        [b'+', rest @ ..] => (1.0, rest),
        _ => (1.0, text),
    };
    if let [b'0', b'x' | b'X', rest @ ..] = digits
        && let Some((number, rest)) = hexadecimal(rest)
    {
        return Some((sign * number, rest));
    }
    // The longest beginning that is a number: words first, since Rust knows the same.
    let longest = digits
        .len()
        .min(digits.iter().take_while(|byte| b"0123456789.eE+-infatyINFATY".contains(byte)).count());
    let number = |length: usize| std::str::from_utf8(&digits[..length]).ok()?.parse::<f64>().ok();
    if matches!(digits.first(), Some(b'+' | b'-')) {
        return None;
    }
    let (length, number) = (1..=longest).rev().find_map(|length| Some((length, number(length)?)))?;
    Some((sign * number, &digits[length..]))
}

/// A number of hexadecimal digits with an exponent of two, `1.8p3`.
fn hexadecimal(text: &[u8]) -> Option<(f64, &[u8])> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let whole = digits(text);
    let fraction = match text.get(whole) {
        Some(b'.') => digits(&text[whole + 1..]),
        _ => 0,
    };
    if whole + fraction == 0 {
        return None;
    }
    let mut end = whole + if text.get(whole) == Some(&b'.') { 1 + fraction } else { 0 };
    let value = |byte: u8| f64::from(char::from(byte).to_digit(16).unwrap_or(0));
    let mut number = 0.0;
    for &byte in text[..end].iter().filter(|byte| **byte != b'.') {
        number = number * 16.0 + value(byte);
    }
    let mut exponent = -4 * i32::try_from(fraction).ok()?;
    if let Some(b'p' | b'P') = text.get(end) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let length = text[end + 1 + sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if let Ok(given) =
            std::str::from_utf8(&text[end + 1..end + 1 + sign + length]).unwrap_or_default().parse::<i32>()
        {
            exponent = exponent.saturating_add(given);
            end += 1 + sign + length;
        }
    }
    Some((number * 2f64.powi(exponent), &text[end..]))
}

/// A number by which `SORT` sorts: as [`lenient_double`], but nothing out of range.
pub(crate) fn weight(arg: &[u8]) -> Option<f64> {
    lenient_double(arg).filter(|number| !is_out_of_range(*number, arg) && !number.is_subnormal())
}

fn is_out_of_range(number: f64, arg: &[u8]) -> bool {
    number.is_infinite() && !arg.iter().any(|byte| byte.eq_ignore_ascii_case(&b'i'))
        || number == 0.0 && has_digit_but_zero(arg)
}

fn has_digit_but_zero(arg: &[u8]) -> bool {
    let mantissa = arg.split(|byte| matches!(byte, b'e' | b'E' | b'p' | b'P')).next().unwrap_or_default();
    mantissa.iter().any(|byte| (b'1'..=b'9').contains(byte))
}

/// A range of indexes, which may count from the end, within `len`: the first and the one behind the last.
pub(crate) fn within(from: i64, to: i64, len: u64) -> (u64, u64) {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let from = if from < 0 { from.saturating_add(len).max(0) } else { from };
    let to = if to < 0 { to.saturating_add(len) } else { to }.min(len - 1);
    if from > to || from >= len { (0, 0) } else { (from as u64, to as u64 + 1) }
}

/// The index of a database.
pub(crate) fn database(arg: &[u8], databases: u32) -> Result<u32, CommandError> {
    u32::try_from(int32(arg)?)
        .ok()
        .filter(|index| *index < databases)
        .ok_or(CommandError::Data(DataError::NoSuchDatabase))
}

/// A 64-bit integer from `min` to `max`.
pub(crate) fn int_within(arg: &[u8], min: i64, max: i64) -> Result<i64, CommandError> {
    let number = int(arg)?;
    if number < min || number > max {
        return Err(format!("ERR value is out of range, value must between {min} and {max}").into());
    }
    Ok(number)
}

/// A word in any case.
pub(crate) fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// Text of an argument for an error or a list; what is no UTF-8 is replaced.
pub(crate) fn lossy(arg: &[u8]) -> String {
    String::from_utf8_lossy(arg).into_owned()
}

/// Walks over the options of a command.
pub(crate) struct Options<'a> {
    args: Args<'a>,
    at: usize,
}

impl<'a> Options<'a> {
    /// The options from argument `first` on.
    pub(crate) fn from(args: Args<'a>, first: usize) -> Self {
        Self { args, at: first }
    }

    /// The next word.
    pub(crate) fn next(&mut self) -> Option<&'a [u8]> {
        let word = self.args.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    /// The word that belongs to the option just read.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], CommandError> {
        self.next().ok_or(CommandError::Syntax)
    }

    /// How many words are left.
    pub(crate) fn left(&self) -> usize {
        self.args.len().saturating_sub(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::{double, lenient_double};

    #[test]
    fn doubles_are_read_as_redis_reads_them() {
        for (text, number) in [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x10", 16.0),
            ("-0x1.8p1", -3.0),
            ("1e308", 1e308),
            ("0e5", 0.0),
        ] {
            assert_eq!(double(text.as_bytes()), Some(number), "{text}");
        }
        for text in [
            "", " 1", "1 ", "nan", "1e400", "-1e400", "1e-400", "abc", "1abc", "e5", ".", "0x", "--1", "+-1",
            "1\0",
        ] {
            assert_eq!(double(text.as_bytes()), None, "{text}");
        }
        for (text, number) in
            [("", 0.0), (" 1", 1.0), ("1\0abc", 1.0), ("1e400", f64::INFINITY), ("-inf", f64::NEG_INFINITY)]
        {
            assert_eq!(lenient_double(text.as_bytes()), Some(number), "{text}");
        }
        for text in ["nan", "1 ", "abc", " "] {
            assert_eq!(lenient_double(text.as_bytes()), None, "{text}");
        }
    }
}
