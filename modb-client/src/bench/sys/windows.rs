//! Windows and Wine. What each item means is written in `sys/mod.rs`.

#![allow(unsafe_code)] // GetThreadTimes.

use std::time::Duration;

use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::System::Threading::{GetCurrentThread, GetThreadTimes};

/// Exact to the scheduler's tick, as a rule 15.6 ms. Zero if the system will not tell.
pub(in crate::bench) fn thread_cpu_time() -> Duration {
    let zero = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let (mut created, mut exited, mut kernel, mut user) = (zero, zero, zero, zero);
    // SAFETY: the handle of the current thread is always valid, and all four places outlive the call.
    let told =
        unsafe { GetThreadTimes(GetCurrentThread(), &mut created, &mut exited, &mut kernel, &mut user) };
    if told == 0 {
        return Duration::ZERO;
    }
    duration(kernel) + duration(user)
}

/// A span as Windows counts it, in units of 100 ns.
fn duration(time: FILETIME) -> Duration {
    let units = (u64::from(time.dwHighDateTime) << 32) | u64::from(time.dwLowDateTime);
    Duration::from_nanos(units * 100)
}
