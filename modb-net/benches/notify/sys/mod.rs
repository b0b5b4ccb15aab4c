//! What the benchmark needs of the platform.
//!
//! - `contenders`: ways to wake a thread that only this platform has.
//! - `pin`: keeps this thread on one processor.
//! - `context_switches`: of this process until now, 0 where unknown.
//! - `writes`: calls of `write` by this process, if counted.
//! - `open_descriptors`: of this process.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
pub use other::*;
