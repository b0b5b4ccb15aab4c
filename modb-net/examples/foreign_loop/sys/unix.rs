//! Unix: `poll(2)`.

#![allow(unsafe_code)] // libc.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

pub(crate) type Handle = RawFd;

/// What the system calls this socket, or this notifier.
pub(crate) fn handle_of(socket: &impl AsRawFd) -> Handle {
    socket.as_raw_fd()
}

/// Waits until one of `handles` can be read, at most for `timeout` (`None`: for ever): which can.
pub(crate) fn readable<const N: usize>(
    handles: [Handle; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut watched = handles.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let timeout = timeout.map_or(-1, |timeout| timeout.as_millis().try_into().unwrap_or(i32::MAX));
    // SAFETY: so many entries, each complete. A descriptor that is not open is reported, not followed.
    match unsafe { libc::poll(watched.as_mut_ptr(), N as libc::nfds_t, timeout) } {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok([false; N]),
            error => Err(error),
        },
        _ => Ok(watched.map(|entry| entry.revents != 0)),
    }
}
