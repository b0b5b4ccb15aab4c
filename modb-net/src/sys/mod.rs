//! The platform, and the only place of this crate that asks which one it is.
//!
//! Each platform provides the same items, with these meanings:
//!
//! - [`NATIVE_PAIR`]: whether the system makes socket pairs itself; [`native_pair`] makes one.
//! - [`SEND_FLAGS`]: flags for `send`, so that a closed peer is an error and never a signal.
//! - [`set_exclusive`]: nobody else may bind the address of this socket while it is open.
//! - [`make_private_dir`]: a new directory that other users cannot enter.
//! - [`short_temp_dir`]: a folder for temporary files whose path is short.
//! - [`poll_sockets`]: waits for a few sockets without holding a descriptor for it.
//! - [`is_connecting`]: whether an error of `connect` means that the system is still at it.
//! - [`raise_descriptor_limit`]: as many open sockets as asked for, or as the system allows.
//! - [`EventFd`]: a counter that can be waited for; does not exist everywhere.
//! - `impl_as_socket!`: makes a type with a receiver in it usable in loops that are not ours.
//! - `model_tests!`: tests that loom runs, ignored where it cannot.
//!
//! Sockets come from `socket2` and `std`, which create them closed on exec and not inheritable.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::EventFd;

#[cfg(not(target_os = "linux"))]
mod no_event_fd;
#[cfg(not(target_os = "linux"))]
pub(crate) use no_event_fd::EventFd;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::raise_descriptor_limit;
#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::raise_descriptor_limit;
#[cfg(windows)]
pub(crate) use windows::*;

/// What [`poll_sockets`] waits for on one socket, and what it found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch<'a> {
    /// The socket.
    pub(crate) socket: &'a socket2::Socket,
    /// `true`: until it can be written; `false`: until it can be read or accepted from.
    pub(crate) write: bool,
}
