//! How a connection comes: accepted, brought in, or opened from here, which takes a while.
//!
//! Invariants: the service is asked about a connection exactly once, when it stands; the purpose of one that is opened from
//! here comes back exactly once, with the connection or with the reason why there is none.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Instant;

use super::{Conns, Core};
use crate::base::buf::OutBuf;
use crate::base::token::Token;
use crate::connection::conn::{Conn, Phase, Serving, Stream, Then};
use crate::connection::io::{Handle, Out};
use crate::connection::reason::CloseReason;
use crate::connection::seat::Seat;
use crate::connection::service::{Opening, Service, Turn};
use crate::system::peer::Peer;

impl<S: Service, T: Stream> Core<S, T> {
    /// A connection has come; with a purpose if it was brought in. `None`: this worker cannot name another one, and it is
    /// closed.
    pub(crate) fn open(
        &mut self,
        stream: T,
        peer: &Peer,
        purpose: Option<S::Message>,
        seat: Seat,
        turn: &Turn<'_, S>,
    ) -> Option<Token> {
        if self.conns.is_full() {
            if let Some(purpose) = purpose {
                self.service.on_undelivered(purpose, turn);
            }
            return None;
        }
        let token = self.insert(stream, seat, Phase::Opening { remote: None });
        self.ask_service(token, peer, purpose, turn);
        // What the poller is told first; one that is being opened waits for something else.
        let conn = &mut self.conns.slab[token.slot as usize];
        conn.interest = conn.wanted_interest();
        Some(token)
    }

    fn insert(&mut self, stream: T, seat: Seat, phase: Phase<S::Session>) -> Token {
        seat.serve();
        let account = self.conns.new_account();
        let mut conn = Conn::new(stream, seat, account, phase, OutBuf::default());
        conn.interest = conn.wanted_interest();
        self.conns.insert(conn)
    }

    /// Asks the service what it makes of a connection that stands.
    fn ask_service(&mut self, token: Token, peer: &Peer, purpose: Option<S::Message>, turn: &Turn<'_, S>) {
        let Conns { slab, pool, alarms, desk, .. } = &mut self.conns;
        let Conn { phase, output, account, seat, .. } = &mut slab[token.slot as usize];
        pool.lend(output);
        let mut out = Out::new(output, account, desk);
        let handle = Handle::new(token, seat, alarms);
        let opening = match purpose {
            None => self.service.open(handle, peer, &mut out, turn),
            Some(purpose) => self.service.open_with(purpose, handle, peer, &mut out, turn),
        };
        *phase = match opening {
            Opening::Serve(session) => {
                self.stats.accepted += 1;
                Phase::Serving(Serving::new(session, turn.now))
            }
            Opening::Refused => {
                alarms.get_mut().clear(token);
                self.closed.push(CloseReason::Refused);
                Phase::Sending { since: turn.now, ended: false, then: Then::Linger }
            }
        };
        self.watch(token.slot, turn.now);
    }

    /// A connection is being opened from here, until `deadline`. `None`: as [`Core::open`].
    pub(crate) fn connecting(
        &mut self,
        stream: T,
        remote: SocketAddr,
        purpose: S::Message,
        seat: Seat,
        deadline: Instant,
        turn: &Turn<'_, S>,
    ) -> Option<Token> {
        if self.conns.is_full() {
            self.not_opened(purpose, remote, ErrorKind::OutOfMemory, turn);
            return None;
        }
        let token = self.insert(stream, seat, Phase::Opening { remote: Some(remote) });
        self.purposes.insert(token.slot, purpose);
        self.conns.alarms.get_mut().set(token, deadline);
        Some(token)
    }

    /// The system has news of a connection that is being opened.
    pub(super) fn connected(&mut self, slot: u32, failed: bool, turn: &Turn<'_, S>) {
        let conn = &mut self.conns.slab[slot as usize];
        let Phase::Opening { remote: Some(remote) } = conn.phase else { return };
        let error = match conn.stream.take_error() {
            Ok(None) if !failed => None,
            Ok(None) => Some(ErrorKind::ConnectionRefused.into()),
            Ok(Some(error)) | Err(error) => Some(error),
        };
        if let Some(error) = error {
            return self.connect_failed(slot, error, turn);
        }
        let peer = conn.stream.peer(remote);
        let token = Token { slot, generation: conn.generation };
        self.conns.alarms.get_mut().clear(token);
        let purpose = self.purposes.remove(&slot);
        self.ask_service(token, &peer, purpose, turn);
        self.conns.touch(slot);
    }

    /// One that is being opened from here will not be: if it is still being opened, whoever wanted it is told.
    pub(super) fn connect_failed(&mut self, slot: u32, error: io::Error, turn: &Turn<'_, S>) {
        let Some(conn) = self.conns.slab.get(slot as usize) else { return };
        let Phase::Opening { remote: Some(remote) } = conn.phase else { return };
        self.conns.remove(slot);
        self.closed.push(CloseReason::ConnectFailed);
        if let Some(purpose) = self.purposes.remove(&slot) {
            self.service.on_connect_failed(purpose, remote, error, turn);
        }
    }

    /// One that was to be opened from here has not come so far.
    pub(crate) fn not_opened(
        &mut self,
        purpose: S::Message,
        remote: SocketAddr,
        error: ErrorKind,
        turn: &Turn<'_, S>,
    ) {
        self.closed.push(CloseReason::ConnectFailed);
        self.service.on_connect_failed(purpose, remote, error.into(), turn);
    }
}
