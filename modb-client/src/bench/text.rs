//! Numbers and curves for people. Pure.

use modb_client::terminal::Charset;

/// Blocks that fill a character from below, in eighths.
const LOWER_EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The same for a terminal that shows no blocks.
const ASCII_EIGHTHS: [char; 8] = ['_', '.', '-', '=', '+', '*', '#', '@'];

/// Where a text is to be shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// No line is wider, unless it is one word.
    pub(super) columns: usize,
    pub(super) charset: Charset,
}

/// `n` with its thousands apart.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in the unit that suits it, with three digits.
pub(super) fn latency(us: f64, charset: Charset) -> String {
    let micro = if charset == Charset::Ascii { "us" } else { "µs" };
    let (value, unit) = match us {
        _ if us < 999.5 => (us, micro),
        _ if us < 999_500.0 => (us / 1e3, "ms"),
        _ => (us / 1e6, "s"),
    };
    let decimals = match value {
        _ if value >= 99.95 => 0,
        _ if value >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

/// One character per value, as high as its share of the largest; of more than `look` has room for, their means.
pub(super) fn sparkline(values: &[f64], look: Look) -> String {
    let per_character = values.len().div_ceil(look.columns.max(1)).max(1);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let means: Vec<f64> = values.chunks(per_character).map(mean).collect();
    let largest = means.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let eighths = if look.charset == Charset::Ascii { ASCII_EIGHTHS } else { LOWER_EIGHTHS };
    means.iter().map(|value| eighths[(value / largest * 7.0).round() as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let texts: Vec<_> = [0, 999, 1000, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn times_have_three_digits_in_a_fitting_unit() {
        let texts: Vec<_> = [0.25, 9.996, 99.96, 351.2, 999.6, 1234.0, 999_499.0, 2_500_000.0]
            .into_iter()
            .map(|us| latency(us, Charset::Unicode))
            .collect();
        assert_eq!(
            texts,
            ["0.25 µs", "10.0 µs", "100 µs", "351 µs", "1.00 ms", "1.23 ms", "999 ms", "2.50 s"]
        );
    }

    #[test]
    fn a_curve_fits_the_window_and_the_terminal() {
        let look = |columns, charset| Look { columns, charset };
        assert_eq!(sparkline(&[0.0, 50.0, 100.0], look(3, Charset::Unicode)), "▁▅█");
        assert_eq!(sparkline(&[0.0], look(80, Charset::Unicode)), "▁");
        assert_eq!(sparkline(&[0.0, 50.0, 100.0], look(80, Charset::Ascii)), "_+@");
        assert_eq!(sparkline(&[0.0, 0.0, 50.0, 50.0, 100.0], look(3, Charset::Unicode)), "▁▅█");
        assert_eq!(latency(1.0, Charset::Ascii), "1.00 us");
    }
}
