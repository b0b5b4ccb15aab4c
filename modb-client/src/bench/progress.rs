//! What is seen while a run lasts: a bar on standard error, and the course of the throughput for the report.

use std::time::Duration;

use modb_client::terminal::Bar;

use super::options::Limit;
use super::text::grouped;

/// Points of a timeline: when there are as many, every second one is dropped.
const MAX_POINTS: usize = 80;

/// The bar of a phase.
pub(super) struct Progress {
    name: &'static str,
    limit: Limit,
    bar: Bar,
    /// The last look: when, and how many requests.
    last: (Duration, u64),
}

impl Progress {
    pub(super) fn new(name: &'static str, limit: Limit, quiet: bool) -> Self {
        Self { name, limit, bar: Bar::new(quiet), last: (Duration::ZERO, 0) }
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
        self.bar.show(self.name, Some(done), &facts(done, elapsed, per_s, errors));
    }

    /// Erases the bar.
    pub(super) fn clear(&mut self) {
        self.bar.clear();
    }
}

/// What is told beside the bar, the most important first.
fn facts(done: f64, elapsed: Duration, per_s: f64, errors: u64) -> Vec<String> {
    let mut facts = Vec::new();
    if errors > 0 {
        facts.push(format!("{} errors", grouped(errors)));
    }
    facts.push(format!("{} requests/s", grouped(per_s as u64)));
    if done > 0.0 {
        let left = elapsed.as_secs_f64() * (1.0 - done).max(0.0) / done;
        facts.push(format!("{left:.1} s left"));
    }
    facts
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
    fn beside_the_bar_stands_how_fast_it_is_and_how_long_it_will_take() {
        let two = Duration::from_secs(2);
        assert_eq!(facts(0.25, two, 1_234_567.0, 0), ["1,234,567 requests/s", "6.0 s left"]);
        assert_eq!(facts(1.5, two, 0.0, 7), ["7 errors", "0 requests/s", "0.0 s left"]);
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
