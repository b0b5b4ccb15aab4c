//! The process: being asked to end, being forked, what it uses, how it listens.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

pub use platform::{cpu_seconds, memory_bytes, peak_memory_bytes, total_memory_bytes};
pub(crate) use platform::{forks, prepare_listener};
#[cfg(feature = "cli")]
pub use platform::{make_files_private, on_signals, tell_service_manager};

/// What the system tells a process.
#[cfg(feature = "cli")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// To end, by this.
    End(&'static str),
    /// That the terminal it was started from has gone.
    HungUp,
}
