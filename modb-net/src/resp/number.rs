//! Numbers as Redis reads and writes them, without allocation. Pure.

use std::io::Write as _;

/// Parses a decimal integer exactly as Redis does: an optional `-`, no `+`, no spaces, no leading zeros, no `-0`,
/// nothing outside of `i64`.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        // 19 digits are the longest that can fit.
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // 19 digits stay below 10^19, which is below 2^64.
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// The most digits of a number that [`short_line`] reads.
pub(super) const SHORT_DIGITS: usize = 6;

/// The number in the line that begins there, and where the next one begins, if it has come whole and is as nearly all are that
/// tell a length or a count: `sign` and a few digits. `None`: it has to be looked at more closely.
#[inline(always)]
pub(super) fn short_line(input: &[u8], at: usize, sign: u8) -> Option<(u32, usize)> {
    let (first, rest) = input.get(at..)?.split_first()?;
    if *first != sign {
        return None;
    }
    let mut number = 0;
    for (digits, byte) in rest.iter().take(SHORT_DIGITS + 1).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let is_whole = *byte == b'\r' && digits > 0 && rest.len() > digits + 1;
            return is_whole.then_some((number, at + 1 + digits + 2));
        }
        if number == 0 && digits > 0 {
            // A leading zero is no number.
            return None;
        }
        number = number * 10 + u32::from(digit);
    }
    None
}

/// Appends `n` in decimal.
pub fn push_i64(out: &mut Vec<u8>, n: i64) {
    out.extend_from_slice(Decimal::of(n).as_bytes());
}

/// A number as it is written in decimal.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    /// At the end of it.
    text: [u8; MAX_DIGITS],
    start: usize,
}

impl Decimal {
    /// Writes `n`.
    pub fn of(n: i64) -> Self {
        let mut text = [0; MAX_DIGITS];
        let mut start = write_before(&mut text, n.unsigned_abs());
        // No signed number has as many digits as there is room.
        if n < 0 {
            start -= 1;
            text[start] = b'-';
        }
        Self { text, start }
    }

    /// The sign, if it is negative, and the digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[self.start..]
    }
}

/// Appends `n` in decimal.
pub fn push_u64(out: &mut Vec<u8>, n: u64) {
    let mut digits = [0; MAX_DIGITS];
    let start = write_before(&mut digits, n);
    out.extend_from_slice(&digits[start..]);
}

/// Digits of the largest number.
pub(super) const MAX_DIGITS: usize = 20;

/// Writes `n` in decimal at the end of `text`, and says where it begins.
#[inline]
pub(super) fn write_before(text: &mut [u8], mut n: u64) -> usize {
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return at;
        }
    }
}

/// Appends `value` as Redis 7.2 writes a double in a reply: `inf`, `-inf`, `nan`, an integer where it is one
/// (up to 2^62), else the shortest digits that read back as the same number, in scientific notation where
/// the exponent is large.
///
/// Source: `d2string` and the layout of `fpconv_dtoa`.
pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    /// Beyond it Redis does not try the integer form.
    const INTEGER_BOUND: f64 = (i64::MAX / 2) as f64;
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value < 0.0 { b"-inf" } else { b"inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.abs() <= INTEGER_BOUND && value.trunc() == value {
        push_i64(out, value as i64);
    } else {
        push_shortest(out, value);
    }
}

/// The shortest digits of a finite number that is not zero.
fn push_shortest(out: &mut Vec<u8>, value: f64) {
    if value < 0.0 {
        out.push(b'-');
    }
    // `{:e}` is the shortest representation: "d.ddde-xx", at most 17 digits, a point and "e-324".
    let mut text = [0; 32];
    let mut rest = &mut text[..];
    write!(rest, "{:e}", value.abs()).expect("the shortest form of a double is shorter than 32 bytes");
    let left = rest.len();
    let text = &text[..32 - left];
    let e = text.iter().position(|&b| b == b'e').expect("scientific notation has an exponent");
    let exponent = parse_i64(&text[e + 1..]).expect("the exponent is a number") as i32;
    let mut digits = [0; 20];
    let mut count = 0;
    for &byte in text[..e].iter().filter(|b| b.is_ascii_digit()) {
        digits[count] = byte;
        count += 1;
    }
    lay_out(out, &digits[..count], exponent);
}

/// Writes `digits` with the decimal point `exponent` places behind the first digit.
fn lay_out(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    let count = digits.len() as i32;
    // The number is digits * 10^scale.
    let scale = exponent - count + 1;
    if scale >= 0 && exponent.abs() < count + 7 {
        out.extend_from_slice(digits);
        out.resize(out.len() + scale as usize, b'0');
    } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        if exponent < 0 {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-exponent - 1) as usize, b'0');
            out.extend_from_slice(digits);
        } else {
            let (whole, fraction) = digits.split_at(exponent as usize + 1);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'e');
        out.push(if exponent < 0 { b'-' } else { b'+' });
        push_u64(out, exponent.unsigned_abs().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f64_text(value: f64) -> String {
        let mut out = Vec::new();
        push_f64(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_are_read_as_strictly_as_redis_reads_them() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), Some(value), "{text}");
        }
        for text in
            ["", "-", "+1", "-0", "00", "01", " 1", "1 ", "1a", "9223372036854775808", "-9223372036854775809"]
        {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_i64(&[b'1'; 40]), None);
    }

    #[test]
    fn integers_are_written_in_full() {
        for n in [0, 1, 9, 10, 99, 100, -1, -10, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            push_i64(&mut out, n);
            assert_eq!(String::from_utf8(out).unwrap(), n.to_string());
        }
    }

    #[test]
    fn doubles_are_written_as_redis_7_2_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-3.0, "-3"),
            (3.5, "3.5"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.0 / 3.0, "0.3333333333333333"),
            (-0.001, "-0.001"),
            (0.000001, "0.000001"),
            (0.0000001, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (123456.789, "123456.789"),
            (1e15, "1000000000000000"),
            (1e18, "1000000000000000000"),
            (1e20, "1e+20"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(f64_text(value), text);
        }
    }
}
