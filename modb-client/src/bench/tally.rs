//! What a worker counts. Pure.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that is told apart, in nanoseconds: an hour.
const MAX_LATENCY_NS: u64 = 3_600_000_000_000;

/// Decimal digits that a latency keeps: 0.1 % of it.
const LATENCY_DIGITS: u8 = 3;

/// The result of one worker, or of several.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Requests that were answered, errors included.
    pub(super) requests: u64,
    /// Answers that were errors.
    pub(super) errors: u64,
    /// Requests that were sent and never answered.
    pub(super) unanswered: u64,
    /// Requests of an open loop that were due and not sent, because every connection was still waiting.
    pub(super) unsent: u64,
    /// Connections that broke.
    pub(super) lost_connections: u64,
    /// The text of one error reply.
    pub(super) error: Option<String>,
    /// Why the first connection broke.
    pub(super) loss: Option<String>,
    /// Of every answer, in nanoseconds.
    pub(super) latencies_ns: Histogram<u64>,
    /// From the start to the last answer.
    pub(super) elapsed: Duration,
    /// Processor time of the workers.
    pub(super) cpu: Duration,
}

impl Tally {
    pub(super) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_LATENCY_NS, LATENCY_DIGITS);
        Self {
            requests: 0,
            errors: 0,
            unanswered: 0,
            unsent: 0,
            lost_connections: 0,
            error: None,
            loss: None,
            latencies_ns: histogram.expect("the bounds ascend and the digits are few"),
            elapsed: Duration::ZERO,
            cpu: Duration::ZERO,
        }
    }

    /// Counts another worker's in.
    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.unanswered += other.unanswered;
        self.unsent += other.unsent;
        self.lost_connections += other.lost_connections;
        self.error = self.error.take().or(other.error);
        self.loss = self.loss.take().or(other.loss);
        self.latencies_ns.add(&other.latencies_ns).expect("all histograms have the same bounds");
        self.elapsed = self.elapsed.max(other.elapsed);
        self.cpu += other.cpu;
    }

    /// Whether every request was answered, none with an error, and there was one.
    pub(super) fn is_clean(&self) -> bool {
        self.requests > 0 && self.errors == 0 && self.unanswered == 0 && self.lost_connections == 0
    }

    /// Answers per second.
    pub(super) fn requests_per_s(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Processor time of the workers per answer, in microseconds.
    pub(super) fn cpu_us_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }

    /// The latency that `quantile` (0 to 1) of the answers did not exceed, in microseconds.
    pub(super) fn latency_us(&self, quantile: f64) -> f64 {
        self.latencies_ns.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// What a worker tells while it runs. On a cache line of its own, so that workers do not slow each other.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Live {
    requests: AtomicU64,
    errors: AtomicU64,
}

impl Live {
    /// Publishes the worker's counts so far.
    #[inline]
    pub(super) fn publish(&self, requests: u64, errors: u64) {
        self.requests.store(requests, Ordering::Relaxed);
        self.errors.store(errors, Ordering::Relaxed);
    }

    /// Requests and errors of all workers.
    pub(super) fn sum(all: &[Self]) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        all.iter().fold((0, 0), |sum, live| (sum.0 + load(&live.requests), sum.1 + load(&live.errors)))
    }
}
