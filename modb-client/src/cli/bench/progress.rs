//! The line that moves while a benchmark runs. Only on a terminal.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::report::grouped;
use super::worker::Until;

/// How often it is drawn.
pub(super) const INTERVAL: Duration = Duration::from_millis(200);
/// Columns of the full bar.
const COLUMNS: usize = 30;

/// Draws on standard error, over itself.
#[derive(Debug)]
pub(super) struct Progress {
    visible: bool,
    name: String,
    warm_up: Duration,
    until: Until,
    started: Instant,
    last: (Instant, u64),
}

impl Progress {
    pub(super) fn new(name: &str, warm_up: Duration, until: Until, quiet: bool) -> Self {
        let now = Instant::now();
        let visible = !quiet && std::io::stderr().is_terminal();
        Self { visible, name: name.to_owned(), warm_up, until, started: now, last: (now, 0) }
    }

    /// Shows how far it is, after `replies` since the warm-up.
    pub(super) fn show(&mut self, replies: u64) {
        let now = Instant::now();
        if !self.visible || now - self.last.0 < INTERVAL {
            return;
        }
        let text = if now - self.started < self.warm_up {
            format!("{}: warming up", self.name)
        } else {
            let done = match self.until {
                Until::Time(time) => {
                    (now - self.started - self.warm_up).as_secs_f64() / time.as_secs_f64().max(1e-9)
                }
                Until::Requests(count) => replies as f64 / count.max(1) as f64,
            };
            let rate =
                replies.saturating_sub(self.last.1) as f64 / (now - self.last.0).as_secs_f64().max(1e-9);
            format!(
                "{}: {} {:>3.0} %  {}/s",
                self.name,
                bar(done),
                done.min(1.0) * 100.0,
                grouped(rate as u64)
            )
        };
        self.last = (now, replies);
        print_over(&text);
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        if self.visible {
            print_over("");
        }
    }
}

fn bar(done: f64) -> String {
    let full = (done.clamp(0.0, 1.0) * COLUMNS as f64) as usize;
    format!("[{}{}]", "#".repeat(full), " ".repeat(COLUMNS - full))
}

/// Replaces the line under the cursor. What a terminal does not show does not matter.
fn print_over(text: &str) {
    let mut err = std::io::stderr();
    let _ = write!(err, "\r\x1b[K{text}").and_then(|()| err.flush());
}
