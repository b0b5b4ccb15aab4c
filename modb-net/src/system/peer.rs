//! Who is at the other end of a connection. Names only: nothing is asked of the system here.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// Who connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Tcp {
        /// The address of the client.
        remote: SocketAddr,
        /// The address it connected to.
        local: SocketAddr,
    },
    /// Over a Unix-domain socket: a process of this machine.
    Unix {
        /// The path that it connected to.
        path: Arc<Path>,
    },
}

impl Peer {
    /// Whether it is a process of this machine: over the loopback interface or a Unix-domain socket.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { remote, .. } => is_loopback(remote.ip()),
            Self::Unix { .. } => true,
        }
    }

    /// The address of the client, if it has one.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { remote, .. } => Some(*remote),
            Self::Unix { .. } => None,
        }
    }

    /// The address it connected to, if that is one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { local, .. } => Some(*local),
            Self::Unix { .. } => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { remote, .. } => remote.fmt(f),
            Self::Unix { path } => path.display().fmt(f),
        }
    }
}

/// Whether packets to this address stay on the machine, as an IPv4 address in IPv6's clothes too.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_of_this_machine_is_local_in_every_family() {
        let tcp = |remote: &str| Peer::Tcp {
            remote: remote.parse().unwrap(),
            local: "10.0.0.1:6379".parse().unwrap(),
        };
        for local in ["127.0.0.1:1", "127.9.8.7:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(tcp(local).is_local(), "{local}");
        }
        for stranger in ["10.0.0.1:1", "[2001:db8::1]:1", "[::ffff:10.0.0.1]:1"] {
            assert!(!tcp(stranger).is_local(), "{stranger}");
        }
        let unix = Peer::Unix { path: Path::new("/run/modb.sock").into() };
        assert!(unix.is_local() && unix.remote_addr().is_none());
        assert_eq!(unix.to_string(), "/run/modb.sock");
    }
}
