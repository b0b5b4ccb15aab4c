//! A progress bar on stderr, when that is a terminal; elsewhere nothing.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::CareError;

/// How often the bar is drawn anew.
const REDRAW: Duration = Duration::from_millis(100);
/// Places of the bar, in characters.
const PLACES: u64 = 30;

/// Does `work` in a thread of its own and shows how far it is; `measure` says how much is done and of how much (0:
/// not known yet). A panic of the work becomes an error.
pub(super) fn during<T: Send>(
    label: &str,
    unit: &str,
    measure: impl Fn() -> (u64, u64),
    work: impl FnOnce() -> Result<T, CareError> + Send,
) -> Result<T, CareError> {
    let shows = std::io::stderr().is_terminal();
    let over = AtomicBool::new(false);
    let (watcher, over) = (thread::current(), &over);
    let outcome = thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let _wakes = Wakes { over, watcher };
            work()
        });
        while !over.load(Ordering::Acquire) {
            if shows {
                let (done, total) = measure();
                draw(&line(label, unit, done, total));
            }
            thread::park_timeout(REDRAW);
        }
        worker.join()
    });
    if shows {
        draw("");
    }
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(CareError::Panicked(text.unwrap_or_default()))
    })
}

/// Tells the watcher that the work is over, however it ended.
struct Wakes<'a> {
    over: &'a AtomicBool,
    watcher: thread::Thread,
}

impl Drop for Wakes<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        self.watcher.unpark();
    }
}

fn draw(line: &str) {
    // A terminal that went away is no reason to stop.
    let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
}

fn line(label: &str, unit: &str, done: u64, total: u64) -> String {
    let mut text = format!("{label} ");
    if total == 0 {
        let _ = write!(text, "...");
        return text;
    }
    // Sizes on the way are estimates: full only when it is over.
    let percent = (u128::from(done) * 100 / u128::from(total)).min(99) as u64;
    let full = percent * PLACES / 100;
    text.push('[');
    text.extend((0..PLACES).map(|place| if place < full { '=' } else { ' ' }));
    let _ = write!(text, "] {percent}% of {total} {unit}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_is_never_full_before_the_end() {
        assert_eq!(line("checking", "records", 0, 0), "checking ...");
        let half = format!("checking [{}{}] 50% of 8 records", "=".repeat(15), " ".repeat(15));
        assert_eq!(line("checking", "records", 4, 8), half);
        assert!(line("checking", "records", 9, 8).contains("99%"));
    }

    #[test]
    fn a_panic_of_the_work_is_an_error_that_says_damage() {
        let error = during("x", "x", || (0, 0), || -> Result<(), _> { panic!("odd block") }).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("odd block"), "{error}");
    }
}
