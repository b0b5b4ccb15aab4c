//! Waiting for a condition, with a deadline. Never a plain sleep: a test goes on as soon as it can, and a slow
//! machine makes it slower, not wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before the test says that it hangs. Generous: machines are shared, Wine is slow.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How often a delay is looked at before it counts.
const LOOKS: usize = 3;

/// Says that it is over when it is dropped, so also when the test fails: those who go on until it is over then end,
/// and a scope that waits for them does not hang in place of the failure.
pub struct Over<'a>(pub &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Asks `condition` until it answers `Some`.
///
/// # Panics
/// If it has not after [`DEADLINE`]; the message says `what` was awaited.
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, condition).unwrap_or_else(|| panic!("not after {DEADLINE:?}: {what}"))
}

/// Asks `condition` until it answers `Some` or `limit` has passed.
pub fn within<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Looks up to three times at how long something takes: a delay that is not there each time may be that of a machine which does
/// something else meanwhile.
///
/// # Panics
/// If `delay` says one each time.
pub fn not_each_time(mut delay: impl FnMut() -> Option<String>) {
    let delays: Vec<_> = (0..LOOKS).map_while(|_| delay()).collect();
    assert!(delays.len() < LOOKS, "each time:\n{}", delays.join("\n"));
}
