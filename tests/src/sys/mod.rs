//! What the harness needs from each system: signals, the memory and processor time of a child, descriptor limits.
//!
//! Each platform provides the same names. `Option` and `None` mean that the system has no such thing.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;

/// Whether the tests themselves run on Windows or Wine.
pub const IS_WINDOWS: bool = cfg!(windows);
