//! What a service sees of one connection during a call: bytes in ([`In`]), bytes out ([`Out`]), and its name
//! ([`Handle`]). Never a socket.
//!
//! Invariants: the turn's budget and the output's mark hold whatever the service does, since [`In::bytes`] shows nothing
//! more once one of them is reached; a byte written after [`Out::hold_until`] leaves only once that commit is released.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use crate::base::alarms::Alarms;
use crate::base::buf::{OutBuf, Tail};
use crate::base::limits::Limits;
use crate::base::seq::Seq;
use crate::base::token::Token;
use crate::connection::budget::Account;
use crate::connection::seat::{Address, Seat};

/// Names the connection that a call of the service is about.
#[derive(Clone, Copy)]
pub struct Handle<'a> {
    token: Token,
    seat: &'a Seat,
    alarms: &'a RefCell<Alarms>,
}

impl<'a> Handle<'a> {
    pub(crate) fn new(token: Token, seat: &'a Seat, alarms: &'a RefCell<Alarms>) -> Self {
        Self { token, seat, alarms }
    }

    /// Its name in this worker, until it ends or moves.
    pub fn token(&self) -> Token {
        self.token
    }

    /// Its name for other threads, for as long as it lives.
    pub fn address(&self) -> Address {
        self.seat.address()
    }

    /// Asks for [`crate::Service::on_alarm`] at `at`, once. A connection has one alarm: this is in place of what was asked for
    /// before, so who needs several sets the earliest and keeps the rest. It goes with the connection when that moves.
    pub fn set_alarm(&self, at: Instant) {
        self.alarms.borrow_mut().set(self.token, at);
    }

    /// Forgets what [`Handle::set_alarm`] asked for.
    pub fn clear_alarm(&self) {
        self.alarms.borrow_mut().clear(self.token);
    }
}

impl std::fmt::Debug for Handle<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.token).finish()
    }
}

/// The unread input of one connection, for one call of [`crate::Service::on_input`].
#[derive(Debug)]
pub struct In<'a> {
    bytes: &'a [u8],
    consumed: usize,
    wanted: usize,
    requests_left: &'a mut u32,
    /// The output has reached its mark.
    full: &'a Cell<bool>,
    /// What was granted to the request that is executed now.
    granted: &'a Cell<usize>,
    /// Nothing more is shown in this call.
    stopped: bool,
}

impl<'a> In<'a> {
    pub(crate) fn new(
        bytes: &'a [u8],
        requests_left: &'a mut u32,
        full: &'a Cell<bool>,
        granted: &'a Cell<usize>,
    ) -> Self {
        let stopped = *requests_left == 0 || full.get();
        Self { bytes, consumed: 0, wanted: 0, requests_left, full, granted, stopped }
    }

    /// What is not yet consumed. Nothing, though more may be there, if the turn's requests are spent or the output is
    /// full (that changes only with [`In::consume`]): answer [`crate::Flow::NeedInput`] as ever, and the layer calls again
    /// when there is room.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        if self.stopped { &[] } else { &self.bytes[self.consumed..] }
    }

    /// Marks the first `n` of [`In::bytes`] as done. Each call counts as one request of the turn's budget.
    ///
    /// # Panics
    /// If there are fewer than `n` bytes.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.bytes.len() - self.consumed, "consumed more than was there");
        self.consumed += n;
        self.granted.set(0);
        *self.requests_left = self.requests_left.saturating_sub(1);
        self.stopped = *self.requests_left == 0 || self.full.get();
    }

    /// How many bytes have been consumed in this call.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// Says that nothing can be done before [`In::bytes`] is `total` bytes long. A hint for the size of
    /// the read buffer, never a reason to allocate it ahead of the bytes.
    pub fn want(&mut self, total: usize) {
        self.wanted = total;
    }

    /// The hint given by [`In::want`], 0 if none.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted
    }
}

/// The unsent output of one connection.
#[derive(Debug)]
pub struct Out<'a> {
    buf: &'a mut OutBuf,
    account: &'a mut Account,
    at: &'a Desk,
}

/// What is the same for all outputs of a worker in a turn.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) worker: usize,
    pub(crate) now: Instant,
    /// The mark at which an output is full.
    pub(crate) high_water_bytes: usize,
    /// Whether the output that is written to is full.
    pub(crate) full: Cell<bool>,
    /// What was granted to the request that is executed now: since the last one was consumed.
    pub(crate) granted: Cell<usize>,
}

impl<'a> Out<'a> {
    pub(crate) fn new(buf: &'a mut OutBuf, account: &'a mut Account, at: &'a Desk) -> Self {
        at.full.set(buf.len() >= at.high_water_bytes);
        at.granted.set(0);
        Self { buf, account, at }
    }

    /// Where to append.
    #[inline]
    pub fn tail(&mut self) -> Tail<'_> {
        self.note_full();
        self.buf.tail()
    }

    /// Whatever is appended after this call leaves only once `seq` is released.
    pub fn hold_until(&mut self, seq: Seq) {
        self.buf.hold_until(seq);
    }

    /// Asks for room for a reply of `bytes`, before it is made and before anything is done that cannot be undone. What
    /// is small ([`Limits::SMALL_REPLY_BYTES`]) always has room. `false`: answer [`crate::Flow::AwaitRoom`] with the
    /// request unconsumed; the layer calls again when there may be room for all that it has asked for.
    pub fn reserve(&mut self, bytes: usize) -> bool {
        bytes <= Limits::SMALL_REPLY_BYTES || self.reserve_to_keep(bytes)
    }

    /// As [`Out::reserve`], for what the session is about to keep: so many bytes more, however few they are. It says that it has them
    /// ([`crate::Service::session_bytes`]) once it has.
    pub fn reserve_to_keep(&mut self, bytes: usize) -> bool {
        let granted = self.granted();
        let may = self.account.reserve(bytes, granted, self.at.worker, self.at.now);
        if may {
            self.at.granted.set(granted.saturating_add(bytes));
        }
        may
    }

    /// How many bytes were granted since a request was consumed ([`In::consume`]): to the one that is executed now. They are counted until
    /// the call ends; from then on counts what the session says that it holds.
    pub fn granted(&self) -> usize {
        self.at.granted.get()
    }

    /// What [`In`] is told about the output.
    pub(crate) fn full(&self) -> &'a Cell<bool> {
        &self.at.full
    }

    /// What [`In`] tells of the end of a request.
    pub(crate) fn granted_cell(&self) -> &'a Cell<usize> {
        &self.at.granted
    }

    /// Bytes not yet sent.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Whether everything was sent.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Whether the high-water mark is reached: [`In::bytes`] shows nothing more until the output has drained. Whoever is
    /// told so is told by [`crate::Service::on_drained`], too, when half of it has left.
    #[inline]
    pub fn is_full(&mut self) -> bool {
        let full = self.note_full();
        if full {
            self.buf.say_full();
        }
        full
    }

    /// As [`Out::is_full`], for the layer's own use: the session was told nothing.
    pub(crate) fn note_full(&self) -> bool {
        let full = self.buf.len() >= self.at.high_water_bytes;
        self.at.full.set(full);
        full
    }
}
