//! `poll(2)`, and `WSAPoll` on Windows: the loop that this example already had, as it were.
//!
//! Every system provides `Handle`, `handle_of(socket)` and `readable(handles, timeout)`.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::*;
