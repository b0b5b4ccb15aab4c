//! What is seen while a run lasts: a bar on standard error, and the course of the throughput for the report.
//!
//! Invariant: nothing is written unless standard error is a terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::options::Limit;
use super::text::{bar, grouped};

/// Characters of the bar.
const BAR_WIDTH: usize = 24;

/// Points of a timeline: when there are as many, every second one is dropped.
const MAX_POINTS: usize = 80;

/// The bar. It erases itself by overwriting, so that it needs nothing of the terminal but a carriage return.
pub(super) struct Progress {
    name: &'static str,
    limit: Limit,
    enabled: bool,
    /// Characters on the line now.
    shown: usize,
    /// The last look: when, and how many requests.
    last: (Duration, u64),
}

impl Progress {
    pub(super) fn new(name: &'static str, limit: Limit, quiet: bool) -> Self {
        let enabled = !quiet && std::io::stderr().is_terminal();
        Self { name, limit, enabled, shown: 0, last: (Duration::ZERO, 0) }
    }

    /// Draws the state of the run.
    pub(super) fn show(&mut self, elapsed: Duration, requests: u64, errors: u64) {
        let seconds = elapsed.saturating_sub(self.last.0).as_secs_f64();
        let per_s = (requests - self.last.1) as f64 / seconds.max(1e-9);
        self.last = (elapsed, requests);
        let done = match self.limit {
            Limit::Requests(limit) => requests as f64 / limit as f64,
            Limit::Duration(limit) => elapsed.as_secs_f64() / limit.as_secs_f64(),
        };
        self.replace(&line(self.name, done, elapsed, per_s, errors));
    }

    /// Erases the bar.
    pub(super) fn clear(&mut self) {
        self.replace("");
        self.shown = 0;
    }

    fn replace(&mut self, line: &str) {
        if !self.enabled {
            return;
        }
        let width = line.chars().count();
        let padding = self.shown.saturating_sub(width);
        let mut stderr = std::io::stderr().lock();
        // A bar that cannot be drawn is no reason to stop measuring.
        let _ = write!(stderr, "\r{line}{:padding$}\r{line}", "").and_then(|()| stderr.flush());
        self.shown = width;
    }
}

fn line(name: &str, done: f64, elapsed: Duration, per_s: f64, errors: u64) -> String {
    let done = done.clamp(0.0, 1.0);
    let filled = bar(done, BAR_WIDTH);
    let empty = BAR_WIDTH - filled.chars().count();
    let mut text =
        format!("{name} ▕{filled}{:empty$}▏{:3.0} %  {} requests/s", "", done * 100.0, grouped(per_s as u64));
    if done > 0.0 {
        let left = elapsed.as_secs_f64() * (1.0 - done) / done;
        text.push_str(&format!("  {left:.1} s left"));
    }
    if errors > 0 {
        text.push_str(&format!("  {} errors", grouped(errors)));
    }
    text
}

/// How the count of requests grew, in a bounded number of points.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    /// (when, how many so far).
    points: Vec<(Duration, u64)>,
    /// Only every so many-th look becomes a point.
    stride: u64,
    looks: u64,
}

impl Timeline {
    pub(super) fn new() -> Self {
        Self { points: vec![(Duration::ZERO, 0)], stride: 1, looks: 0 }
    }

    pub(super) fn record(&mut self, elapsed: Duration, requests: u64) {
        self.looks += 1;
        if !self.looks.is_multiple_of(self.stride) {
            return;
        }
        self.points.push((elapsed, requests));
        if self.points.len() > MAX_POINTS {
            let mut kept = false;
            self.points.retain(|_| {
                kept = !kept;
                kept
            });
            self.stride *= 2;
        }
    }

    /// Requests per second between each two points.
    pub(super) fn rates(&self) -> Vec<f64> {
        let rate = |pair: &[(Duration, u64)]| {
            (pair[1].1 - pair[0].1) as f64 / (pair[1].0 - pair[0].0).as_secs_f64().max(1e-9)
        };
        self.points.windows(2).map(rate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_tells_how_far_how_fast_and_how_long_still() {
        let text = line("measuring", 0.25, Duration::from_secs(2), 1_234_567.0, 0);
        assert_eq!(text, "measuring ▕██████                  ▏ 25 %  1,234,567 requests/s  6.0 s left");
        assert!(text.chars().count() < 80);
        assert!(line("measuring", 1.5, Duration::from_secs(2), 0.0, 7).ends_with("0.0 s left  7 errors"));
    }

    #[test]
    fn a_timeline_of_any_length_keeps_its_bounds_and_its_rates() {
        let mut timeline = Timeline::new();
        for look in 1..10_000u64 {
            timeline.record(Duration::from_millis(100 * look), 50 * look);
            assert!(timeline.points.len() <= MAX_POINTS);
        }
        let rates = timeline.rates();
        assert!(rates.len() >= MAX_POINTS / 2 - 1);
        assert!(rates.iter().all(|rate| (rate - 500.0).abs() < 1e-6), "{rates:?}");
    }
}
