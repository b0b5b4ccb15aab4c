//! The platform, as far as terminals are concerned.
//!
//! - [`window_size`]: columns and rows of the window that a stream leads to, 0 if that is not known; `None`: no window.
//! - [`shows_colors`]: whether that window shows them; makes it do so where it must be told.
//! - [`shell`]: a command of the user's, in the words of the system's shell.
//! - [`READER_GONE`]: what the system says of a pipe without a reader, if Rust has no name for that.
//! - [`SHOWS_UNICODE`]: whether terminals show every character whatever the locale says.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(super) use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(super) use windows::*;
