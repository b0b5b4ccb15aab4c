//! Linux, macOS and the BSDs. What each item means is written in `sys/mod.rs`. No `unsafe`: `rustix`.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Resource, Rlimit};
use socket2::{Domain, Socket, Type};

use super::Watch;

/// `socketpair(2)`.
pub(crate) const NATIVE_PAIR: bool = true;

/// Where the flag does not exist, `socket2` sets the option that replaces it.
#[cfg(not(target_vendor = "apple"))]
pub(crate) const SEND_FLAGS: i32 = rustix::net::SendFlags::NOSIGNAL.bits() as i32;
/// Where the flag does not exist, `socket2` sets the option that replaces it.
#[cfg(target_vendor = "apple")]
pub(crate) const SEND_FLAGS: i32 = 0;

/// Two connected stream sockets from the system itself.
///
/// # Errors
/// What the system says, as a rule that descriptors have run out.
pub(crate) fn native_pair() -> io::Result<(Socket, Socket)> {
    Socket::pair(Domain::UNIX, Type::STREAM, None)
}

/// Nothing to do: an address is exclusive unless `SO_REUSEADDR` or `SO_REUSEPORT` is set on both sockets.
///
/// # Errors
/// None here.
pub(crate) fn set_exclusive(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

/// A new directory with mode 0700.
///
/// # Errors
/// What the system says, among it `AlreadyExists`.
pub(crate) fn make_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

/// `/tmp`: `TMPDIR` may be deep, and a socket's path has 108 bytes.
pub(crate) fn short_temp_dir() -> PathBuf {
    PathBuf::from("/tmp")
}

/// `poll(2)`. Returns early on a signal.
///
/// # Errors
/// What the system says.
pub(crate) fn poll_sockets(watches: &[Watch<'_>], timeout: Duration) -> io::Result<()> {
    let mut fds: Vec<_> = watches
        .iter()
        .map(|watch| {
            let flags = if watch.write { PollFlags::OUT } else { PollFlags::IN };
            PollFd::from_borrowed_fd(watch.socket.as_fd(), flags)
        })
        .collect();
    match rustix::event::poll(&mut fds, Timespec::try_from(timeout).ok().as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// `EINPROGRESS`, or an interruption, after which the system goes on all the same.
pub(crate) fn is_connecting(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::INPROGRESS, Errno::INTR].iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

/// Raises the soft limit of open descriptors to `wanted`, or to the hard limit if that is less, and
/// returns what is in force now. Never lowers it.
///
/// # Errors
/// What the system says when it refuses the change.
pub fn raise_descriptor_limit(wanted: u64) -> io::Result<u64> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    let target = wanted.min(limit.maximum.unwrap_or(u64::MAX));
    if target <= current {
        return Ok(current);
    }
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum: limit.maximum })?;
    Ok(target)
}

/// `AsFd` and `AsRawFd` by a field.
macro_rules! impl_as_socket {
    ($type:ty, $field:ident) => {
        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                std::os::fd::AsFd::as_fd(&*self.$field)
            }
        }
        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&*self.$field)
            }
        }
    };
}
pub(crate) use impl_as_socket;

/// Tests that run a model under loom.
#[cfg(test)]
macro_rules! model_tests {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => { $( $(#[$attribute])* #[test] fn $name() $body )* };
}
#[cfg(test)]
pub(crate) use model_tests;
