//! The seam upward: what a worker serves.
//!
//! A [`Service`] lives on one worker thread, is called only there, and never blocks. Its sessions are its
//! state per connection. It sees bytes in ([`In`]), bytes out ([`Out`]) and time as an argument
//! ([`Turn`]); it never sees a socket or the poller.
//!
//! One turn: input of all ready connections -> messages -> timer -> [`Service::end_turn`] -> flush.
//! Invariant: a byte written after [`Out::hold_until`]`(seq)` leaves only once `end_turn` has
//! released `seq`, and bytes of one connection leave in the order in which they were written.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::Token;
use crate::buf::OutBuf;

/// The number of a commit, as the service counts them. [`Seq::ZERO`] is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first commit: always released.
    pub const ZERO: Self = Self(0);
}

/// What a session wants after it was given input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Everything complete was consumed. Call again when more bytes have come.
    NeedInput,
    /// The turn's budget ([`In::spend`]) or the output's mark ([`Out::is_full`]) stopped it. Call again
    /// in the next turn, or once the output has drained; there may be no new input.
    Yield,
    /// It waits for something that is not input (a message, a timer). Not called until [`Connections::resume`].
    /// If the peer closes its side meanwhile, the connection ends: nobody may be there for the answer.
    Blocked,
    /// Send what was written, then close. Further input is drained and ignored.
    Close,
}

/// Up to which commit replies may leave: the answer of [`Service::end_turn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// All commits up to this one are as safe as the service promises.
    Upto(Seq),
    /// The commits after this one have an unknown outcome: output held for them never leaves, and the
    /// connections that hold such output are closed.
    Failed {
        /// The last commit that is safe.
        after: Seq,
    },
}

/// Why a connection ended. The end of a connection is not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed its side, and everything it had asked was answered.
    PeerClosed,
    /// The peer reset the connection, or sending failed.
    PeerReset,
    /// The service asked for it ([`Flow::Close`] or [`Connections::close`]).
    Requested,
    /// The service refused it when it came ([`Opening::Refused`]).
    Refused,
    /// No input for the idle timeout.
    Idle,
    /// More unconsumed input than the limit.
    InputLimit,
    /// More unsent output than the limit.
    OutputLimit,
    /// Its replies depend on a commit that failed.
    CommitFailed,
    /// The server shuts down.
    Shutdown,
}

/// Who connected.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The address of the client.
    pub remote: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
}

/// The answer of [`Service::open`].
#[derive(Debug)]
pub enum Opening<S> {
    /// Serve it.
    Serve(S),
    /// Send what was written to the output, then close.
    Refused,
}

/// The unread input of one connection, for one call of [`Service::on_input`].
#[derive(Debug)]
pub struct In<'a> {
    bytes: &'a [u8],
    consumed: usize,
    wanted: usize,
    budget: &'a mut u32,
}

impl<'a> In<'a> {
    /// Input `bytes`, of which at most `budget` requests may be executed.
    pub fn new(bytes: &'a [u8], budget: &'a mut u32) -> Self {
        Self { bytes, consumed: 0, wanted: 0, budget }
    }

    /// What is not yet consumed.
    pub fn bytes(&self) -> &'a [u8] {
        &self.bytes[self.consumed..]
    }

    /// Marks the first `n` of [`In::bytes`] as done.
    ///
    /// # Panics
    /// If there are fewer than `n` bytes.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.bytes.len() - self.consumed, "consumed more than was there");
        self.consumed += n;
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
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Takes one request from the turn's budget; `false`: none is left, answer [`Flow::Yield`].
    pub fn spend(&mut self) -> bool {
        let left = *self.budget > 0;
        *self.budget = self.budget.saturating_sub(1);
        left
    }
}

/// The unsent output of one connection.
#[derive(Debug)]
pub struct Out<'a> {
    buf: &'a mut OutBuf,
    high_water_bytes: usize,
}

impl<'a> Out<'a> {
    /// Writes into `buf`; full at `high_water_bytes`.
    pub fn new(buf: &'a mut OutBuf, high_water_bytes: usize) -> Self {
        Self { buf, high_water_bytes }
    }

    /// The buffer to append to. Only append: what is there already may be held or partly sent.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.buf.tail_mut()
    }

    /// Whatever is appended after this call leaves only once `seq` is released.
    pub fn hold_until(&mut self, seq: Seq) {
        self.buf.hold_until(seq);
    }

    /// Bytes not yet sent.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Whether everything was sent.
    pub fn is_empty(&self) -> bool {
        self.buf.len() == 0
    }

    /// Whether the high-water mark is reached: produce no more in this turn, answer [`Flow::Yield`].
    pub fn is_full(&self) -> bool {
        self.buf.len() >= self.high_water_bytes
    }
}

/// The connections of this worker, for what concerns others than the one that has input.
pub trait Connections<S> {
    /// The session and the output of a connection, if it is still there and not closing.
    fn get(&mut self, token: Token) -> Option<(&mut S, Out<'_>)>;
    /// Calls `f` for each connection that is not closing.
    fn for_each(&mut self, f: &mut dyn FnMut(Token, &mut S, Out<'_>));
    /// Lets a [`Flow::Blocked`] connection go on: `on_input` is called in this turn or the next.
    fn resume(&mut self, token: Token);
    /// Sends what was written, then closes. `false` if there is no such connection.
    fn close(&mut self, token: Token) -> bool;
}

/// What one worker has counted since it started. Each is a total, except `connections`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// Connections served now.
    pub connections: u64,
    /// Connections taken in all.
    pub accepted: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// Calls that read from a socket.
    pub reads: u64,
    /// Calls that wrote to a socket.
    pub writes: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// What the acceptor has counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptorStats {
    /// Turns of its loop.
    pub turns: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Times it paused, since no worker had room.
    pub pauses: u64,
    /// Times it stopped for a moment, since the system refused (descriptors or memory had run out).
    pub refusals: u64,
    /// Connections that were accepted and closed without being served, since the server was ending.
    pub unserved: u64,
}

/// A message came back: the worker has ended, or its mailbox is full.
#[derive(Debug)]
pub struct Undelivered<M>(pub M);

/// All workers of the server, as one of them sees them.
pub trait Workers<M>: Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// Puts `message` into the mailbox of `worker` (its own included) and wakes it.
    ///
    /// # Errors
    /// Gives the message back if the mailbox is full or the worker has ended.
    fn post(&self, worker: usize, message: M) -> Result<(), Undelivered<M>>;
    /// Connections of all workers together.
    fn connections(&self) -> usize;
    /// Changes how many connections the acceptor lets in before the service is asked to refuse them.
    fn set_max_connections(&self, max: usize);
    /// The bound that [`Workers::connections`] is held to.
    fn max_connections(&self) -> usize;
    /// From now on connections without input for `timeout` are closed; `None`: never.
    fn set_idle_timeout(&self, timeout: Option<Duration>);
    /// With `on`, `worker` gets no more connections and moves those it has to the others, as soon as each
    /// may move ([`Service::may_move`]); without, it takes part again.
    fn drain(&self, worker: usize, on: bool);
    /// Asks `worker` to move up to `at_most` of its connections to those with the fewest. `false`: its
    /// mailbox is full or it has ended.
    fn move_away(&self, worker: usize, at_most: usize) -> bool;
    /// What the acceptor has counted.
    fn acceptor_stats(&self) -> AcceptorStats;
    /// What `worker` has counted.
    fn stats(&self, worker: usize) -> WorkerStats;
    /// Begins the graceful shutdown of the whole server.
    fn shutdown(&self);
}

/// What is the same for a whole turn of a worker.
pub struct Turn<'a, S: Service> {
    /// The time of this turn, read once.
    pub now: Instant,
    /// Which worker this is, from 0.
    pub worker: usize,
    /// All workers, this one included.
    pub workers: &'a dyn Workers<S::Message>,
}

/// What a worker serves: one value per worker thread, made there by the factory given to the runtime.
pub trait Service: Sized + 'static {
    /// The state of one connection. `Send`, since a live connection can move to another worker.
    type Session: Send + 'static;
    /// What other threads post to this worker.
    type Message: Send + 'static;

    /// A connection has come. `turn.workers.connections()` counts this one already; over
    /// `max_connections()` the service writes its refusal and answers [`Opening::Refused`].
    fn open(
        &mut self,
        token: Token,
        peer: Peer,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Opening<Self::Session>;

    /// A connection has input, or may go on after [`Flow::Yield`].
    fn on_input(
        &mut self,
        session: &mut Self::Session,
        input: &mut In<'_>,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Flow;

    /// A message was posted to this worker.
    fn on_message(
        &mut self,
        message: Self::Message,
        connections: &mut dyn Connections<Self::Session>,
        turn: &Turn<'_, Self>,
    ) {
        let _ = (message, connections, turn);
    }

    /// When [`Service::on_timer`] is wanted next. Asked at the end of each turn.
    fn next_timer(&self) -> Option<Instant> {
        None
    }

    /// The time given by [`Service::next_timer`] has come.
    fn on_timer(&mut self, connections: &mut dyn Connections<Self::Session>, turn: &Turn<'_, Self>) {
        let _ = (connections, turn);
    }

    /// The turn's requests are executed and nothing has been sent yet: make the turn's commits as safe as
    /// promised, or start to, and say up to which commit replies may leave now. Called again in every
    /// later turn; whoever completes a commit wakes the worker.
    fn end_turn(&mut self, turn: &Turn<'_, Self>) -> Release {
        let _ = turn;
        Release::Upto(Seq(u64::MAX))
    }

    /// Whether the connection may be moved to another worker now. Not asked while it is blocked: then it
    /// stays. Its held output moves with it, so a [`Seq`] must mean the same in all workers.
    fn may_move(&self, session: &Self::Session) -> bool {
        let _ = session;
        true
    }

    /// Whether the idle timeout applies to the connection now (Redis exempts subscribers). Not asked while
    /// it is blocked: then it does not.
    fn may_time_out(&self, session: &Self::Session) -> bool {
        let _ = session;
        true
    }

    /// The connection is about to move to another worker; here its token ends.
    fn on_moving_away(&mut self, token: Token, session: &mut Self::Session, turn: &Turn<'_, Self>) {
        let _ = (token, session, turn);
    }

    /// A connection came from another worker (or came back, since none had room for it) with its session, unread input and unsent output.
    fn on_moved_here(&mut self, token: Token, session: &mut Self::Session, turn: &Turn<'_, Self>) {
        let _ = (token, session, turn);
    }

    /// The connection has ended. Called exactly once per served connection.
    fn on_close(&mut self, session: Self::Session, reason: CloseReason, turn: &Turn<'_, Self>) {
        let _ = (session, reason, turn);
    }
}
