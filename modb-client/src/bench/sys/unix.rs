//! Unix. What each item means is written in `sys/mod.rs`.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Exact to the system's clock, as a rule nanoseconds.
pub(in crate::bench) fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
