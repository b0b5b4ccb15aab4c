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
//! - [`accept`]: takes a connection from a listener, non-blocking; [`CONNECTIONS_INHERIT`]: with the listener's options.
//! - [`set_keep_alive`]: whether and when the system asks a silent peer whether it is there.
//! - [`FileIdentity`], [`file_identity`], [`is_socket_file`], [`set_mode`], [`lock_folder_of`]: the file of a Unix-domain
//!   socket: whose it is, what it is, who may connect, and one who changes it at a time.
//! - [`raise_descriptor_limit`]: as many open sockets as asked for, or as the system allows.
//! - [`ReadyList`]: waits for the sources of a poller, and is what came of it.
//! - [`EventFd`]: a counter that can be waited for; does not exist everywhere. [`REPORTS_EACH_WRITE`]: whether a poller reports
//!   each write to it once.
//! - `impl_as_socket!`: makes a type with a receiver in it usable in loops that are not ours.
//! - `model_tests!`: tests that loom runs, ignored where it cannot.
//!
//! Sockets come from `socket2` and `std`, which create them closed on exec and not inheritable.

use std::time::Duration;

use socket2::TcpKeepalive;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::EventFd;

#[cfg(not(target_os = "linux"))]
mod no_event_fd;
#[cfg(not(target_os = "linux"))]
pub(crate) use no_event_fd::EventFd;

// `polling_test_poll_backend` makes `polling` use poll(2) where it would use epoll.
#[cfg(all(target_os = "linux", not(polling_test_poll_backend)))]
mod epoll;
#[cfg(all(target_os = "linux", not(polling_test_poll_backend)))]
pub(crate) use epoll::{REPORTS_EACH_WRITE, ReadyList};

#[cfg(any(not(target_os = "linux"), polling_test_poll_backend))]
mod no_epoll;
#[cfg(any(not(target_os = "linux"), polling_test_poll_backend))]
pub(crate) use no_epoll::{REPORTS_EACH_WRITE, ReadyList};

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

/// How the system asks a peer that has been silent for so long: each third of that time.
fn keep_alive(after: Duration) -> TcpKeepalive {
    // Whole seconds, as many as fit into 15 bits.
    let seconds = after.as_secs().clamp(1, 32_767);
    TcpKeepalive::new()
        .with_time(Duration::from_secs(seconds))
        .with_interval(Duration::from_secs((seconds / 3).max(1)))
}

/// What [`poll_sockets`] waits for on one socket, and what it found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch<'a> {
    /// The socket.
    pub(crate) socket: &'a socket2::Socket,
    /// `true`: until it can be written; `false`: until it can be read or accepted from.
    pub(crate) write: bool,
}

/// What has happened to one source of a poller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The key it was added with.
    pub key: usize,
    /// Reading will not block: there are bytes, or the end, or an error to be fetched.
    pub readable: bool,
    /// Writing will not block, or has an error to be fetched.
    pub writable: bool,
    /// The system says that the source has failed. Not every system tells.
    pub error: bool,
    /// The system says that both directions are closed (epoll's HUP, an abort on Windows).
    pub hangup: bool,
}
