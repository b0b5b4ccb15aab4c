//! Linux, macOS and the BSDs. What each item means is written in `sys/mod.rs`. No `unsafe`: `rustix`.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Resource, Rlimit};
use socket2::{Domain, SockAddr, Socket, Type};

use super::{Watch, keep_alive};

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

/// Whether a connection has the options of the listener that it was accepted from: no system call per connection.
pub(crate) const CONNECTIONS_INHERIT: bool = cfg!(target_os = "linux");

/// Accepts a connection: non-blocking, closed on exec.
///
/// # Errors
/// What the system says; `WouldBlock` if none waits.
#[cfg(target_os = "linux")]
pub(crate) fn accept(listener: &Socket) -> io::Result<(Socket, SockAddr)> {
    use rustix::net::SocketFlags;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, address) = rustix::net::acceptfrom_with(listener, flags)?;
    // A peer of the Unix domain has no name.
    let address = match address.and_then(|address| std::net::SocketAddr::try_from(address).ok()) {
        Some(address) => address.into(),
        None => SockAddr::unix("")?,
    };
    Ok((Socket::from(socket), address))
}

/// Accepts a connection: non-blocking, closed on exec.
///
/// # Errors
/// What the system says; `WouldBlock` if none waits.
#[cfg(not(target_os = "linux"))]
pub(crate) fn accept(listener: &Socket) -> io::Result<(Socket, SockAddr)> {
    let (socket, address) = listener.accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// Asks a silent peer whether it is there, after so long and then three times within as long again; `None`: never.
///
/// # Errors
/// What the system says.
pub(crate) fn set_keep_alive(socket: &Socket, after: Option<Duration>) -> io::Result<()> {
    let Some(after) = after else { return socket.set_keepalive(false) };
    socket.set_tcp_keepalive(&keep_alive(after).with_retries(3))
}

/// What tells one file from all others: its device and its number there.
pub(crate) type FileIdentity = (u64, u64);

/// The identity of the file at `path`, if there is one.
pub(crate) fn file_identity(path: &Path) -> Option<FileIdentity> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Whether the file at `path` is a socket.
pub(crate) fn is_socket_file(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

/// Sets the permissions of the file at `path`.
///
/// # Errors
/// What the system says.
pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Holds the folder of `path` against others who do the same, until the result is dropped.
///
/// # Errors
/// What the system says.
pub(crate) fn lock_folder_of(path: &Path) -> io::Result<std::fs::File> {
    let folder = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    folder.lock()?;
    Ok(folder)
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

/// `AsFd` and `AsRawFd` by a field that is a notifier's receiver.
macro_rules! impl_as_socket {
    ($type:ty, $field:ident) => {
        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.$field.as_source()
            }
        }
        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&self.$field.as_source())
            }
        }
    };
}
pub(crate) use impl_as_socket;

/// `AsFd` for a type without values.
#[cfg(not(target_os = "linux"))]
macro_rules! impl_as_nothing {
    ($type:ty) => {
        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                match *self {}
            }
        }
    };
}
#[cfg(not(target_os = "linux"))]
pub(crate) use impl_as_nothing;

/// What a poller borrows from a source.
pub(crate) type BorrowedSource<'a> = std::os::fd::BorrowedFd<'a>;

/// Tests that run a model under loom.
#[cfg(test)]
macro_rules! model_tests {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => { $( $(#[$attribute])* #[test] fn $name() $body )* };
}
#[cfg(test)]
pub(crate) use model_tests;

#[cfg(test)]
mod tests {
    #![allow(unsafe_code)] // Signals.

    use super::*;
    use std::os::unix::thread::JoinHandleExt;

    extern "C" fn do_nothing(_: libc::c_int) {}

    #[test]
    fn a_signal_ends_the_wait_without_an_error() {
        let handler: extern "C" fn(libc::c_int) = do_nothing;
        // SAFETY: the handler does nothing, and the structure is complete (zero: no SA_RESTART).
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as libc::sighandler_t;
            assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
        }
        let waiting = std::thread::spawn(|| {
            let (silent, _other) = native_pair().unwrap();
            poll_sockets(&[Watch { socket: &silent, write: false }], Duration::from_secs(20))
        });
        let begun = std::time::Instant::now();
        while !waiting.is_finished() {
            // SAFETY: the thread has not been joined, so its handle is valid.
            unsafe { libc::pthread_kill(waiting.as_pthread_t(), libc::SIGUSR1) };
            std::thread::yield_now();
        }
        waiting.join().unwrap().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_silent_peer_is_asked_at_the_time_and_three_times_within_as_long_again() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        for (after, seconds) in [(300_000, 300), (1, 1), (2_999, 2), (u64::MAX, 32_767)] {
            set_keep_alive(&socket, Some(Duration::from_millis(after))).unwrap();
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), seconds);
            assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), (seconds / 3).max(1));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        }
        set_keep_alive(&socket, None).unwrap();
        assert!(!socket.keepalive().unwrap());
    }
}
