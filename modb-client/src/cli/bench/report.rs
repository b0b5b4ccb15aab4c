//! What a benchmark has measured: as text with a histogram, and as JSON. Pure.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::options::Options;
use super::worker::Measured;
use crate::cli::format::json_string;

/// Columns of the longest bar.
const BAR_COLUMNS: f64 = 40.0;
/// The bounds of the bars within a power of ten.
const STEPS: [f64; 6] = [1.0, 1.5, 2.0, 3.0, 5.0, 7.0];

/// The result of one test.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) name: String,
    pub(super) options: &'a Options,
    pub(super) measured: Measured,
}

/// What is told of a distribution, in milliseconds.
struct Latency {
    mean: f64,
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| ms(histogram.value_at_quantile(quantile) as f64);
        Self {
            mean: ms(histogram.mean()),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(histogram.max() as f64),
        }
    }
}

impl Report<'_> {
    fn requests_per_second(&self) -> f64 {
        self.measured.replies as f64 / self.measured.elapsed.as_secs_f64().max(1e-9)
    }

    /// The distribution that the requests would have seen had they been sent on time.
    ///
    /// With a rate, latencies run from the time that a request was due, which is that already. Without one, a
    /// connection that waits for a slow reply fails to send what it would have sent meanwhile; the requests
    /// that were omitted so are added (Gil Tene's correction), one per usual interval of the connection.
    fn corrected(&self) -> Histogram<u64> {
        if self.options.rate.is_some() || self.measured.replies == 0 {
            return self.measured.latency.clone();
        }
        let batches = self.measured.replies as f64 / self.options.pipeline as f64;
        let interval = self.measured.elapsed.as_nanos() as f64 * self.options.connections as f64 / batches;
        self.measured.latency.clone_correct((interval as u64).max(1))
    }

    /// The text for humans.
    pub(super) fn text(&self) -> String {
        let Self { options, measured, .. } = self;
        let mut text = String::new();
        let corrected = self.corrected();
        let rate = self.requests_per_second();
        let keys = if options.skew > 0.0 { format!("zipf {}", options.skew) } else { "uniform".to_owned() };
        let head = format!(
            "{}: {} connections, pipeline {}, {} keys ({keys}), values of {} bytes\n",
            self.name,
            options.connections,
            options.pipeline,
            grouped(options.keys),
            options.value_bytes,
        );
        text.push_str(&head);
        let line = format!(
            "  {} requests in {:.2} s: {} per second, {:.1} MB/s received\n",
            grouped(measured.replies),
            measured.elapsed.as_secs_f64(),
            grouped(rate as u64),
            measured.bytes_in as f64 / measured.elapsed.as_secs_f64().max(1e-9) / 1e6,
        );
        text.push_str(&line);
        if let Some(error) = &measured.error_text {
            let line = format!("  {} of them failed: {error}\n", grouped(measured.errors));
            text.push_str(&line);
        }
        text.push_str("  latency in ms        mean       p50       p99     p99.9       max\n");
        latency_line(&mut text, "measured", &measured.latency);
        latency_line(&mut text, "corrected", &corrected);
        if !options.quiet {
            chart(&mut text, &corrected);
        }
        text
    }

    /// One JSON object.
    pub(super) fn json(&self) -> String {
        let Self { options, measured, .. } = self;
        let rate = options.rate.map_or_else(|| "null".to_owned(), |rate| rate.to_string());
        format!(
            "{{\"test\":{},\"server\":{},\"connections\":{},\"threads\":{},\"pipeline\":{},\"keys\":{},\
             \"skew\":{},\"value_bytes\":{},\"rate\":{rate},\"warm_up_seconds\":{},\"requests\":{},\"errors\":{},\
             \"seconds\":{:.6},\"requests_per_second\":{:.1},\"bytes_received\":{},\
             \"latency_ms\":{{\"measured\":{},\"corrected\":{}}}}}",
            json_string(&self.name),
            json_string(&options.config.address()),
            options.connections,
            options.threads,
            options.pipeline,
            options.keys,
            options.skew,
            options.value_bytes,
            options.warm_up.as_secs_f64(),
            measured.replies,
            measured.errors,
            measured.elapsed.as_secs_f64(),
            self.requests_per_second(),
            measured.bytes_in,
            latency_json(&measured.latency),
            latency_json(&self.corrected()),
        )
    }
}

fn latency_line(text: &mut String, name: &str, histogram: &Histogram<u64>) {
    let Latency { mean, p50, p99, p999, max } = Latency::of(histogram);
    let line = format!("    {name:<12}{mean:>10.3}{p50:>10.3}{p99:>10.3}{p999:>10.3}{max:>10.3}\n");
    text.push_str(&line);
}

fn latency_json(histogram: &Histogram<u64>) -> String {
    let Latency { mean, p50, p99, p999, max } = Latency::of(histogram);
    format!("{{\"mean\":{mean:.6},\"p50\":{p50:.6},\"p99\":{p99:.6},\"p99_9\":{p999:.6},\"max\":{max:.6}}}")
}

/// Draws how many requests took how long; the bounds of the bars grow evenly in proportion.
fn chart(text: &mut String, histogram: &Histogram<u64>) {
    let total = histogram.len();
    let rows: Vec<(f64, f64, u64)> = bounds_ns()
        .zip(bounds_ns().skip(1))
        .map(|(low, high)| (low, high, histogram.count_between(low as u64, high as u64 - 1)))
        .collect();
    let used = |row: &(f64, f64, u64)| row.2 > 0;
    let (Some(first), Some(last)) = (rows.iter().position(used), rows.iter().rposition(used)) else { return };
    let most = rows.iter().map(|row| row.2).max().unwrap_or(1);
    for &(low, high, count) in &rows[first..=last] {
        let bar = bar(count as f64 / most as f64 * BAR_COLUMNS);
        let share = count as f64 * 100.0 / total as f64;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:>9} - {:<9} {share:>7.3} % {bar}", number_ms(low), number_ms(high));
    }
}

/// From a microsecond to beyond the longest latency that is told apart.
fn bounds_ns() -> impl Iterator<Item = f64> {
    (3..12).flat_map(|exponent| STEPS.map(|step| step * 10f64.powi(exponent)))
}

/// A bar to an eighth of a column; anything above nothing is visible.
fn bar(columns: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (columns * 8.0).ceil() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

fn ms(nanoseconds: f64) -> f64 {
    nanoseconds / 1e6
}

/// A bound in milliseconds, as short as it can be written.
fn number_ms(nanoseconds: f64) -> String {
    format!("{}", ms(nanoseconds))
}

/// With commas between thousands.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn report<'a>(options: &'a Options, latencies_ms: &[u64]) -> Report<'a> {
        let mut measured = Measured::new();
        for &latency in latencies_ms {
            measured.latency.record(latency * 1_000_000).unwrap();
        }
        measured.replies = latencies_ms.len() as u64;
        measured.elapsed = Duration::from_millis(latencies_ms.iter().sum());
        Report { name: "GET".to_owned(), options, measured }
    }

    #[test]
    fn a_stall_counts_for_the_requests_that_it_kept_from_being_sent() {
        let options = Options { connections: 1, ..Options::default() };
        // 990 requests of 1 ms and one that took a second, in which a thousand others would have been sent.
        let mut latencies = vec![1; 990];
        latencies.push(1000);
        let report = report(&options, &latencies);
        assert!(Latency::of(&report.measured.latency).p99 < 1.1);
        let corrected = Latency::of(&report.corrected());
        assert!(corrected.p99 > 900.0, "{}", corrected.p99);
        assert!(corrected.p50 > 1.0);
    }

    #[test]
    fn with_a_rate_nothing_is_corrected_twice() {
        let options = Options { connections: 1, rate: Some(1000.0), ..Options::default() };
        let mut latencies = vec![1; 990];
        latencies.push(1000);
        let report = report(&options, &latencies);
        assert_eq!(report.corrected().len(), 991);
    }

    #[test]
    fn the_histogram_is_drawn_with_its_longest_bar_where_most_are() {
        let options = Options::default();
        let mut latencies = vec![1; 900];
        latencies.extend([2; 450]);
        let text = report(&options, &latencies).text();
        let longest = "█".repeat(40);
        let bars: Vec<&str> = text.lines().filter(|line| line.contains('%')).collect();
        assert!(bars.iter().any(|line| line.contains("1 - 1.5") && line.ends_with(&longest)), "{text}");
        assert!(
            bars.iter().any(|line| line.contains("2 - 3 ") && line.contains('█') && !line.contains(&longest))
        );
    }

    #[test]
    fn json_says_what_was_measured() {
        let options = Options::default();
        let json = report(&options, &[1, 1]).json();
        for part in ["\"test\":\"GET\"", "\"requests\":2", "\"p99_9\":1.0", "\"requests_per_second\":1000.0"]
        {
            assert!(json.contains(part), "{part} in {json}");
        }
    }

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!((grouped(0), grouped(999)), ("0".into(), "999".into()));
        assert_eq!((grouped(1000), grouped(1234567)), ("1,000".into(), "1,234,567".into()));
    }
}
