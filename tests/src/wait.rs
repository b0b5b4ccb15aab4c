//! Waiting for a condition, with a deadline. Never a plain sleep: a test goes on as soon as it can, and a slow
//! machine makes it slower, not wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before the test says that it hangs. Generous: machines are shared, Wine is slow.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

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
