//! One connection: a state machine over something to read from and write to. It owns no poller, reads no
//! clock and knows no service; [`crate::many::core`] drives it.
//!
//! ```text
//! Opening --> Serving --(peer closed, close asked, refused, shutdown)--> Sending --(output sent)--> Lingering --> gone
//!                  \                                                        \--(handed out)--> gone
//!                   \______________________(reset, limit exceeded)_________________________________________/
//! ```
//!
//! Each phase owns what exists in it alone, so a closing connection has no session and a lingering one no input.
//! Invariants: nothing is read while output is over the high-water mark; at most one write per turn; once
//! it no longer serves, input is only drained, so that closing is not a reset that would
//! take the last reply away from the peer.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use socket2::Socket;

use crate::base::buf::{InBuf, OutBuf};
use crate::base::seq::Seq;
use crate::base::token::Token;
use crate::connection::budget::Account;
use crate::connection::reason::CloseReason;
use crate::connection::seat::Seat;
use crate::system::peer::Peer;
use crate::system::poll::Interest;
use crate::system::sys;

/// What a connection needs of its transport. Never blocks.
pub(crate) trait Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Tells the peer that nothing more comes.
    fn shutdown_write(&mut self) -> io::Result<()>;
    /// What the system has to say about a connection that was to be opened.
    fn take_error(&mut self) -> io::Result<Option<io::Error>>;
    /// Who is at the other end, once the connection stands.
    fn peer(&self, remote: SocketAddr) -> Peer;
}

impl Stream for Arc<Socket> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &**self, into)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send_with_flags(bytes, sys::SEND_FLAGS)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        Socket::take_error(self)
    }

    fn peer(&self, remote: SocketAddr) -> Peer {
        let local = self.local_addr().ok().and_then(|local| local.as_socket());
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        Peer::Tcp { remote, local: local.unwrap_or(any) }
    }
}

/// What the session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// For input.
    Input,
    /// For its next turn: there is more to do, without new input.
    Turn,
    /// As [`Waits::Turn`], after [`Waits::Parked`]: others may wait for what it was given, so it executes one request
    /// although its output is full.
    Resumed,
    /// For a resume that may never come: it ends with its peer.
    Blocked,
    /// For a resume that will come: it is executed whatever happens to the peer's side.
    Parked,
    /// For memory.
    Room,
}

/// How far a connection has come, with what it owns only there.
#[derive(Debug)]
pub(crate) enum Phase<X> {
    /// Its service has not been asked yet. `remote`: it is being opened from here, and does not stand yet.
    Opening { remote: Option<SocketAddr> },
    /// A session answers its requests.
    Serving(Serving<X>),
    /// Sends what was written; nothing more is read.
    Sending {
        /// When the last byte was taken.
        since: Instant,
        /// The peer has closed its side, so there is nothing to drain.
        ended: bool,
        then: Then<X>,
    },
    /// Everything was sent and the peer knows; drains input until it closes too.
    Lingering {
        /// When the last byte came.
        since: Instant,
        drained_bytes: usize,
    },
}

/// What follows when a closing connection has sent everything.
#[derive(Debug)]
pub(crate) enum Then<X> {
    Linger,
    /// Its socket is given to the service.
    HandOut {
        session: X,
        unread: Vec<u8>,
    },
}

/// A connection that is served.
#[derive(Debug)]
pub(crate) struct Serving<X> {
    pub(crate) session: X,
    pub(crate) input: InBuf,
    pub(crate) waits: Waits,
    /// When a byte last came or went.
    pub(crate) active: Instant,
    /// Serving ends in this turn, so.
    pub(crate) doom: Option<Doom>,
    /// The peer has closed its side.
    pub(crate) ended: bool,
    /// Over the high-water mark: neither read nor executed until half of it has drained.
    pub(crate) paused: bool,
    /// So much input, in bytes, was there when it last began to wait.
    had: u32,
}

/// How serving is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doom {
    Close(CloseReason),
    HandOut,
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The peer has closed its side.
    Closed,
    /// The connection is broken.
    Broken,
}

/// Input a waiting connection may gather beside what it had when it began to wait, before it is no longer read, in bytes: enough to see
/// that its peer has closed behind a pipelined request or two, little enough for ten thousand of them.
pub(crate) const WAITING_INPUT_BYTES: usize = 16 << 10;

/// One connection with its seat, its account and its buffers.
#[derive(Debug)]
pub(crate) struct Conn<X, T> {
    pub(crate) stream: T,
    pub(crate) phase: Phase<X>,
    pub(crate) output: OutBuf,
    pub(crate) account: Account,
    pub(crate) seat: Seat,
    pub(crate) generation: u32,
    /// The last write took less than was offered: wait until the socket can be written.
    pub(crate) blocked_write: bool,
    /// What the poller was told.
    pub(crate) interest: Interest,
    pub(crate) lists: Lists,
}

/// On which lists of its worker a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lists {
    /// Connections to settle at the end of this turn.
    pub(crate) touched: bool,
    /// Connections to execute in the next turn.
    pub(crate) queued: bool,
    /// Connections that wait for memory.
    pub(crate) starved: bool,
    /// Connections that took much of their worker.
    pub(crate) share: Share,
    /// Its place among the connections whose output waits for a commit.
    pub(crate) held_at: u32,
}

/// How much a connection takes of its worker, and so whether it stands in the line ([`crate::many::core`]'s `line`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// It took little when it was last served: it is served at once.
    Small,
    /// It took much, or holds much that is to be executed: next time it stands in the line.
    Large,
    /// It stands in the line. `readable`: its socket has something for it.
    InLine { readable: bool },
}

/// On no such list.
pub(crate) const NOT_HELD: u32 = u32::MAX;

impl Lists {
    pub(crate) const NONE: Self =
        Self { touched: false, queued: false, starved: false, share: Share::Small, held_at: NOT_HELD };
}

/// Reads once.
pub(crate) fn read<T: Stream>(stream: &mut T, into: &mut [u8]) -> ReadEnd {
    loop {
        match stream.read(into) {
            Ok(0) => return ReadEnd::Closed,
            Ok(n) => return ReadEnd::Bytes(n),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock => return ReadEnd::Nothing,
                _ => return ReadEnd::Broken,
            },
        }
    }
}

impl<X> Serving<X> {
    pub(crate) fn new(session: X, now: Instant) -> Self {
        Self {
            session,
            input: InBuf::default(),
            waits: Waits::Input,
            active: now,
            doom: None,
            ended: false,
            paused: false,
            had: 0,
        }
    }

    /// Whether it waits for somebody to resume it.
    pub(crate) fn waits_for_resume(&self) -> bool {
        matches!(self.waits, Waits::Blocked | Waits::Parked)
    }

    /// Whether the socket may be read now. `starved`: it may not hold more.
    pub(crate) fn may_read(&self, starved: bool) -> bool {
        if self.ended || self.paused || starved {
            return false;
        }
        match self.waits {
            Waits::Input | Waits::Turn | Waits::Resumed => true,
            Waits::Blocked | Waits::Parked => self.gathered() < WAITING_INPUT_BYTES,
            Waits::Room => false,
        }
    }

    /// It was executed, and may wait now. `waited`: it had waited until then, and had so much input.
    pub(crate) fn note_wait(&mut self, waited: Option<usize>) {
        let len = self.input.len();
        self.had = match waited {
            // What came while it waited is no part of what it waits with, however often it is resumed.
            Some(before) => self.had.saturating_sub(bounded(before.saturating_sub(len))),
            None => bounded(len),
        };
    }

    /// Input that came since it began to wait, if it waits; else all input.
    pub(crate) fn gathered(&self) -> usize {
        let had = if self.waits_for_resume() { self.had as usize } else { 0 };
        self.input.len().saturating_sub(had)
    }

    /// Updates the back-pressure from the length of the output.
    pub(crate) fn update_pause(&mut self, output_bytes: usize, high_water_bytes: usize) {
        self.paused = output_bytes >= if self.paused { high_water_bytes / 2 + 1 } else { high_water_bytes };
    }
}

fn bounded(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl<X, T: Stream> Conn<X, T> {
    /// A connection that is served from now on.
    pub(crate) fn new(stream: T, seat: Seat, account: Account, phase: Phase<X>, output: OutBuf) -> Self {
        Self {
            stream,
            phase,
            output,
            account,
            seat,
            generation: 0,
            blocked_write: false,
            interest: Interest::READ,
            lists: Lists::NONE,
        }
    }

    /// What it is while it is served.
    pub(crate) fn serving(&self) -> Option<&Serving<X>> {
        match &self.phase {
            Phase::Serving(serving) => Some(serving),
            Phase::Opening { .. } | Phase::Sending { .. } | Phase::Lingering { .. } => None,
        }
    }

    /// What it is while it is served.
    pub(crate) fn serving_mut(&mut self) -> Option<&mut Serving<X>> {
        match &mut self.phase {
            Phase::Serving(serving) => Some(serving),
            Phase::Opening { .. } | Phase::Sending { .. } | Phase::Lingering { .. } => None,
        }
    }

    /// Whether it stands in the line: it does nothing since others are served before it.
    pub(crate) fn is_in_line(&self) -> bool {
        matches!(self.lists.share, Share::InLine { .. })
    }

    /// Whether it is the one of this name, served and not about to end.
    pub(crate) fn stays_as(&self, token: Token) -> bool {
        self.generation == token.generation && self.serving().is_some_and(|serving| serving.doom.is_none())
    }

    /// Ends serving: what was written is sent, nothing more is read. Gives what it was, if it was served.
    pub(crate) fn stop_serving(&mut self, now: Instant) -> Option<Serving<X>> {
        let sending = |ended| Phase::Sending { since: now, ended, then: Then::Linger };
        match std::mem::replace(&mut self.phase, sending(false)) {
            Phase::Serving(serving) => {
                self.phase = sending(serving.ended);
                Some(serving)
            }
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// Takes its session, if it still has one: from now on what was written is sent, and that is all.
    pub(crate) fn take_session(&mut self, now: Instant) -> Option<X> {
        if let Phase::Sending { then, .. } = &mut self.phase {
            return match std::mem::replace(then, Then::Linger) {
                Then::HandOut { session, .. } => Some(session),
                Then::Linger => None,
            };
        }
        self.stop_serving(now).map(|serving| serving.session)
    }

    /// Writes once, up to the first mark that is not released: how many bytes were taken, or that the
    /// connection is broken. `None`: there was nothing to write, or the socket is known to be full.
    pub(crate) fn write(&mut self, released: Seq, now: Instant) -> Option<Result<usize, CloseReason>> {
        self.output.release(released);
        if self.blocked_write || self.output.sendable().is_empty() {
            return None;
        }
        loop {
            let offered = self.output.sendable();
            match self.stream.write(offered) {
                Ok(n) => {
                    self.blocked_write = n < offered.len();
                    self.output.advance(n);
                    if n > 0 {
                        self.note_sent(n, now);
                    }
                    return Some(Ok(n));
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => {
                        self.blocked_write = true;
                        return Some(Ok(0));
                    }
                    _ => return Some(Err(CloseReason::PeerReset)),
                },
            }
        }
    }

    /// The peer took something: it is there.
    fn note_sent(&mut self, bytes: usize, now: Instant) {
        self.account.progress(bytes);
        match &mut self.phase {
            Phase::Serving(serving) => serving.active = now,
            Phase::Sending { since, .. } => *since = now,
            Phase::Opening { .. } | Phase::Lingering { .. } => {}
        }
    }

    /// Whether the socket may be read now.
    pub(crate) fn may_read(&self) -> bool {
        match &self.phase {
            Phase::Serving(serving) => serving.may_read(self.account.waits()),
            Phase::Opening { .. } | Phase::Sending { .. } => false,
            Phase::Lingering { .. } => true,
        }
    }

    /// What the poller should tell.
    pub(crate) fn wanted_interest(&self) -> Interest {
        let connecting = matches!(self.phase, Phase::Opening { remote: Some(_) });
        Interest { readable: self.may_read(), writable: self.blocked_write || connecting }
    }

    /// What it holds, in bytes, beside what its session holds.
    #[cfg(test)]
    pub(crate) fn buffer_bytes(&self) -> usize {
        let input = match &self.phase {
            Phase::Serving(serving) => serving.input.heap_bytes(),
            Phase::Sending { then: Then::HandOut { unread, .. }, .. } => unread.capacity(),
            Phase::Opening { .. } | Phase::Sending { .. } | Phase::Lingering { .. } => 0,
        };
        input + self.output.heap_bytes()
    }
}
