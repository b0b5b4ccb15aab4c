//! What the harness needs from each system: signals, the memory and processor time of a child, descriptor limits,
//! a disk that is soon full, a terminal.
//!
//! Each platform provides the same names. `Option` and `None` mean that the system has no such thing.

#[cfg(target_os = "linux")]
mod pty;
#[cfg(not(target_os = "linux"))]
#[path = "no_pty.rs"]
mod pty;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub use pty::Pty;
#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;

/// Whether the tests themselves run on Windows or Wine.
pub const IS_WINDOWS: bool = cfg!(windows);

/// How large a [`SmallDisk`] is: a little more than the space that the server wants free; the rest is filled by the
/// test.
pub const SMALL_DISK_BYTES: u64 = 384 << 20;

/// How a program is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// SIGTERM, or Ctrl-Break on Windows, which has no counterpart that is nearer.
    Terminate,
    /// Ctrl-C: SIGINT, or the console event of that name.
    Interrupt,
}

impl Ask {
    /// The name by which [`Ask::named`] finds it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminate => "terminate",
            Self::Interrupt => "interrupt",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Terminate, Self::Interrupt].into_iter().find(|ask| ask.name() == name)
    }
}
