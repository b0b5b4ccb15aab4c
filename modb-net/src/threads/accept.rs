//! The acceptor thread: takes connections from the listeners, gives each a seat and hands it to a worker.
//!
//! Invariants: a connection has a seat or is refused ([`crate::threads::refuse`]), here and nowhere else; one that no worker has
//! room for is kept and accepting pauses until one has, so nothing that was accepted is lost and the backlog holds the
//! rest; every connection has the options that are in force when it is accepted, however long it has waited for that; when
//! descriptors run out the listeners are not polled until a deadline, so it neither spins nor is given up;
//! each listener has its share of a turn.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket};

use crate::base::token::{Token, reserved_key};
use crate::connection::service::Service;
use crate::many::handoff::{Arrival, Way};
use crate::many::hub::Hub;
use crate::system::notify::Notifier;
use crate::system::peer::Peer;
use crate::system::poll::{Events, Interest, Poller};
use crate::system::sys;
use crate::system::unix_listener::UnixListener;
use crate::threads::refuse::Refusals;

const NOTIFIER: usize = reserved_key(0);

/// After an error that will not pass by itself (descriptors or memory have run out) accepting is tried
/// again so often: soon enough for a client not to notice, seldom enough to cost nothing.
const RETRY: Duration = Duration::from_millis(100);

/// While that lasts it is said so often: whoever watches the log is to see that it does, and nothing else is to drown in it.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// What a server listens on.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(Socket),
    Unix(UnixListener),
}

#[derive(Debug)]
struct Door {
    listener: Arc<Socket>,
    place: DoorPlace,
    /// Some who wait may have come before the options that they inherit were last changed. `false` once none waited.
    stale: bool,
}

#[derive(Debug)]
enum DoorPlace {
    Tcp(SocketAddr),
    /// Kept for its path and its drop, which removes the file.
    Unix(UnixListener),
}

/// Writes what a client is told for which there is no seat.
pub(crate) type RefusalWords = dyn Fn(&Peer) -> Vec<u8> + Send + Sync;

/// The listeners with what waits for them: made before the thread, so that errors are those of the start.
pub(crate) struct Acceptor<M> {
    doors: Vec<Door>,
    notifier: Notifier,
    poller: Poller,
    refusals: Refusals,
    words: Box<RefusalWords>,
    /// Accepted, but no worker has room.
    parked: Option<Arrival<M>>,
    /// Not before this time again.
    retry_at: Option<Instant>,
    /// Not said again before this time.
    say_at: Option<Instant>,
    /// Refusals of the system that were not said.
    left_out: u64,
    /// Whether the listeners are polled now.
    polled: bool,
    /// What the listeners hand down to their connections.
    keep_alive: Option<Duration>,
}

impl<M> Acceptor<M> {
    pub(crate) fn new(
        listeners: Vec<Listener>,
        refusals: Refusals,
        words: Box<RefusalWords>,
        keep_alive: Option<Duration>,
    ) -> io::Result<Self> {
        let notifier = Notifier::new().map_err(io::Error::other)?;
        let mut poller = Poller::new()?;
        poller.add(NOTIFIER, notifier.source(), Interest::READ)?;
        let mut doors = Vec::new();
        for listener in listeners {
            let (listener, place) = match listener {
                Listener::Tcp(socket) => {
                    let local = socket.local_addr()?.as_socket();
                    let local = local.ok_or_else(|| io::Error::from(ErrorKind::Unsupported))?;
                    if sys::CONNECTIONS_INHERIT {
                        socket.set_tcp_nodelay(true)?;
                    }
                    (Arc::new(socket), DoorPlace::Tcp(local))
                }
                Listener::Unix(unix) => (unix.socket(), DoorPlace::Unix(unix)),
            };
            listener.set_nonblocking(true)?;
            poller.add(door_key(doors.len()), listener.clone(), Interest::READ)?;
            doors.push(Door { listener, place, stale: true });
        }
        let acceptor = Self {
            doors,
            notifier,
            poller,
            refusals,
            words,
            parked: None,
            retry_at: None,
            say_at: None,
            left_out: 0,
            polled: true,
            keep_alive,
        };
        acceptor.hand_keep_alive_down();
        Ok(acceptor)
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    pub(crate) fn local_addrs(&self) -> Vec<SocketAddr> {
        self.doors
            .iter()
            .filter_map(|door| match &door.place {
                DoorPlace::Tcp(local) => Some(*local),
                DoorPlace::Unix(_) => None,
            })
            .collect()
    }

    /// Accepts until the server is shut down.
    pub(crate) fn run<S: Service<Message = M>>(mut self, hub: &Hub<S>) -> io::Result<()> {
        let mut events = Events::new();
        while !hub.is_stopping() {
            self.unpark(hub);
            let want_polled = self.parked.is_none() && self.retry_at.is_none();
            self.poll_listeners(want_polled)?;
            let wait = self.notifier.begin_wait(true);
            let deadline = [self.retry_at, self.refusals.next()].into_iter().flatten().min();
            let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            self.poller.wait(&mut events, wait.timeout(timeout))?;
            wait.end(events.iter().any(|event| event.key == NOTIFIER)).map_err(io::Error::other)?;
            hub.arrivals.turns.fetch_add(1, Relaxed);
            let now = Instant::now();
            self.retry_at = self.retry_at.filter(|&at| now < at);
            self.refusals.expire(&mut self.poller, now);
            let ready = events.iter().filter(|event| is_door(event.key)).count();
            let share = (hub.limits.accepts_per_turn / ready.max(1)).max(1);
            for event in events.iter() {
                if is_door(event.key) {
                    self.accept_from(event.key, share, hub, now);
                } else if event.key != NOTIFIER {
                    self.refusals.event(event.key, &mut self.poller);
                }
            }
        }
        Ok(())
    }

    fn unpark<S: Service<Message = M>>(&mut self, hub: &Hub<S>) {
        if let Some(arrival) = self.parked.take() {
            self.parked = hub.place(arrival).err();
        }
    }

    fn accept_from<S: Service<Message = M>>(&mut self, key: usize, share: usize, hub: &Hub<S>, now: Instant) {
        let door = key_door(key);
        for _ in 0..share {
            if self.parked.is_some() || self.retry_at.is_some() {
                return;
            }
            match sys::accept(&self.doors[door].listener) {
                Ok((stream, remote)) => {
                    self.set_keep_alive(hub.keep_alive());
                    // One that fails here was reset while it waited; there is nobody to tell.
                    let Ok(peer) = self.prepare(&stream, &remote, &self.doors[door]) else { continue };
                    self.admit(stream, peer, hub, now);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return self.doors[door].stale = false,
                    // That connection went away while it waited; the next may be well. Wine says of it that it is not connected.
                    ErrorKind::Interrupted
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset
                    | ErrorKind::NotConnected => {}
                    _ => {
                        self.say(&error, hub.admission.taken(), now);
                        hub.arrivals.system_refusals.fetch_add(1, Relaxed);
                        self.retry_at = Some(now + RETRY);
                    }
                },
            }
        }
    }

    /// Says that the system refuses, unless that was said lately.
    fn say(&mut self, error: &io::Error, connections: usize, now: Instant) {
        if self.say_at.is_some_and(|at| now < at) {
            self.left_out += 1;
            return;
        }
        self.say_at = Some(now + SAID_AGAIN);
        let left_out = std::mem::take(&mut self.left_out);
        tracing::warn!(%error, connections, left_out, "cannot accept now, trying again every {RETRY:?}");
    }

    /// Gives the connection a seat and a worker, or tells it that there is none.
    fn admit<S: Service<Message = M>>(&mut self, stream: Socket, peer: Peer, hub: &Hub<S>, now: Instant) {
        let Some(seat) = hub.admission.take(peer.is_local()) else {
            hub.arrivals.refused.fetch_add(1, Relaxed);
            let words = (self.words)(&peer);
            self.refusals.begin(stream, words, &mut self.poller, now);
            return;
        };
        hub.arrivals.accepted.fetch_add(1, Relaxed);
        self.parked = hub.place(Arrival { stream, seat, way: Way::Accepted(peer) }).err();
        if self.parked.is_some() {
            hub.arrivals.pauses.fetch_add(1, Relaxed);
        }
    }

    fn prepare(&self, stream: &Socket, remote: &SockAddr, door: &Door) -> io::Result<Peer> {
        let local = match &door.place {
            DoorPlace::Unix(listener) => return Ok(Peer::Unix { path: listener.path() }),
            DoorPlace::Tcp(local) => *local,
        };
        if !sys::CONNECTIONS_INHERIT || door.stale {
            stream.set_tcp_nodelay(true)?;
            sys::set_keep_alive(stream, self.keep_alive)?;
        }
        let unknown = || io::Error::from(ErrorKind::Unsupported);
        let remote = remote.as_socket().ok_or_else(unknown)?;
        // A listener bound to one address has told it already; one system call less per connection.
        let local = if local.ip().is_unspecified() {
            stream.local_addr()?.as_socket().ok_or_else(unknown)?
        } else {
            local
        };
        Ok(Peer::Tcp { remote, local })
    }

    /// Connections are kept alive so from now on.
    fn set_keep_alive(&mut self, after: Option<Duration>) {
        if after != self.keep_alive {
            self.keep_alive = after;
            self.hand_keep_alive_down();
            self.doors.iter_mut().for_each(|door| door.stale = true);
        }
    }

    /// Where connections inherit it from their listener, that is told: no system call per connection.
    fn hand_keep_alive_down(&self) {
        if sys::CONNECTIONS_INHERIT {
            for door in self.doors.iter().filter(|door| matches!(door.place, DoorPlace::Tcp(_))) {
                if let Err(error) = sys::set_keep_alive(&door.listener, self.keep_alive) {
                    tracing::warn!(%error, "the system refuses to keep connections alive");
                }
            }
        }
    }

    fn poll_listeners(&mut self, on: bool) -> io::Result<()> {
        if self.polled != on {
            self.polled = on;
            let interest = if on { Interest::READ } else { Interest::NONE };
            for door in 0..self.doors.len() {
                self.poller.modify(door_key(door), interest)?;
            }
        }
        Ok(())
    }
}

/// The key of listener number `door`: behind the notifier's among the reserved ones.
const fn door_key(door: usize) -> usize {
    reserved_key(door + 1)
}

/// Whether the key is a listener's.
fn is_door(key: usize) -> bool {
    key != NOTIFIER && Token::slot_of(key) == Token::slot_of(NOTIFIER)
}

/// Whose the key is.
fn key_door(key: usize) -> usize {
    crate::base::token::reserved_index(key) - 1
}
