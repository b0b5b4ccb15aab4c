//! The platform, and the only place of the load generator that asks which one it is.
//!
//! - [`thread_cpu_time`]: processor time of the calling thread, in user and kernel mode.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(super) use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(super) use windows::*;
