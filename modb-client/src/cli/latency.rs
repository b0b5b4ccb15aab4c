//! `--latency`: how long a round trip takes.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use modb_client::Connection;
use modb_client::terminal::text::cut;
use modb_client::terminal::window::{self, Stream};

use super::options::Options;
use super::{Failure, Outcome, print};

/// Between two round trips.
const PAUSE: Duration = Duration::from_millis(10);
/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(1);
/// Round trips beyond this count as this.
const MAX_LATENCY: Duration = Duration::from_secs(100);

/// Measures until it is interrupted, or prints as many lines as `-r` says. On a terminal the line is overwritten.
pub(crate) fn run(options: &Options) -> Result<Outcome, Failure> {
    let mut connection = Connection::open(&options.config)?;
    let max_us = MAX_LATENCY.as_micros() as u64;
    let mut histogram: Histogram<u64> =
        Histogram::new_with_bounds(1, max_us, 3).expect("the bounds are valid");
    let overwrites = window::can_overwrite(Stream::Stdout);
    let mut lines = options.repeat.unwrap_or(u64::MAX);
    let interval = options.interval.unwrap_or(INTERVAL);
    loop {
        let until = Instant::now() + interval;
        while Instant::now() < until {
            let start = Instant::now();
            connection.call::<()>(["PING"])?;
            histogram.saturating_record(start.elapsed().as_micros() as u64);
            std::thread::sleep(PAUSE);
        }
        let line = line(&histogram);
        match window::columns(Stream::Stdout).filter(|_| overwrites) {
            // A line as wide as the window would become two.
            Some(columns) => print(format!("\r\x1b[K{}", cut(&line, columns - 1)).as_bytes())?,
            None => print(format!("{line}\n").as_bytes())?,
        }
        lines = lines.saturating_sub(1);
        if lines == 0 {
            return print(if overwrites { b"\n" } else { b"" }).map(|()| Outcome::Ok);
        }
    }
}

fn line(histogram: &Histogram<u64>) -> String {
    let ms = |us: u64| us as f64 / 1e3;
    format!(
        "min {:.3}  p50 {:.3}  p99 {:.3}  p99.9 {:.3}  max {:.3} ms  ({} round trips)",
        ms(histogram.min()),
        ms(histogram.value_at_quantile(0.5)),
        ms(histogram.value_at_quantile(0.99)),
        ms(histogram.value_at_quantile(0.999)),
        ms(histogram.max()),
        histogram.len(),
    )
}
