//! Tests of what only one platform has, and what the others need of it.
//!
//! Each platform provides `breaker_of(&Socket)`: a function that makes every write of that socket fail.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::breaker_of;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::breaker_of;
