//! The hub in its roles: what services and other threads may ask of all workers.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::Hub;
use crate::base::limits::after;
use crate::connection::counts::{AcceptorStats, WorkerStats};
use crate::connection::lane::{Room, Tell};
use crate::connection::reason::CloseReason;
use crate::connection::seat::Address;
use crate::connection::service::Service;
use crate::connection::workers::{Control, Counts, JoinError, Joining, Messages, Undelivered};
use crate::many::handoff::queue::Refused;
use crate::many::handoff::{Arrival, Letter, Mail, Way};
use crate::system::peer::Peer;
use crate::system::sys;

impl<S: Service> Messages<S::Message> for Hub<S> {
    fn post(&self, worker: usize, message: S::Message) -> Result<(), Undelivered<S::Message>> {
        let Some(desk) = self.desks.get(worker) else { return Err(Undelivered(message)) };
        desk.mailbox.try_send(Letter::Message(message), false, |_| ()).map_err(|refused| {
            match refused.into_inner() {
                Letter::Message(message) => Undelivered(message),
                _ => unreachable!("what is refused is given back"),
            }
        })
    }

    fn post_to(
        &self,
        to: &Address,
        message: S::Message,
        from: Option<usize>,
    ) -> Result<(), Undelivered<S::Message>> {
        let Some(worker) = to.worker() else { return Err(Undelivered(message)) };
        let letter = Letter::MessageTo { to: to.clone(), message, from };
        self.desks[worker].mailbox.try_send(letter, false, |_| ()).map_err(|refused| {
            match refused.into_inner() {
                Letter::MessageTo { message, .. } => Undelivered(message),
                _ => unreachable!("what is refused is given back"),
            }
        })
    }

    fn reserve(&self, worker: usize, bytes: usize, tell: &dyn Fn() -> Tell) -> Room {
        match self.desks.get(worker) {
            Some(desk) => desk.lane.reserve(worker, bytes, tell),
            None => Room::nowhere(worker),
        }
    }

    fn post_in(&self, mut room: Room, message: S::Message) -> Result<(), Undelivered<S::Message>> {
        let Some(desk) = self.desks.get(room.worker()) else { return Err(Undelivered(message)) };
        room.overdraw();
        let refused = |refused: Refused<Mail<_>>| Undelivered(refused.into_inner().message);
        desk.mail.try_send(Mail { message, room }, false, |_| ()).map_err(refused)
    }

    fn resume(&self, connection: &Address) {
        if connection.mark_resumed()
            && let Some(worker) = connection.worker()
        {
            self.pass_on(worker, connection.clone());
        }
    }
}

impl<S: Service> Joining<S::Message> for Hub<S> {
    fn adopt(&self, socket: Socket, peer: Peer, purpose: S::Message) -> Result<(), JoinError> {
        socket.set_nonblocking(true)?;
        if matches!(peer, Peer::Tcp { .. }) {
            socket.set_tcp_nodelay(true)?;
            sys::set_keep_alive(&socket, self.keep_alive())?;
        }
        let local = peer.is_local();
        self.join(socket, local, Way::Adopted { peer, purpose })
    }

    fn connect(&self, remote: SocketAddr, timeout: Duration, purpose: S::Message) -> Result<(), JoinError> {
        let domain = socket2::Domain::for_address(remote);
        let socket = Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        sys::set_keep_alive(&socket, self.keep_alive())?;
        match socket.connect(&remote.into()) {
            Ok(()) => {}
            Err(error) if sys::is_connecting(&error) => {}
            Err(error) => return Err(error.into()),
        }
        self.join(socket, true, Way::Opens { remote, deadline: after(Instant::now(), timeout), purpose })
    }
}

impl<S: Service> Hub<S> {
    fn join(&self, stream: Socket, local: bool, way: Way<S::Message>) -> Result<(), JoinError> {
        let seat = self.admission.take(local).ok_or(JoinError::NoSeat)?;
        self.place(Arrival { stream, seat, way }).map_err(|_| JoinError::NoWorker)
    }
}

impl<S: Service> Control for Hub<S> {
    fn set_max_connections(&self, max: usize) {
        self.admission.set_max(max);
    }

    fn set_max_memory_bytes(&self, max: usize) {
        self.budget.set_limit(max);
    }

    fn set_idle_timeout(&self, timeout: Option<Duration>) {
        self.idle_timeout.set(timeout);
        self.wake_all();
    }

    fn set_keep_alive(&self, after: Option<Duration>) {
        self.keep_alive.set(after);
    }

    fn drain(&self, worker: usize, on: bool) {
        if let Some(desk) = self.desks.get(worker) {
            desk.draining.store(on, Relaxed);
            self.moves.fetch_add(1, Release);
            self.wake_all();
        }
    }

    fn move_away(&self, worker: usize, at_most: usize) -> bool {
        let letter = Letter::MoveAway { at_most };
        self.desks.get(worker).is_some_and(|desk| desk.mailbox.try_send(letter, false, |_| ()).is_ok())
    }

    fn shutdown(&self) {
        self.stopping.store(true, Relaxed);
        self.wake_all();
    }
}

impl<S: Service> Counts for Hub<S> {
    fn count(&self) -> usize {
        self.desks.len()
    }

    fn is_ending(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    fn connections(&self) -> usize {
        self.admission.taken()
    }

    fn max_connections(&self) -> usize {
        self.admission.max()
    }

    fn load(&self, worker: usize) -> usize {
        if worker < self.desks.len() { self.admission.load(worker) } else { 0 }
    }

    fn memory_bytes(&self) -> usize {
        self.budget.used()
    }

    fn acceptor_stats(&self) -> AcceptorStats {
        AcceptorStats {
            turns: self.arrivals.turns.load(Relaxed),
            accepted: self.arrivals.accepted.load(Relaxed),
            pauses: self.arrivals.pauses.load(Relaxed),
            system_refusals: self.arrivals.system_refusals.load(Relaxed),
            refused: self.arrivals.refused.load(Relaxed),
            unserved: self.admission.unserved(),
        }
    }

    fn stats(&self, worker: usize) -> WorkerStats {
        self.desks.get(worker).map_or_else(WorkerStats::default, |desk| desk.stats.snapshot())
    }

    fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize].load(Relaxed)
    }
}
