//! Listening on a Unix-domain socket: a file whose permissions say who may connect.
//!
//! Invariants: the file of a dead server is taken over, that of a living one never is; whoever waits at the file sees
//! its permissions from the first moment, since they are set before anybody can connect; the file goes when the listener
//! does, unless somebody has put another one in its place.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::system::sys;

/// Connections the system keeps waiting while the acceptor is busy.
const BACKLOG: i32 = 4096;

/// A Unix-domain socket that is listened on.
#[derive(Debug)]
pub struct UnixListener {
    socket: Arc<Socket>,
    path: Arc<Path>,
    identity: Option<sys::FileIdentity>,
}

impl UnixListener {
    /// Listens at `path`. `mode`: the permissions of the file (Redis: `unixsocketperm`), where the system has such;
    /// without it the process's own mask decides.
    ///
    /// # Errors
    /// `AddrInUse` if a living server listens there or something else than a socket has the name; `Unsupported` where the
    /// system has no such sockets; else what the system says.
    pub fn bind(path: impl Into<PathBuf>, mode: Option<u32>) -> io::Result<Self> {
        let path = std::path::absolute(path.into())?;
        let address = SockAddr::unix(&path).map_err(|error| match error.kind() {
            ErrorKind::InvalidInput => {
                io::Error::new(ErrorKind::InvalidInput, "the path is longer than the system allows")
            }
            _ => error,
        })?;
        // Held until the new socket listens: two who find the same dead file must not take it from each other.
        let _only_one = sys::lock_folder_of(&path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        if let Err(error) = socket.bind(&address) {
            if error.kind() != ErrorKind::AddrInUse {
                return Err(error);
            }
            if !is_abandoned(&path, &address)? {
                return Err(error);
            }
            std::fs::remove_file(&path)?;
            socket.bind(&address)?;
        }
        let listener =
            Self { socket: Arc::new(socket), identity: sys::file_identity(&path), path: path.into() };
        if let Some(mode) = mode {
            sys::set_mode(&listener.path, mode)?;
        }
        listener.socket.listen(BACKLOG)?;
        Ok(listener)
    }

    /// Where it listens: an absolute path.
    pub fn path(&self) -> Arc<Path> {
        self.path.clone()
    }

    pub(crate) fn socket(&self) -> Arc<Socket> {
        self.socket.clone()
    }
}

impl Drop for UnixListener {
    fn drop(&mut self) {
        if self.identity.is_some() && sys::file_identity(&self.path) == self.identity {
            // If it cannot be removed, the next start finds it abandoned and takes it over.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether the file is a socket at which nobody listens any more.
fn is_abandoned(path: &Path, address: &SockAddr) -> io::Result<bool> {
    if !sys::is_socket_file(path) {
        return Ok(false);
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    Ok(probe.connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether there are such sockets here (Wine has none).
    fn exist() -> bool {
        Socket::new(Domain::UNIX, Type::STREAM, None).is_ok()
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("modb-unix-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).expect("a fresh folder");
        folder
    }

    #[test]
    fn a_living_server_keeps_its_file_and_a_dead_ones_is_taken_over() {
        if !exist() {
            return println!("not tried: this system has no Unix-domain sockets");
        }
        let folder = folder("alive");
        let path = folder.join("s");
        let living = UnixListener::bind(&path, None).unwrap();
        assert_eq!(UnixListener::bind(&path, None).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert!(path.exists(), "the one who was refused left it alone");
        // As a process that was killed: the socket goes, the file stays.
        std::fs::rename(&path, folder.join("aside")).unwrap();
        drop(living);
        std::fs::rename(folder.join("aside"), &path).unwrap();
        let heir = UnixListener::bind(&path, None).unwrap();
        drop(heir);
        assert!(!path.exists(), "its own file goes with it");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        if !exist() {
            return println!("not tried: this system has no Unix-domain sockets");
        }
        let folder = folder("file");
        let path = folder.join("s");
        std::fs::write(&path, "precious").unwrap();
        assert_eq!(UnixListener::bind(&path, None).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_file_of_a_successor_is_not_removed() {
        if !exist() {
            return println!("not tried: this system has no Unix-domain sockets");
        }
        let folder = folder("heir");
        let path = folder.join("s");
        let first = UnixListener::bind(&path, None).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = UnixListener::bind(&path, None).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
