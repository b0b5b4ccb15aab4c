//! The platform, as far as terminals are concerned.
//!
//! - [`window_columns`]: the width of the window that a stream leads to, 0 if that is not known; `None`: no window.
//! - [`SHOWS_UNICODE`]: whether terminals show every character whatever the locale says.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(super) use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(super) use windows::*;
