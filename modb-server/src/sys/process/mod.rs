//! The process: being asked to end, what it uses, how it listens.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

#[cfg(feature = "cli")]
pub use platform::on_end;
pub(crate) use platform::prepare_listener;
pub use platform::{cpu_seconds, memory_bytes, peak_memory_bytes, total_memory_bytes};
