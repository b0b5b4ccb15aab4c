//! Windows: `WSAPoll`.

#![allow(unsafe_code)] // Winsock.

use std::io;
use std::os::windows::io::{AsRawSocket, RawSocket};
use std::time::Duration;

use windows_sys::Win32::Networking::WinSock::{POLLRDNORM, SOCKET, SOCKET_ERROR, WSAPOLLFD, WSAPoll};

pub(crate) type Handle = RawSocket;

/// What the system calls this socket, or this notifier.
pub(crate) fn handle_of(socket: &impl AsRawSocket) -> Handle {
    socket.as_raw_socket()
}

/// Waits until one of `handles` can be read, at most for `timeout` (`None`: for ever): which can.
pub(crate) fn readable<const N: usize>(
    handles: [Handle; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut watched = handles.map(|fd| WSAPOLLFD { fd: fd as SOCKET, events: POLLRDNORM, revents: 0 });
    let timeout = timeout.map_or(-1, |timeout| timeout.as_millis().try_into().unwrap_or(i32::MAX));
    // SAFETY: so many entries, each complete. A socket that is not open is reported, not followed.
    match unsafe { WSAPoll(watched.as_mut_ptr(), N as u32, timeout) } {
        SOCKET_ERROR => Err(io::Error::last_os_error()),
        _ => Ok(watched.map(|entry| entry.revents != 0)),
    }
}
