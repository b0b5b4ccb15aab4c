//! The acceptor thread: takes connections from the listeners and hands each to a worker.
//!
//! Invariants: a connection that no worker has room for is kept and accepting pauses until one has, so
//! nothing that was accepted is lost and the backlog holds the rest; when descriptors run out the listener
//! is not polled until a deadline, so it neither spins nor is given up.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::handoff::Arrival;
use crate::hub::Hub;
use crate::notify::Notifier;
use crate::poll::{Events, Interest, Poller};
use crate::token::{Token, reserved_key};
use crate::{Peer, Service, Workers};

const NOTIFIER: usize = reserved_key(0);

/// After an error that will not pass by itself (descriptors or memory have run out) accepting is tried
/// again so often: soon enough for a client not to notice, seldom enough to cost nothing.
const RETRY: Duration = Duration::from_millis(100);

struct Door {
    listener: Arc<TcpListener>,
    local: SocketAddr,
}

/// The listeners with what waits for them: made before the thread, so that errors are those of the start.
pub(crate) struct Acceptor {
    doors: Vec<Door>,
    notifier: Notifier,
    poller: Poller,
    /// Accepted, but no worker has room.
    parked: Option<Arrival>,
    /// Not before this time again.
    retry_at: Option<Instant>,
    /// Whether the listeners are polled now.
    polled: bool,
}

impl Acceptor {
    pub(crate) fn new(listeners: Vec<TcpListener>) -> io::Result<Self> {
        let notifier = Notifier::new().map_err(io::Error::other)?;
        let mut poller = Poller::new()?;
        poller.add(NOTIFIER, notifier.source(), Interest::READ)?;
        let mut doors = Vec::new();
        for listener in listeners {
            listener.set_nonblocking(true)?;
            let local = listener.local_addr()?;
            let listener = Arc::new(listener);
            poller.add(key(doors.len()), listener.clone(), Interest::READ)?;
            doors.push(Door { listener, local });
        }
        Ok(Self { doors, notifier, poller, parked: None, retry_at: None, polled: true })
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    pub(crate) fn local_addrs(&self) -> Vec<SocketAddr> {
        self.doors.iter().map(|door| door.local).collect()
    }

    /// Accepts until the server is shut down.
    pub(crate) fn run<S: Service>(mut self, hub: &Hub<S>) -> io::Result<()> {
        let mut events = Events::new();
        while !hub.is_stopping() {
            self.unpark(hub);
            let want_polled = self.parked.is_none() && self.retry_at.is_none();
            self.poll_listeners(want_polled)?;
            let wait = self.notifier.begin_wait(true);
            let timeout = self.retry_at.map(|at| at.saturating_duration_since(Instant::now()));
            self.poller.wait(&mut events, wait.timeout(timeout))?;
            wait.end(events.iter().any(|event| event.key == NOTIFIER)).map_err(io::Error::other)?;
            hub.arrivals.turns.fetch_add(1, Relaxed);
            self.retry_at = self.retry_at.filter(|&at| Instant::now() < at);
            let mut budget = hub.limits.accepts_per_turn.max(1);
            for event in events.iter() {
                if event.key != NOTIFIER {
                    self.accept_from(Token::slot_of(event.key), &mut budget, hub);
                }
            }
        }
        hub.count_unserved(usize::from(self.parked.is_some()));
        Ok(())
    }

    fn unpark<S: Service>(&mut self, hub: &Hub<S>) {
        if let Some(arrival) = self.parked.take() {
            self.parked = hub.place(arrival).err();
        }
    }

    fn accept_from<S: Service>(&mut self, door: usize, budget: &mut usize, hub: &Hub<S>) {
        let Door { listener, local } = &self.doors[door];
        while *budget > 0 && self.parked.is_none() && self.retry_at.is_none() {
            *budget -= 1;
            match listener.accept() {
                Ok((stream, remote)) => {
                    // One that fails here was reset while it waited; there is nobody to tell.
                    let Ok(arrival) = prepare(stream, remote, *local) else { continue };
                    hub.arrivals.accepted.fetch_add(1, Relaxed);
                    self.parked = hub.place(arrival).err();
                    if self.parked.is_some() {
                        hub.arrivals.pauses.fetch_add(1, Relaxed);
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    // That connection went away while it waited; the next may be well.
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {}
                    _ => {
                        let connections = hub.connections();
                        tracing::warn!(%error, connections, "cannot accept now, trying again in {RETRY:?}");
                        hub.arrivals.refusals.fetch_add(1, Relaxed);
                        self.retry_at = Some(Instant::now() + RETRY);
                    }
                },
            }
        }
    }

    fn poll_listeners(&mut self, on: bool) -> io::Result<()> {
        if self.polled != on {
            self.polled = on;
            let interest = if on { Interest::READ } else { Interest::NONE };
            for door in 0..self.doors.len() {
                self.poller.modify(key(door), interest)?;
            }
        }
        Ok(())
    }
}

/// The key of listener number `door`.
fn key(door: usize) -> usize {
    Token { slot: door as u32, generation: 0 }.key()
}

fn prepare(stream: std::net::TcpStream, remote: SocketAddr, local: SocketAddr) -> io::Result<Arrival> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    // A listener bound to one address has told it already; one system call less per connection.
    let local = if local.ip().is_unspecified() { stream.local_addr()? } else { local };
    Ok(Arrival { stream, peer: Peer { remote, local } })
}
