//! The results of several runs, a row each as it ends. Pure.

use modb_client::terminal::text::wrap;

use super::report::Report;
use super::text::{Look, grouped, latency};

const NAME_WIDTH: usize = 12;
const RATE_WIDTH: usize = 12;
const LATENCY_WIDTH: usize = 10;

/// The latencies that are told, those first that matter most.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// What is sent, and the names of the columns; `first` is the first run.
pub(super) fn head(first: &Report<'_>, look: Look) -> String {
    let mut text = wrap(&first.describe("tests"), look.columns).join("\n");
    text.push_str(&format!("\n\n  {:<NAME_WIDTH$}{:>RATE_WIDTH$}", "test", "requests/s"));
    quantiles(look).for_each(|(name, _)| text.push_str(&format!("{name:>LATENCY_WIDTH$}")));
    text + "\n"
}

/// How a run went, and under it what went wrong.
pub(super) fn row(report: &Report<'_>, look: Look) -> String {
    let rate = grouped(report.tally.requests_per_s().round() as u64);
    let mut text = format!("  {:<NAME_WIDTH$}{rate:>RATE_WIDTH$}", report.load());
    for (_, quantile) in quantiles(look) {
        let us = report.tally.latency_us(*quantile);
        text.push_str(&format!("{:>LATENCY_WIDTH$}", latency(us, look.charset)));
    }
    text.push('\n');
    for (name, what) in report.troubles() {
        for line in wrap(&format!("{name}: {what}"), look.columns.saturating_sub(4)) {
            text.push_str(&format!("    {line}\n"));
        }
    }
    text
}

/// As many as there is room for.
fn quantiles(look: Look) -> impl Iterator<Item = &'static (&'static str, f64)> {
    let room = look.columns.saturating_sub(2 + NAME_WIDTH + RATE_WIDTH) / LATENCY_WIDTH;
    QUANTILES.iter().take(room.max(1))
}
