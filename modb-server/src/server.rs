//! A database with a door to the network.
//!
//! Invariants: no signal handlers, no global state; when [`Server::join`] has returned or the server was dropped,
//! its threads have ended; the database lives on for whoever else has a handle.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use modb_net::{UnixListener, Workers};
use socket2::{Domain, Protocol, Socket, Type};

use crate::command::{Holds, warn_of_open_door};
use crate::config::{ConfigError, Settings};
use crate::database::Database;
use crate::error::Error;
use crate::farewell::Farewell;
use crate::handle::Open;
use crate::limits;
use crate::session::{Message, Worker};

/// How often all addresses are tried with another port that the system chooses, when it is free on some of them only.
const PORT_TRIES: usize = 20;

/// Why a server could not start, or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An option has a wrong value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("cannot listen on {addr}: {source}{}", advice(.source))]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The system's own error.
        source: io::Error,
    },
    /// The path of `unixsocket` cannot be listened on.
    #[error("cannot listen on {} (of unixsocket): {source}{}", path.display(), advice_unix(.source))]
    ListenUnix {
        /// The path.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// A name in `bind` stands for no address.
    #[error("cannot listen on {name} (of bind): it is no IP address, and as a name it means nothing: {why}")]
    Resolve {
        /// The name.
        name: String,
        /// What the system says.
        why: String,
    },
    /// None of the addresses, all of which may be missing, is there.
    #[error("cannot listen anywhere: of the addresses of bind ('{0}') this machine has none")]
    Nowhere(String),
    /// No address is named.
    #[error("cannot listen anywhere: bind is empty, and so is unixsocket")]
    NoAddress,
    /// The database cannot be used: it is closed, or the call came from inside a closure of `update`.
    #[error(transparent)]
    Database(#[from] Error),
    /// The network layer failed.
    #[error(transparent)]
    Net(#[from] modb_net::ServerError),
}

/// What can be done about an address, as the end of a sentence.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ": another program listens there, or another word of bind means the same; end it, or choose another port or \
             address (port, bind)"
        }
        io::ErrorKind::AddrNotAvailable => {
            ": no address of this machine (see bind; with a '-' in front it may be missing)"
        }
        io::ErrorKind::PermissionDenied => {
            ": the system keeps it for others, as most do with ports below 1024; choose another port (port)"
        }
        _ => "",
    }
}

/// The same of the path of a socket.
fn advice_unix(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ": a server listens there, or something else has the name; choose another path, or remove it"
        }
        io::ErrorKind::NotFound => ": there is no such folder",
        io::ErrorKind::PermissionDenied => ": this user may not write there",
        _ => "",
    }
}

/// What the system says of a name, without what the standard library says in front of it.
fn of_system(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").map_or(text.clone(), str::to_owned)
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    net: Option<modb_net::Server<Message>>,
    database: Database,
    /// Names its wakers within the database.
    number: u64,
    farewell: Farewell,
    holds: Holds,
}

/// Ends a server from elsewhere, such as a thread that waits for signals.
#[derive(Clone)]
pub struct Shutdown {
    workers: Arc<dyn Workers<Message>>,
    holds: Holds,
}

impl Shutdown {
    /// Begins the graceful shutdown; returns at once.
    pub fn begin(&self) {
        self.workers.shutdown();
        // It waits for what is held.
        self.holds.release();
    }
}

impl Server {
    /// Serves `database` on the addresses and the port of its options: 127.0.0.1:6379 unless set.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use modb_server::{Options, Server};
    ///
    /// let database = Options::in_memory().set("port", "0")?.set("bind", "127.0.0.1")?.open()?;
    /// let server = Server::start(&database)?;
    /// println!("listening on {:?}", server.local_addrs());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn start(database: &Database) -> Result<Self, ServeError> {
        database.shared().run(|open| {
            let settings = &open.instance.settings;
            let listeners = listen(&places(settings)?, backlog(settings))?;
            let unix = listen_unix(settings)?;
            if listeners.is_empty() && unix.is_none() {
                let bind = settings.get("bind");
                return Err(if bind.trim().is_empty() {
                    ServeError::NoAddress
                } else {
                    ServeError::Nowhere(bind)
                });
            }
            warn_of_open_door(settings);
            Self::over(database, open, listeners, unix)
        })
    }

    /// Serves `database` on one address; port 0 takes any free one.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::io::{Read, Write};
    ///
    /// use modb_server::{Database, Server};
    ///
    /// let database = Database::in_memory()?;
    /// let server = Server::bind(&database, "127.0.0.1:0".parse()?)?;
    ///
    /// let mut client = std::net::TcpStream::connect(server.local_addrs()[0])?;
    /// client.write_all(b"SET greeting hello\r\n")?;
    /// client.read_exact(&mut [0; 5])?; // +OK
    /// assert_eq!(database.get("greeting")?, Some("hello".into()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn bind(database: &Database, addr: SocketAddr) -> Result<Self, ServeError> {
        let place = Place { name: addr.to_string(), addrs: vec![addr], may_be_missing: false };
        database.shared().run(|open| {
            let listeners = listen(&[place], backlog(&open.instance.settings))?;
            Self::over(database, open, listeners, None)
        })
    }

    fn over(
        database: &Database,
        open: &Open,
        listeners: Vec<TcpListener>,
        unix: Option<UnixListener>,
    ) -> Result<Self, ServeError> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let settings = &open.instance.settings;
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
        let (share, settled) = (database.shared().share(open), Arc::clone(&open.settled));
        let farewell = Farewell::default();
        let bring = farewell.bring();
        let net = builder.start(move |context| {
            let (instance, present) = (Arc::clone(&share.instance), share.present.clone());
            let listener = settled.add(number, context.waker);
            Worker::new(instance, present, listener, (context.index, context.workers), bring.clone())
        })?;
        if let Some(addr) = net.local_addrs().first() {
            // A second server over the same database keeps the first one's port in INFO.
            let _ = open.instance.port.set(addr.port());
        }
        let holds = open.instance.holds.clone();
        let shutdown = Shutdown { workers: net.workers(), holds: holds.clone() };
        database.shared().note_server(number, Box::new(move || shutdown.begin()));
        Ok(Self { net: Some(net), database: database.clone(), number, farewell, holds })
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
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use modb_server::{Database, Server};
    ///
    /// let database = Database::in_memory()?;
    /// let server = Server::bind(&database, "127.0.0.1:0".parse()?)?;
    /// let end = server.shutdown_handle();
    /// std::thread::spawn(move || end.begin());
    /// server.join()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Never: it is there until `join`, which takes the server.
    pub fn shutdown_handle(&self) -> Shutdown {
        let net = self.net.as_ref().expect("there until `join` or drop");
        Shutdown { workers: net.workers(), holds: self.holds.clone() }
    }

    /// Begins the graceful shutdown: stop accepting, answer what was read, send it, close. Returns at once.
    pub fn shutdown(&self) {
        if self.net.is_some() {
            self.shutdown_handle().begin();
        }
    }

    /// Keeps the connections of clients that ask the server to end (`SHUTDOWN`). They end with the server, or when this is
    /// dropped, if that is later: after the database was closed, say, so that its folder is free when they hear of it.
    pub fn farewell(&self) -> Farewell {
        self.farewell.clone()
    }

    /// Waits until the server has ended: by [`Server::shutdown`], by a client's `SHUTDOWN`, by [`Database::close`], or by a
    /// failure. The database lives on, unless it was closed.
    ///
    /// # Errors
    /// The failure that ended it; [`Error::InsideUpdate`], whose server then ends in the background.
    pub fn join(mut self) -> Result<(), ServeError> {
        if let Err(error @ (Error::InsideUpdate | Error::Forked)) = self.database.shared().may_call() {
            return Err(error.into());
        }
        self.net.take().map_or(Ok(()), modb_net::Server::join).map_err(ServeError::Net)
    }
}

#[cfg(test)]
impl Server {
    /// Takes all the room that there is for mail to a worker, until it is dropped.
    pub(crate) fn fill_lane(&self, worker: usize) -> modb_net::Room {
        let limit = modb_net::Limits::default().mail_bytes;
        self.shutdown_handle().workers.reserve(worker, limit, &|| Box::new(|| {}))
    }

    /// Has a worker move some of its connections to the others.
    pub(crate) fn move_away(&self, worker: usize, at_most: usize) {
        self.shutdown_handle().workers.move_away(worker, at_most);
    }
}

impl Server {
    /// Ends it, and waits until its threads have ended.
    fn end(net: Option<modb_net::Server<Message>>, database: &Database, number: u64) {
        drop(net);
        let shared = database.shared();
        // If it is closed, there is nothing left of it.
        let _ = shared.run(|open| {
            open.settled.remove(number);
            Ok::<_, Error>(())
        });
        shared.forget_server(number);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.database.shared().is_forked() {
            // Its threads and sockets are those of another process.
            std::mem::forget((self.net.take(), self.database.clone()));
            return;
        }
        self.shutdown();
        let (net, database, number) = (self.net.take(), self.database.clone(), self.number);
        if !database.shared().is_inside() {
            Self::end(net, &database, number);
            return;
        }
        // Its workers may wait for the closure that this is dropped in.
        let rest = Arc::new(Mutex::new(Some((net, database))));
        let taken = Arc::clone(&rest);
        let ends = std::thread::Builder::new().name("modb-server-end".to_owned()).spawn(move || {
            if let Some((net, database)) = taken.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Self::end(net, &database, number);
            }
        });
        if ends.is_err() {
            // Without a thread for it, nobody waits for its end.
            std::mem::forget(rest);
        }
    }
}

/// One word of `bind`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    name: String,
    /// Of a name, all that it stands for: those that the machine has are listened on.
    addrs: Vec<SocketAddr>,
    /// The machine may lack all of them (a `-` in front, as in Redis).
    may_be_missing: bool,
}

fn places(settings: &Settings) -> Result<Vec<Place>, ServeError> {
    let port = u16::try_from(settings.number("port")).unwrap_or(0);
    let mut places = Vec::new();
    for word in settings.get("bind").split_whitespace() {
        let (may_be_missing, name) = word.strip_prefix('-').map_or((false, word), |name| (true, name));
        let ip: Option<IpAddr> = match name {
            "*" => Some(Ipv4Addr::UNSPECIFIED.into()),
            "::*" => Some(Ipv6Addr::UNSPECIFIED.into()),
            _ => name.parse().ok(),
        };
        let addrs = match ip {
            Some(ip) => vec![SocketAddr::new(ip, port)],
            None => match (name, port).to_socket_addrs() {
                Ok(found) => found.collect(),
                Err(error) if may_be_missing => {
                    tracing::warn!(
                        "not listening on {name}, which cannot be resolved: {}",
                        of_system(&error)
                    );
                    continue;
                }
                Err(error) => {
                    return Err(ServeError::Resolve { name: name.to_owned(), why: of_system(&error) });
                }
            },
        };
        places.push(Place { name: name.to_owned(), addrs, may_be_missing });
    }
    Ok(places)
}

fn listen_on(addr: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    crate::sys::prepare_listener(&socket)?;
    socket.bind(&addr.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Connections the system keeps waiting while the acceptor is busy.
fn backlog(settings: &Settings) -> i32 {
    i32::try_from(settings.number("tcp-backlog")).unwrap_or(i32::MAX)
}

/// Listens on all of them. Port 0 is chosen by the first and then used for all; if somebody else has it on another
/// address, all begin anew with another one.
fn listen(places: &[Place], backlog: i32) -> Result<Vec<TcpListener>, ServeError> {
    let mut tries = 1;
    loop {
        match listen_once(places, backlog) {
            Err(ServeError::Listen { addr, source })
                if source.kind() == io::ErrorKind::AddrInUse
                    && tries < PORT_TRIES
                    && !places.iter().any(|place| place.addrs.contains(&addr)) =>
            {
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

fn listen_once(places: &[Place], backlog: i32) -> Result<Vec<TcpListener>, ServeError> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut chosen = 0;
    for place in places {
        let (mut found, mut missing) = (false, None);
        for addr in &place.addrs {
            let mut addr = *addr;
            if addr.port() == 0 {
                addr.set_port(chosen);
            }
            // Two words for the same, such as `localhost 127.0.0.1`.
            if addr.port() != 0
                && listeners.iter().any(|listener| listener.local_addr().is_ok_and(|there| there == addr))
            {
                found = true;
                continue;
            }
            match listen_on(addr, backlog) {
                Ok(listener) => {
                    found = true;
                    if addr.port() == 0 {
                        chosen = listener.local_addr().map_or(0, |addr| addr.port());
                    }
                    listeners.push(listener);
                }
                Err(source) if is_missing(&source) => missing = Some(ServeError::Listen { addr, source }),
                Err(source) => return Err(ServeError::Listen { addr, source }),
            }
        }
        match missing {
            Some(error) if !found && !place.may_be_missing => return Err(error),
            Some(error) if !found => tracing::info!("not listening on {}: {error}", place.name),
            _ => {}
        }
    }
    Ok(listeners)
}

/// Whether the machine lacks the address, or all of its kind. One that somebody else has, or that is not allowed, is there.
fn is_missing(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

/// Listens at the path of `unixsocket`, if one is set.
fn listen_unix(settings: &Settings) -> Result<Option<UnixListener>, ServeError> {
    let path = PathBuf::from(settings.get("unixsocket"));
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let mode = u32::from_str_radix(&settings.get("unixsocketperm"), 8).ok().filter(|mode| *mode > 0);
    UnixListener::bind(&path, mode).map(Some).map_err(|source| ServeError::ListenUnix { path, source })
}

fn handoff(settings: &Settings) -> Result<modb_net::Handoff, ConfigError> {
    settings.get("handoff").parse().map_err(|error: modb_net::UnknownHandoff| ConfigError::Invalid {
        name: "handoff",
        why: error.to_string(),
    })
}
