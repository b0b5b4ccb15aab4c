//! The x87 extended number that Redis adds with in `INCRBYFLOAT`: 64 bits of mantissa, 15 of exponent. Pure.
//!
//! Written out in software so that sums are the same on every platform (Windows has no such type), digit for
//! digit what Redis answers. Exact decimal conversion needs large integers; `Big` has the few operations.

use std::cmp::Ordering;

/// A finite number: `mantissa * 2^exponent`, the highest bit of the mantissa set unless it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

/// The largest exponent of a 64-bit mantissa: numbers end below 2^16384.
const MAX_EXPONENT: i32 = 16_383 - 63;

/// The exponent of the smallest denormal number.
const MIN_EXPONENT: i32 = -16_445;

/// Digits behind the point that Redis prints.
const FRACTION_DIGITS: u32 = 17;

/// The longest text that is read, in bytes, as in Redis (`MAX_LONG_DOUBLE_CHARS`).
const MAX_TEXT_BYTES: usize = 5 * 1024;

/// What a text may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A number.
    Finite(LongDouble),
    /// Plus or minus infinity.
    Infinite,
}

/// Reads a number as `strtold` does, decimal or hexadecimal, the whole text. Not read: NaN, and numbers that are too large or
/// too small.
pub fn parse(text: &[u8]) -> Option<Parsed> {
    if text.len() >= MAX_TEXT_BYTES {
        return None;
    }
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
        return Some(Parsed::Infinite);
    }
    if let [b'0', b'x' | b'X', digits @ ..] = rest {
        return from_hexadecimal(negative, digits).map(Parsed::Finite);
    }
    let (digits, exponent) = match rest.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e')) {
        None => (rest, 0),
        Some(at) => (&rest[..at], decimal_exponent(&rest[at + 1..])?),
    };
    let (mut number, mut scale, mut any, mut behind_point) = (Big::default(), exponent, false, false);
    for byte in digits {
        match byte {
            b'.' if !behind_point => behind_point = true,
            b'0'..=b'9' => {
                any = true;
                number.mul_add(10, u32::from(byte - b'0'));
                scale -= i64::from(behind_point);
            }
            _ => return None,
        }
    }
    if !any {
        return None;
    }
    from_decimal(negative, number, scale).map(Parsed::Finite)
}

/// The digits behind `0x`, and perhaps an exponent of two: `1.8p-3`.
fn from_hexadecimal(negative: bool, text: &[u8]) -> Option<LongDouble> {
    let (digits, exponent) = match text.iter().position(|byte| byte.eq_ignore_ascii_case(&b'p')) {
        None => (text, 0),
        Some(at) => (&text[..at], decimal_exponent(&text[at + 1..])?),
    };
    let (mut number, mut exponent, mut any, mut behind_point) = (Big::default(), exponent, false, false);
    for byte in digits {
        match (byte, char::from(*byte).to_digit(16)) {
            (b'.', _) if !behind_point => behind_point = true,
            (_, Some(digit)) => {
                any = true;
                number.mul_add(16, digit);
                exponent -= 4 * i64::from(behind_point);
            }
            _ => return None,
        }
    }
    if number.is_zero() {
        return any.then_some(LongDouble { negative, mantissa: 0, exponent: 0 });
    }
    let excess = number.bits().saturating_sub(66);
    let exponent = i32::try_from(exponent + excess as i64).ok()?;
    round(negative, number.shr_sticky(excess), exponent)
}

fn decimal_exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.saturating_mul(10).saturating_add(i64::from(byte - b'0')).min(1_000_000);
    }
    Some(sign * value)
}

/// `number * 10^scale`, rounded to the nearest, ties to even.
fn from_decimal(negative: bool, number: Big, scale: i64) -> Option<LongDouble> {
    /// Beyond these no digits that are allowed can bring the number back into range.
    const MAX_SCALE: i64 = 12_000;
    if number.is_zero() {
        return Some(LongDouble { negative, mantissa: 0, exponent: 0 });
    }
    if scale.abs() > MAX_SCALE {
        return None;
    }
    let mut power = Big::from(1);
    for _ in 0..scale.unsigned_abs() {
        power.mul_add(10, 0);
    }
    if scale >= 0 {
        let product = number.mul(&power);
        let bits = product.bits();
        return round(negative, product.shr_sticky(bits.saturating_sub(66)), bits.saturating_sub(66) as i32);
    }
    // So that the quotient has 66 bits, or one more; what remains is one more bit that only says "not exact".
    let shift = 66 + power.bits() as i32 - number.bits() as i32;
    let shifted = shift.unsigned_abs() as usize;
    let (quotient, exact) =
        if shift < 0 { number.div(&power.shl(shifted)) } else { number.shl(shifted).div(&power) };
    let quotient = (quotient << 1) | u128::from(!exact);
    round(negative, quotient, -shift - 1)
}

/// `wide * 2^exponent` in 64 bits of mantissa, to the nearest, ties to even.
fn round(negative: bool, wide: u128, exponent: i32) -> Option<LongDouble> {
    if wide == 0 {
        return Some(LongDouble { negative, mantissa: 0, exponent: 0 });
    }
    let bits = 128 - wide.leading_zeros();
    let excess = (bits as i32 - 64).max(MIN_EXPONENT - exponent);
    let (mut mantissa, mut exponent) = if excess > 0 {
        if excess > 127 {
            return None;
        }
        let half = 1_u128 << (excess - 1);
        let rest = wide & ((half << 1) - 1);
        let kept = wide >> excess;
        let up = rest > half || (rest == half && kept & 1 == 1);
        (kept + u128::from(up), exponent + excess)
    } else {
        (wide, exponent)
    };
    if mantissa == 1 << 64 {
        mantissa >>= 1;
        exponent += 1;
    }
    let lift = (mantissa as u64).leading_zeros();
    let mantissa = (mantissa as u64) << lift;
    exponent -= lift as i32;
    (mantissa != 0 && exponent <= MAX_EXPONENT).then_some(LongDouble { negative, mantissa, exponent })
}

impl From<f64> for LongDouble {
    /// Exactly; what is not finite is 0.
    fn from(number: f64) -> Self {
        const FRACTION_BITS: u32 = 52;
        const BIAS: i32 = 1_023 + FRACTION_BITS as i32;
        let bits = number.to_bits();
        let (exponent, fraction) =
            ((bits >> FRACTION_BITS) as i32 & 0x7ff, bits & ((1 << FRACTION_BITS) - 1));
        let wide = match exponent {
            0 => fraction,
            0x7ff => 0,
            _ => fraction | 1 << FRACTION_BITS,
        };
        let zero = Self { negative: number.is_sign_negative(), mantissa: 0, exponent: 0 };
        round(number.is_sign_negative(), wide.into(), exponent.max(1) - BIAS).unwrap_or(zero)
    }
}

impl LongDouble {
    /// The sum, to the nearest, ties to even; none if it is out of range.
    pub fn plus(self, other: Self) -> Option<Self> {
        /// Room below the mantissa, so that what is shifted out keeps the rounding right.
        const GUARD_BITS: u32 = 62;
        let (large, small) = if (other.mantissa != 0 && other.exponent > self.exponent) || self.mantissa == 0
        {
            (other, self)
        } else {
            (self, other)
        };
        if small.mantissa == 0 {
            return Some(large);
        }
        let a = u128::from(large.mantissa) << GUARD_BITS;
        let b = u128::from(small.mantissa) << GUARD_BITS;
        let shift = large.exponent.abs_diff(small.exponent);
        let b = if shift >= 127 { 1 } else { b >> shift | u128::from(b & ((1 << shift) - 1) != 0) };
        let exponent = large.exponent - GUARD_BITS as i32;
        let (negative, sum) = match (large.negative == small.negative, a.cmp(&b)) {
            (true, _) => (large.negative, a + b),
            (false, Ordering::Equal) => (false, 0),
            (false, Ordering::Greater) => (large.negative, a - b),
            (false, Ordering::Less) => (small.negative, b - a),
        };
        round(negative, sum, exponent)
    }

    /// As Redis prints it: 17 digits behind the point, without the zeros at the end.
    pub fn print(self) -> String {
        let mut scaled = Big::from(self.mantissa);
        for _ in 0..FRACTION_DIGITS {
            scaled.mul_add(10, 0);
        }
        let scaled = match self.exponent {
            up @ 0.. => scaled.shl(up as usize),
            down => scaled.shr_rounded(down.unsigned_abs() as usize),
        };
        let digits = format!("{:0>width$}", scaled.to_decimal(), width = FRACTION_DIGITS as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - FRACTION_DIGITS as usize);
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.negative && (whole != "0" || !fraction.is_empty()) { "-" } else { "" };
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

/// An unsigned integer of any size: 32 bits per limb, the lowest first, no zeros at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Big(Vec<u32>);

impl From<u64> for Big {
    fn from(n: u64) -> Self {
        Self(vec![n as u32, (n >> 32) as u32]).trimmed()
    }
}

impl Big {
    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn bits(&self) -> usize {
        self.0.last().map_or(0, |top| self.0.len() * 32 - top.leading_zeros() as usize)
    }

    /// `self = self * factor + term`
    fn mul_add(&mut self, factor: u32, term: u32) {
        let mut carry = u64::from(term);
        for limb in &mut self.0 {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn mul(&self, other: &Self) -> Self {
        let mut product = vec![0; self.0.len() + other.0.len()];
        for (i, a) in self.0.iter().enumerate() {
            let mut carry = 0;
            for (j, b) in other.0.iter().enumerate() {
                carry += u64::from(*a) * u64::from(*b) + u64::from(product[i + j]);
                product[i + j] = carry as u32;
                carry >>= 32;
            }
            product[i + other.0.len()] = carry as u32;
        }
        Self(product).trimmed()
    }

    fn shl(&self, by: usize) -> Self {
        let (limbs, bits) = (by / 32, by % 32);
        let mut out = vec![0; limbs];
        let mut carry = 0;
        for limb in &self.0 {
            let wide = u64::from(*limb) << bits | carry;
            out.push(wide as u32);
            carry = wide >> 32;
        }
        out.push(carry as u32);
        Self(out).trimmed()
    }

    fn bit(&self, at: usize) -> bool {
        self.0.get(at / 32).is_some_and(|limb| limb >> (at % 32) & 1 == 1)
    }

    /// The bits from `by` up, which must be at most 127, with the lowest one set if any bit below was.
    fn shr_sticky(&self, by: usize) -> u128 {
        let kept = (by..self.bits()).rev().fold(0_u128, |kept, at| kept << 1 | u128::from(self.bit(at)));
        let lost = (0..by.min(self.bits())).any(|at| self.bit(at));
        kept | u128::from(lost)
    }

    /// `self / 2^by`, to the nearest, ties to even.
    fn shr_rounded(&self, by: usize) -> Self {
        let half = by > 0 && self.bit(by - 1);
        let below = (0..by.saturating_sub(1)).any(|at| self.bit(at));
        let mut kept = Self(Vec::new());
        for at in (by..self.bits()).rev() {
            kept.mul_add(2, 0);
            if self.bit(at) {
                kept.increment();
            }
        }
        if half && (below || kept.bit(0)) {
            kept.increment();
        }
        kept
    }

    fn increment(&mut self) {
        for limb in &mut self.0 {
            let (sum, over) = limb.overflowing_add(1);
            *limb = sum;
            if !over {
                return;
            }
        }
        self.0.push(1);
    }

    /// The quotient, which must have at most 127 bits, and whether nothing remains.
    fn div(&self, divisor: &Self) -> (u128, bool) {
        let mut rest = self.clone();
        let mut quotient = 0;
        let steps = (self.bits() + 1).saturating_sub(divisor.bits());
        for step in (0..steps).rev() {
            let part = divisor.shl(step);
            quotient <<= 1;
            if rest.cmp(&part) != Ordering::Less {
                rest.sub(&part);
                quotient |= 1;
            }
        }
        (quotient, rest.is_zero())
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let by_len = self.0.len().cmp(&other.0.len());
        by_len.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// `self -= other`, which is not larger.
    fn sub(&mut self, other: &Self) {
        let mut borrow = 0;
        for (at, limb) in self.0.iter_mut().enumerate() {
            let take = i64::from(other.0.get(at).copied().unwrap_or(0)) + borrow;
            let left = i64::from(*limb) - take;
            *limb = left as u32;
            borrow = i64::from(left < 0);
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn to_decimal(&self) -> String {
        /// Digits taken off at once.
        const GROUP: u64 = 1_000_000_000;
        let mut rest = self.clone();
        let mut groups = Vec::new();
        while !rest.is_zero() {
            let mut remainder = 0;
            for limb in rest.0.iter_mut().rev() {
                let wide = remainder << 32 | u64::from(*limb);
                *limb = (wide / GROUP) as u32;
                remainder = wide % GROUP;
            }
            rest = rest.trimmed();
            groups.push(remainder);
        }
        let mut text = groups.pop().unwrap_or(0).to_string();
        for group in groups.iter().rev() {
            text += &format!("{group:09}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> String {
        let read = |text: &str| match parse(text.as_bytes()) {
            Some(Parsed::Finite(number)) => number,
            other => panic!("{text}: {other:?}"),
        };
        read(a).plus(read(b)).map_or_else(|| "none".into(), LongDouble::print)
    }

    #[test]
    fn sums_are_those_of_redis_digit_for_digit() {
        // From redis-server 7.0.15 on x86-64.
        for (a, b, expected) in [
            ("0.1", "0.2", "0.3"),
            ("1000000.1", "0.2", "1000000.30000000000001137"),
            ("123456789.123456789", "0.000000001", "123456789.12345678999554366"),
            ("1e20", "1", "100000000000000000000"),
            ("1e-18", "0", "0"),
            ("0", "-1e-18", "0"),
            ("1e17", "0.1", "100000000000000000.1015625"),
            ("99999999999999.99", "0.01", "100000000000000"),
            ("1.1", "2.2e-10", "1.10000000022"),
            ("7", "-7.0000001", "-0.0000001"),
            ("123.456", "1e-17", "123.45600000000000001"),
            ("3.3e15", "0.7", "3300000000000000.699951171875"),
            ("5.0e3", "2.0e2", "5200"),
            // Of more digits before the point than 128 bits hold.
            (&format!("{}.5", "8".repeat(40)), "0.1", "8888888888888888888893375129915351891968"),
            (&format!("1{}.25", "0".repeat(38)), "0.1", "99999999999999999999312600448599326720"),
            ("0x10", "0", "16"),
            ("-0x1.8p1", "0XAp-1", "2"),
            ("0x.8", "0x0p99999999", "0.5"),
            ("0x123456789abcdef0123", "0", "5373003642731685151232"),
        ] {
            assert_eq!(sum(a, b), expected, "{a} + {b}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "abc",
            "1e",
            "--1",
            "1.2.3",
            ".",
            "nan",
            "1e5000",
            "1e-6000",
            "0x",
            "0x.",
            "0x1p",
            "0xg",
            "0x1p99999",
            "0x1p-99999",
            "0x1.1.1",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"-inf"), Some(Parsed::Infinite));
    }

    #[test]
    fn what_a_double_holds_exactly_is_printed_exactly() {
        for n in [0.5, 0.125, 1024.0, 3.75, 4_503_599_627_370_496.5, -2.25] {
            assert_eq!(sum(&format!("{n}"), "0"), format!("{n}"));
        }
    }
}
