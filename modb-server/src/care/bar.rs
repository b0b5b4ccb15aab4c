//! Work with a progress bar beside it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use modb_client::terminal::Bar;

use super::CareError;
use super::units::size;

/// How often the bar is drawn anew.
const REDRAW: Duration = Duration::from_millis(100);
/// What is counted in units of people.
pub(super) const BYTES: &str = "bytes";
/// Sizes on the way are estimates: it is full only when it is over.
const MAX_SHARE: f64 = 0.99;

/// Does `work` in a thread of its own and shows how far it is; `measure` says how much is done and of how much (0:
/// not known yet). A panic of the work becomes an error.
pub(super) fn during<T: Send>(
    label: &str,
    unit: &str,
    measure: impl Fn() -> (u64, u64),
    work: impl FnOnce() -> Result<T, CareError> + Send,
) -> Result<T, CareError> {
    let mut bar = Bar::new(false);
    let over = AtomicBool::new(false);
    let (watcher, over) = (thread::current(), &over);
    let outcome = thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let _wakes = Wakes { over, watcher };
            work()
        });
        while !over.load(Ordering::Acquire) {
            if bar.is_shown() {
                let (done, total) = measure();
                let (share, facts) = told(unit, done, total);
                bar.show(label, share, &facts);
            }
            thread::park_timeout(REDRAW);
        }
        worker.join()
    });
    bar.clear();
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

/// How much of it is done, and of how much.
fn told(unit: &str, done: u64, total: u64) -> (Option<f64>, Vec<String>) {
    match total {
        0 => (None, Vec::new()),
        _ => {
            let of = if unit == BYTES { size(total) } else { format!("{total} {unit}") };
            (Some((done as f64 / total as f64).min(MAX_SHARE)), vec![format!("of {of}")])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_told_and_never_all_before_the_end() {
        assert_eq!(told("records", 0, 0), (None, vec![]));
        assert_eq!(told("records", 4, 8), (Some(0.5), vec!["of 8 records".to_owned()]));
        assert_eq!(told(BYTES, 1 << 20, 2 << 20), (Some(0.5), vec!["of 2.0 MiB".to_owned()]));
        assert_eq!(told("records", 9, 8).0, Some(MAX_SHARE));
    }

    #[test]
    fn a_panic_of_the_work_is_an_error_that_says_damage() {
        let error = during("x", "x", || (0, 0), || -> Result<(), _> { panic!("odd block") }).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("odd block"), "{error}");
    }
}
