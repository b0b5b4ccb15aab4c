//! A database with a door to the network.
//!
//! Invariants: no signal handlers, no global state; when [`Server::join`] has returned or the server was dropped,
//! its threads have ended; the database lives on for whoever else has a handle.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use modb_net::{UnixListener, Workers};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{ConfigError, Settings};
use crate::database::Database;
use crate::limits;
use crate::session::{Message, Worker};

/// Connections the system keeps waiting while the acceptor is busy.
const BACKLOG: i32 = 4096;

/// Why a server could not start, or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An option has a wrong value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The system's own error.
        source: io::Error,
    },
    /// The path of `unixsocket` cannot be listened on.
    #[error("cannot listen on {}: {source}", path.display())]
    ListenUnix {
        /// The path.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The network layer failed.
    #[error(transparent)]
    Net(#[from] modb_net::ServerError),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    net: Option<modb_net::Server<Message>>,
    database: Database,
    /// Names its wakers within the database.
    number: u64,
}

/// Ends a server from elsewhere, such as a signal handler.
#[derive(Clone)]
pub struct Shutdown(Arc<dyn Workers<Message>>);

impl Shutdown {
    /// Begins the graceful shutdown; returns at once.
    pub fn begin(&self) {
        self.0.shutdown();
    }
}

impl Server {
    /// Serves `database` on the addresses and the port of its configuration.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn start(database: &Database) -> Result<Self, ServeError> {
        let settings = &database.instance().settings;
        let listeners = listen(&addresses(settings)?)?;
        Self::over(database, listeners, listen_unix(settings)?)
    }

    /// Serves `database` on one address; port 0 takes any free one.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn bind(database: &Database, addr: SocketAddr) -> Result<Self, ServeError> {
        Self::over(database, listen(&[Address { addr, may_be_missing: false }])?, None)
    }

    fn over(
        database: &Database,
        listeners: Vec<TcpListener>,
        unix: Option<UnixListener>,
    ) -> Result<Self, ServeError> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let instance = database.instance();
        let settings = &instance.settings;
        let mut builder = modb_net::Server::builder()
            .limits(limits::of(settings))
            .handoff(handoff(settings)?)
            .refuse_with(|_| limits::REFUSAL.to_vec());
        for listener in listeners {
            builder = builder.listen(listener);
        }
        if let Some(unix) = unix {
            builder = builder.listen_unix(unix);
        }
        if let Ok(workers @ 1..) = usize::try_from(settings.number("workers")) {
            builder = builder.workers(workers);
        }
        let (shared, settled) = (Arc::clone(instance), Arc::clone(database.settled()));
        let net = builder
            .start(move |context| Worker::new(Arc::clone(&shared), settled.add(number, context.waker)))?;
        if let Some(addr) = net.local_addrs().first() {
            // A second server over the same database keeps the first one's port in INFO.
            let _ = instance.port.set(addr.port());
        }
        Ok(Self { net: Some(net), database: database.clone(), number })
    }

    /// Where it listens.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        self.net.as_ref().map_or(&[], |net| net.local_addrs())
    }

    /// How many workers it has.
    pub fn workers(&self) -> usize {
        self.net.as_ref().map_or(0, |net| net.workers().count())
    }

    /// What ends it from elsewhere.
    ///
    /// # Panics
    /// Never: it is there until `join`, which takes the server.
    pub fn shutdown_handle(&self) -> Shutdown {
        Shutdown(self.net.as_ref().expect("there until `join` or drop").workers())
    }

    /// Begins the graceful shutdown: stop accepting, answer what was read, send it, close. Returns at once.
    pub fn shutdown(&self) {
        if let Some(net) = &self.net {
            net.shutdown();
        }
    }

    /// Waits until the server has ended, by [`Server::shutdown`], by a client's `SHUTDOWN`, or by a failure.
    ///
    /// # Errors
    /// The failure that ended it.
    pub fn join(mut self) -> Result<(), ServeError> {
        self.net.take().map_or(Ok(()), modb_net::Server::join).map_err(ServeError::Net)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.net.take());
        self.database.settled().remove(self.number);
    }
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address {
    addr: SocketAddr,
    /// The machine may lack the address (a `-` in front, as in Redis).
    may_be_missing: bool,
}

fn addresses(settings: &Settings) -> Result<Vec<Address>, ConfigError> {
    let port = u16::try_from(settings.number("port")).unwrap_or(0);
    let mut addresses = Vec::new();
    for word in settings.get("bind").split_whitespace() {
        let (may_be_missing, name) = word.strip_prefix('-').map_or((false, word), |name| (true, name));
        let ip: IpAddr = match name {
            "*" => Ipv4Addr::UNSPECIFIED.into(),
            "::*" => Ipv6Addr::UNSPECIFIED.into(),
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            _ => name.parse().map_err(|_| ConfigError::Invalid {
                name: "bind",
                why: format!("'{name}' is no IP address"),
            })?,
        };
        addresses.push(Address { addr: SocketAddr::new(ip, port), may_be_missing });
    }
    Ok(addresses)
}

/// Listens on all of them; port 0 is chosen by the first and then used for all.
fn listen(addresses: &[Address]) -> Result<Vec<TcpListener>, ServeError> {
    let mut listeners = Vec::new();
    let mut chosen = None;
    for Address { addr, may_be_missing } in addresses {
        let mut addr = *addr;
        if addr.port() == 0 {
            addr.set_port(chosen.unwrap_or(0));
        }
        match listen_on(addr) {
            Ok(listener) => {
                chosen = chosen.or(listener.local_addr().ok().map(|addr| addr.port()));
                listeners.push(listener);
            }
            // A taken port is an error all the same, unless the system chose it.
            Err(_) if *may_be_missing && addr.port() == chosen.unwrap_or(0) => {}
            Err(error) if *may_be_missing && error.kind() != io::ErrorKind::AddrInUse => {}
            Err(source) => return Err(ServeError::Listen { addr, source }),
        }
    }
    Ok(listeners)
}

/// Listens at the path of `unixsocket`, if one is set.
fn listen_unix(settings: &Settings) -> Result<Option<UnixListener>, ServeError> {
    let path = PathBuf::from(settings.get("unixsocket"));
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let mode = match settings.get("unixsocketperm").as_str() {
        "" | "0" => None,
        text => match u32::from_str_radix(text, 8) {
            Ok(mode @ 1..=0o777) => Some(mode),
            _ => {
                let why = format!("'{text}' is no permissions: three octal digits, such as 700");
                return Err(ConfigError::Invalid { name: "unixsocketperm", why }.into());
            }
        },
    };
    UnixListener::bind(&path, mode).map(Some).map_err(|source| ServeError::ListenUnix { path, source })
}

fn listen_on(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    crate::sys::prepare_listener(&socket)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn handoff(settings: &Settings) -> Result<modb_net::Handoff, ConfigError> {
    settings.get("handoff").parse().map_err(|error: modb_net::UnknownHandoff| ConfigError::Invalid {
        name: "handoff",
        why: error.to_string(),
    })
}
