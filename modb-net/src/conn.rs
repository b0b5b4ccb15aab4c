//! One connection: a state machine over something to read from and write to. It owns no poller, reads no
//! clock and knows no service; [`crate::core`] drives it.
//!
//! ```text
//! Serving --(peer closed, close asked, refused, shutdown)--> Finishing --(output sent)--> Lingering --> gone
//!    \________________________(reset, limit exceeded)______________________________________________/
//! ```
//!
//! Invariants: nothing is read while output is over the high-water mark; at most one write per turn; once
//! it finishes, the session is gone and input is only drained, so that closing is not a reset that would
//! take the last reply away from the peer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use crate::buf::{InBuf, OutBuf};
use crate::poll::Interest;
use crate::{CloseReason, Limits, Seq};

/// What a connection needs of its transport. Never blocks.
pub(crate) trait Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Tells the peer that nothing more comes.
    fn shutdown_write(&mut self) -> io::Result<()>;
}

impl Stream for Arc<TcpStream> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&**self).read(into)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&**self).write(bytes)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// What the session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// For input.
    Input,
    /// For its next turn: there is more to do, without new input.
    Turn,
    /// For [`crate::Connections::resume`].
    Resume,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Sends what was written, then lingers.
    Finishing,
    /// Everything was sent and the peer knows; drains input until it closes too.
    Lingering {
        drained_bytes: usize,
    },
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

/// Input a blocked connection may gather before it is no longer read, in bytes: enough to see that its
/// peer has closed behind a pipelined request or two, little enough for ten thousand of them.
const BLOCKED_INPUT_BYTES: usize = 64 << 10;

/// One connection with its session and its buffers.
#[derive(Debug)]
pub(crate) struct Conn<X, T> {
    pub(crate) stream: T,
    /// Taken when serving ends.
    pub(crate) session: Option<X>,
    pub(crate) input: InBuf,
    pub(crate) output: OutBuf,
    /// Serving: the last input. Finishing: the last byte sent. Lingering: since when.
    pub(crate) stamp: Instant,
    pub(crate) generation: u32,
    pub(crate) phase: Phase,
    pub(crate) waits: Waits,
    /// Serving ends in this turn, for this reason.
    pub(crate) doomed: Option<CloseReason>,
    /// The peer has closed its side.
    pub(crate) ended: bool,
    /// The last write took less than was offered: wait until the socket can be written.
    pub(crate) blocked_write: bool,
    /// Over the high-water mark: neither read nor executed until half of it has drained.
    pub(crate) paused: bool,
    /// What the poller was told.
    pub(crate) interest: Interest,
    /// On the list of connections to settle at the end of this turn.
    pub(crate) touched: bool,
    /// On the list of connections to execute in the next turn.
    pub(crate) queued: bool,
    /// On the list of connections whose output waits for a commit.
    pub(crate) held: bool,
}

impl<X, T: Stream> Conn<X, T> {
    pub(crate) fn new(stream: T, generation: u32, now: Instant) -> Self {
        Self {
            stream,
            session: None,
            input: InBuf::default(),
            output: OutBuf::default(),
            stamp: now,
            generation,
            phase: Phase::Serving,
            waits: Waits::Input,
            doomed: None,
            ended: false,
            blocked_write: false,
            paused: false,
            interest: Interest::READ,
            touched: false,
            queued: false,
            held: false,
        }
    }

    /// Reads once.
    pub(crate) fn read(&mut self, into: &mut [u8], now: Instant) -> ReadEnd {
        loop {
            match self.stream.read(into) {
                Ok(0) => {
                    self.ended = true;
                    return ReadEnd::Closed;
                }
                Ok(n) => {
                    if self.phase == Phase::Serving {
                        self.stamp = now;
                    }
                    return ReadEnd::Bytes(n);
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => return ReadEnd::Nothing,
                    _ => return ReadEnd::Broken,
                },
            }
        }
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
                    if self.phase == Phase::Finishing && n > 0 {
                        self.stamp = now;
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

    /// Whether the socket may be read now.
    pub(crate) fn may_read(&self) -> bool {
        if self.ended {
            return false;
        }
        match (self.phase, self.waits) {
            (Phase::Serving, Waits::Input | Waits::Turn) => !self.paused,
            (Phase::Serving, Waits::Resume) => !self.paused && self.input.len() < BLOCKED_INPUT_BYTES,
            (Phase::Finishing, _) => false,
            (Phase::Lingering { .. }, _) => true,
        }
    }

    /// Updates the back-pressure from the length of the output.
    pub(crate) fn update_pause(&mut self, limits: &Limits) {
        let high = limits.output_high_water_bytes.max(1);
        self.paused = self.output.len() >= if self.paused { high / 2 + 1 } else { high };
    }

    /// What the poller should tell.
    pub(crate) fn wanted_interest(&self) -> Interest {
        Interest { readable: self.may_read(), writable: self.blocked_write }
    }

    /// Whether it is served and stays so.
    pub(crate) fn is_serving(&self) -> bool {
        self.phase == Phase::Serving && self.doomed.is_none()
    }

    /// Ends serving: what was written is sent, input is ignored from now on.
    pub(crate) fn finish(&mut self, now: Instant) -> Option<X> {
        self.phase = Phase::Finishing;
        self.stamp = now;
        self.paused = false;
        self.input.clear();
        self.session.take()
    }
}
