//! Windows 10 1803 and later, and Wine. What each item means is written in `sys/mod.rs`.

#![allow(unsafe_code)] // Winsock.

use std::io;
use std::os::windows::io::AsRawSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{SockAddr, Socket};
use windows_sys::Win32::Networking::WinSock::{
    POLLIN, POLLOUT, SO_EXCLUSIVEADDRUSE, SOCKET, SOCKET_ERROR, SOL_SOCKET, WSAEWOULDBLOCK, WSAPOLLFD,
    WSAPoll, setsockopt,
};

use super::{Watch, keep_alive};

/// Windows has none: a pair is emulated.
pub(crate) const NATIVE_PAIR: bool = false;

/// Windows has no signal to suppress.
pub(crate) const SEND_FLAGS: i32 = 0;

/// Never succeeds.
///
/// # Errors
/// Always `Unsupported`.
pub(crate) fn native_pair() -> io::Result<(Socket, Socket)> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "Windows has no socketpair of its own"))
}

/// `SO_EXCLUSIVEADDRUSE`: without it another process may bind the same port with `SO_REUSEADDR` and take
/// the connections meant for this one.
///
/// # Errors
/// What the system says.
pub(crate) fn set_exclusive(socket: &Socket) -> io::Result<()> {
    let on: i32 = 1;
    // SAFETY: the socket is open for the whole call, and the option is an `i32` that is read, not kept.
    let result = unsafe {
        setsockopt(
            socket.as_raw_socket() as SOCKET,
            SOL_SOCKET,
            SO_EXCLUSIVEADDRUSE,
            (&raw const on).cast(),
            size_of::<i32>() as i32,
        )
    };
    if result == SOCKET_ERROR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A new directory. It inherits its access list; the user's temporary folder is closed to other users.
///
/// # Errors
/// What the system says, among it `AlreadyExists`.
pub(crate) fn make_private_dir(path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)
}

/// The machine's own, which every user may write to: a user's may be deep, and a socket's path has 108 bytes.
pub(crate) fn short_temp_dir() -> PathBuf {
    std::env::var_os("SystemRoot").map_or_else(|| PathBuf::from(r"C:\Windows"), PathBuf::from).join("Temp")
}

/// `WSAPoll`. Before Windows 10 2004 it does not report a connect that failed: wait in slices.
///
/// # Errors
/// What the system says.
pub(crate) fn poll_sockets(watches: &[Watch<'_>], timeout: Duration) -> io::Result<()> {
    let mut fds: Vec<_> = watches
        .iter()
        .map(|watch| WSAPOLLFD {
            fd: watch.socket.as_raw_socket() as SOCKET,
            events: if watch.write { POLLOUT } else { POLLIN },
            revents: 0,
        })
        .collect();
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let count = u32::try_from(fds.len()).expect("a handful of sockets");
    // SAFETY: `fds` has `count` entries, and their sockets are borrowed for the whole call.
    let result = unsafe { WSAPoll(fds.as_mut_ptr(), count, timeout_ms) };
    if result == SOCKET_ERROR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `WSAEWOULDBLOCK`.
pub(crate) fn is_connecting(error: &io::Error) -> bool {
    error.raw_os_error() == Some(WSAEWOULDBLOCK)
}

/// What a connection has of the options of its listener is not written down anywhere: each gets its own.
pub(crate) const CONNECTIONS_INHERIT: bool = false;

/// Accepts a connection: non-blocking, not inheritable.
///
/// # Errors
/// What the system says; `WouldBlock` if none waits.
pub(crate) fn accept(listener: &Socket) -> io::Result<(Socket, SockAddr)> {
    let (socket, address) = listener.accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// Asks a silent peer whether it is there, after so long and then ten times (the system's number) within three times as
/// long again; `None`: never.
///
/// # Errors
/// What the system says.
pub(crate) fn set_keep_alive(socket: &Socket, after: Option<Duration>) -> io::Result<()> {
    let Some(after) = after else { return socket.set_keepalive(false) };
    socket.set_tcp_keepalive(&keep_alive(after))
}

/// Files have no number here that the standard library would tell: any file at the place counts as the same.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileIdentity;

/// Whether there is a file at `path`.
pub(crate) fn file_identity(path: &Path) -> Option<FileIdentity> {
    std::fs::symlink_metadata(path).ok().map(|_| FileIdentity)
}

/// A socket's file is a reparse point, which opens neither as a file nor as a folder.
pub(crate) fn is_socket_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| !file.is_file() && !file.is_dir())
}

/// Windows has access lists, which the file inherits from its folder.
///
/// # Errors
/// None here.
pub(crate) fn set_mode(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// What would hold a folder.
pub(crate) struct FolderLock;

/// A folder cannot be locked here; two servers that start at the same moment on the same dead file may both take it.
///
/// # Errors
/// None here.
pub(crate) fn lock_folder_of(_path: &Path) -> io::Result<FolderLock> {
    Ok(FolderLock)
}

/// Windows limits open sockets by memory only.
///
/// # Errors
/// None here.
pub fn raise_descriptor_limit(wanted: u64) -> io::Result<u64> {
    Ok(wanted)
}

/// `AsSocket` and `AsRawSocket` by a field that is a notifier's receiver.
macro_rules! impl_as_socket {
    ($type:ty, $field:ident) => {
        impl std::os::windows::io::AsSocket for $type {
            fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
                self.$field.as_source()
            }
        }
        impl std::os::windows::io::AsRawSocket for $type {
            fn as_raw_socket(&self) -> std::os::windows::io::RawSocket {
                std::os::windows::io::AsRawSocket::as_raw_socket(&self.$field.as_source())
            }
        }
    };
}
pub(crate) use impl_as_socket;

/// `AsSocket` for a type without values.
macro_rules! impl_as_nothing {
    ($type:ty) => {
        impl std::os::windows::io::AsSocket for $type {
            fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
                match *self {}
            }
        }
    };
}
pub(crate) use impl_as_nothing;

/// What a poller borrows from a source.
pub(crate) type BorrowedSource<'a> = std::os::windows::io::BorrowedSocket<'a>;

/// Tests that run a model under loom.
#[cfg(test)]
macro_rules! model_tests {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => { $(
        $(#[$attribute])*
        #[test]
        #[ignore = "loom cannot unwind from the stacks it makes on Windows; the models run on Linux"]
        fn $name() $body
    )* };
}
#[cfg(test)]
pub(crate) use model_tests;
