//! A service of the system, where programs make themselves one: on Windows. Elsewhere a service manager is told by a file of
//! its own what to start (`packaging/`), and everything here is an error that says so.
//!
//! Invariants: one service of one name; nothing is changed by asking for its state; what the service manager is told comes
//! from `tell` alone.

#[cfg(not(windows))]
mod elsewhere;
#[cfg(windows)]
mod windows;

#[cfg(not(windows))]
use elsewhere as platform;
#[cfg(windows)]
use windows as platform;

pub use platform::{ACCOUNT, install, remove, run, send_errors_to, state};

#[cfg(windows)]
pub(super) use windows::tell;

/// What the service manager and its users call it.
pub const NAME: &str = "modb";

/// What the service manager says of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none.
    NotInstalled,
    /// It runs, or is about to or about to end.
    Running {
        /// The process.
        pid: Option<u32>,
    },
    /// It does not run.
    Stopped {
        /// The exit status of the process that it was; 0 as well if it never ran.
        status: u32,
    },
}

/// What the process does as a service: it is given how to be told to end, and gives its exit status.
pub type Main = Box<dyn FnOnce(Listen) -> u8 + Send>;

/// Registers what is called when the service manager asks for the end.
pub type Listen = Box<dyn FnOnce(OnEnd) -> std::io::Result<()>>;

/// Called when the service manager asks for the end.
pub type OnEnd = Box<dyn Fn(super::Told) + Send>;
