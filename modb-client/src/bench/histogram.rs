//! A histogram of latencies, drawn with characters. Pure.
//!
//! Latencies spread over orders of magnitude, so the rows ascend by a factor, in round numbers, as fine as
//! fits into [`MAX_ROWS`].

use hdrhistogram::Histogram;
use modb_client::terminal::Charset;
use modb_client::terminal::text::bar;

use super::text::{Look, grouped, latency};

/// Rows of a picture.
const MAX_ROWS: usize = 16;

/// Characters of a row besides its bar.
const ROW_WIDTH: usize = 36;

/// Characters of the longest bar, in a narrow window and in a wide one.
const BAR_WIDTH: [usize; 2] = [4, 80];

/// Upper ends of the rows within each power of ten, from fine to coarse.
const STEPS: [&[f64]; 4] = [
    &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0],
    &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
    &[1.0, 2.0, 5.0],
    &[1.0],
];

/// Powers of ten of nanoseconds that latencies can have.
const DECADES: i32 = 14;

/// How many latencies lie in (`above_ns`, `upto_ns`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) upto_ns: u64,
    pub(super) count: u64,
}

/// The counts, in rows from the one with the shortest latency to the one with the longest.
pub(super) fn rows(latencies_ns: &Histogram<u64>) -> Vec<Row> {
    let fitting = STEPS.iter().map(|steps| rows_in(latencies_ns, steps)).find(|rows| rows.len() <= MAX_ROWS);
    fitting.unwrap_or_default()
}

fn rows_in(latencies_ns: &Histogram<u64>, steps: &[f64]) -> Vec<Row> {
    let ends = (0..DECADES).flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
    let mut rows: Vec<Row> = ends.map(|end| Row { upto_ns: end.round() as u64, count: 0 }).collect();
    for value in latencies_ns.iter_recorded() {
        // What is recorded stands for a span of 0.1 %; its lower end never passes the end of a row.
        let value_ns = latencies_ns.lowest_equivalent(value.value_iterated_to());
        let at = rows.partition_point(|row| row.upto_ns < value_ns);
        if let Some(row) = rows.get_mut(at) {
            row.count += value.count_at_value();
        }
    }
    let first = rows.iter().position(|row| row.count > 0).unwrap_or(rows.len());
    let end = rows.iter().rposition(|row| row.count > 0).map_or(first, |last| last + 1);
    rows[first..end].to_vec()
}

/// The picture, a line per row.
pub(super) fn draw(latencies_ns: &Histogram<u64>, look: Look) -> String {
    let width = look.columns.saturating_sub(ROW_WIDTH).clamp(BAR_WIDTH[0], BAR_WIDTH[1]);
    let edge = if look.charset == Charset::Ascii { '|' } else { '│' };
    let rows = rows(latencies_ns);
    let most = rows.iter().map(|row| row.count).max().unwrap_or(1) as f64;
    let total = latencies_ns.len().max(1) as f64;
    let mut picture = String::new();
    for Row { upto_ns, count } in rows {
        let end = latency(upto_ns as f64 / 1e3, look.charset);
        let bar = bar(count as f64 / most, width, look.charset);
        let share = count as f64 / total * 100.0;
        let count = grouped(count);
        picture.push_str(&format!("  {end:>9} {edge}{bar:<width$} {share:>6.2} %  {count:>11}\n"));
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(values_ns: &[u64]) -> Histogram<u64> {
        let mut histogram = crate::bench::tally::Tally::new().latencies_ns;
        values_ns.iter().for_each(|&value| histogram.saturating_record_n(value, 1));
        histogram
    }

    #[test]
    fn latencies_fall_into_rows_with_round_ends() {
        let rows = rows(&histogram(&[95_000, 100_000, 130_000, 130_000, 240_000]));
        let told: Vec<_> = rows.iter().map(|row| (row.upto_ns, row.count)).collect();
        assert_eq!(told, [(100_000, 2), (120_000, 0), (150_000, 2), (200_000, 0), (250_000, 1)]);
    }

    #[test]
    fn the_picture_has_the_longest_bar_where_most_are() {
        let look = |columns, charset| Look { columns, charset };
        let picture = draw(&histogram(&[95_000, 130_000, 130_000]), look(76, Charset::Unicode));
        assert_eq!(
            picture,
            "     100 µs │████████████████████                      33.33 %            1\n     \
             120 µs │                                           0.00 %            0\n     \
             150 µs │████████████████████████████████████████  66.67 %            2\n"
        );
        let picture = draw(&histogram(&[95_000, 130_000, 130_000]), look(50, Charset::Ascii));
        assert_eq!(
            picture,
            "     100 us |#######         33.33 %            1\n     \
             120 us |                 0.00 %            0\n     \
             150 us |##############  66.67 %            2\n"
        );
        assert_eq!(draw(&histogram(&[]), look(80, Charset::Unicode)), "");
    }

    proptest! {
        #[test]
        fn every_latency_is_in_a_row_and_the_rows_are_few(
            values in prop::collection::vec(0u64..4_000_000_000_000, 1..50),
        ) {
            let rows = rows(&histogram(&values));
            prop_assert!(rows.len() <= MAX_ROWS);
            prop_assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), values.len() as u64);
        }
    }
}
