//! The seam upward: what a worker serves.
//!
//! It sees bytes in ([`In`]), bytes out ([`Out`]) and time as an argument ([`Turn`]); never a socket, the poller or a clock.
//!
//! Invariant: a byte written after [`Out::hold_until`]`(seq)` leaves only once `end_turn` has
//! released `seq`, and bytes of one connection leave in the order in which they were written.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::base::seq::Seq;
use crate::base::token::Token;
use crate::connection::io::{Handle, In, Out};
use crate::connection::reason::CloseReason;
use crate::connection::workers::Workers;
use crate::system::peer::Peer;

/// What a session wants after it was given input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Everything complete was consumed. Call again when more bytes have come.
    NeedInput,
    /// It has worked for as long as a turn may take, or its output is full: it goes on in the next turn, behind those who took
    /// little, or once the output has drained; there may be no new input.
    Yield,
    /// It waits for something that may never come (a message, a timer). Not called until it is resumed
    /// ([`Connections::resume`], [`crate::Messages::resume`]). If the peer closes its side meanwhile, or the server shuts down, the
    /// connection ends: nobody may be there for the answer.
    ///
    /// A resume does not say which wait it was meant for, and one that another thread sent may come when that wait is over
    /// and the next has begun. So whoever is called looks whether what it waits for has come, and answers the same again if not.
    Blocked,
    /// Its request waits for its turn at something that others hold, and will be executed. Not called until it is
    /// resumed (perhaps in vain, as [`Flow::Blocked`] says), and then called whatever its output: what was kept for it, others
    /// wait for. It is answered although the peer has closed its side, and during a shutdown; only a reset ends it.
    Parked,
    /// [`Out::reserve`] said no: call again, with the same input, when there may be room.
    AwaitRoom,
    /// Send what was written, then close. Further input is drained and ignored.
    Close,
    /// Send what was written, then take the socket out of the layer: [`Service::on_handed_out`].
    HandOut,
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

/// The answer of [`Service::open`].
#[derive(Debug)]
pub enum Opening<S> {
    /// Serve it.
    Serve(S),
    /// Send what was written to the output, then close.
    Refused,
}

/// A connection that has left the layer: [`Service::on_handed_out`].
#[derive(Debug)]
pub struct HandedOut<S> {
    /// Its session.
    pub session: S,
    /// The socket: connected, non-blocking, everything that was written to the output sent.
    pub socket: socket2::Socket,
    /// Input that came and was not consumed.
    pub unread: Vec<u8>,
}

/// How much unsent output a connection may have: the answer of [`Service::output_limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// With more it is closed, in bytes.
    pub hard_bytes: usize,
    /// With more for longer than `soft_timeout` it is closed, in bytes.
    pub soft_bytes: usize,
    /// How long it may have more than `soft_bytes`.
    pub soft_timeout: Duration,
}

/// What one connection holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Input that was not consumed yet.
    pub unread: usize,
    /// The memory in which that stands.
    pub input: usize,
    /// Output that was not sent yet.
    pub unsent: usize,
    /// The memory in which that stands.
    pub output: usize,
    /// What the session holds beside these ([`Service::session_bytes`]).
    pub session: usize,
}

impl Holdings {
    /// All of it: what is counted for the connection.
    pub fn sum(&self) -> usize {
        self.input + self.output + self.session
    }
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self::NONE
    }
}

impl OutputLimits {
    /// No limits but [`crate::Limits::max_output_bytes`].
    pub const NONE: Self =
        Self { hard_bytes: usize::MAX, soft_bytes: usize::MAX, soft_timeout: Duration::MAX };
}

/// The connections of this worker, for what concerns others than the one that has input.
pub trait Connections<S> {
    /// The session and the output of a connection, if it is still there and not closing.
    fn get(&mut self, token: Token) -> Option<(&mut S, Out<'_>)>;
    /// Calls `f` for each connection that is not closing.
    fn for_each(&mut self, f: &mut dyn FnMut(Token, &mut S, Out<'_>));
    /// Lets a [`Flow::Blocked`] or [`Flow::Parked`] connection go on: `on_input` is called in this turn or the next.
    fn resume(&mut self, token: Token);
    /// Asks for [`Service::on_alarm`] at `at`, as [`Handle::set_alarm`] does.
    fn set_alarm(&mut self, token: Token, at: Instant);
    /// Sends what was written, then closes. `false` if there is no such connection.
    fn close(&mut self, token: Token) -> bool;
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

/// What a worker serves: one value per worker thread, made there by the factory given to the runtime and called only there.
/// What workers share is what the factory gives to each of them (an `Arc`).
///
/// The moments of a connection, in order: [`open`](Self::open); [`on_input`](Self::on_input) as input comes;
/// [`on_end`](Self::on_end) once it ends; [`last_word`](Self::last_word) and [`on_close`](Self::on_close). Between them, if
/// they were asked for: [`on_message`](Self::on_message), [`on_alarm`](Self::on_alarm), [`on_moving_away`](Self::on_moving_away)
/// and [`on_moved_here`](Self::on_moved_here). A hook that is not written costs nothing.
///
/// One turn: messages -> input of all ready connections -> timers -> [`end_turn`](Self::end_turn) -> one write per connection. Before
/// a wait in which nothing else is to be done: [`on_idle`](Self::on_idle).
///
/// # What a service must still do
///
/// The layer keeps by itself: how many connections there are, how much memory they hold, requests and bytes per turn,
/// back-pressure, idle, closing and stalled connections, the order of output, who is told what happened
/// ([`crate::Limits`]). A service must
///
/// 1. **never block**: its thread serves other connections. What takes long goes to a thread of its own, the connection
///    waits ([`Flow::Parked`], [`Flow::Blocked`]), and that thread resumes it ([`crate::Messages::resume`]).
/// 2. **take all that is whole** before it answers [`Flow::NeedInput`], which means "call me when more has come". That
///    [`In::bytes`] is empty may also mean that this turn has seen enough; the answer is the same, and the layer calls again.
/// 3. **end what can never become a request**: a line without an end is kept, and shown again with each byte, until it fills
///    [`crate::Limits::max_input_bytes`]. Close it ([`Flow::Close`]), or consume what is skipped. Say what is missing
///    ([`In::want`]) where a length is known.
/// 4. **ask before it makes a large reply** ([`Out::reserve`], over 64 KiB), and before anything is done that cannot be undone.
///    Many small ones need no asking: once the output is full nothing more is shown. Whoever writes to other connections
///    asks theirs ([`Out::is_full`]) and is told when they have drained ([`on_drained`](Self::on_drained)).
/// 5. **say what a session holds** beside its input and output, in [`session_bytes`](Self::session_bytes), if that can be more
///    than some hundred bytes; ask before it keeps more than is small ([`Out::reserve_to_keep`]), and say what of it stays
///    ([`kept_bytes`](Self::kept_bytes)); and bound what belongs to no session. A large session is better boxed, since every connection has a place of its size.
/// 6. **expect that a message is refused**: mailboxes are bounded. It comes back ([`crate::Undelivered`]) to be dropped or kept
///    for [`on_timer`](Self::on_timer); or room for it is asked for first ([`crate::Messages::reserve`]), and whoever sends it waits. A resume is never refused, but wakes only who waits for one; a connection
///    that waits for input is reached by a message.
/// 7. **know connections by [`crate::Address`] across turns**, not by [`Token`], if they may move
///    ([`may_move`](Self::may_move)): a token ends with the move, an address does not.
/// 8. **time what the protocol times**: a login, a reply that is awaited. There is one alarm per connection, and setting it
///    replaces the last; who needs several keeps them in the session and sets the earliest.
///
/// `examples/` does all of these: `echo` 1 and 2, `chat` 3 and 4, `memcached` 3, 4 and 5, `proxy` 6 and 8.
pub trait Service: Sized + 'static {
    /// The state of one connection. `Send`, since a live connection can move to another worker.
    type Session: Send + 'static;
    /// What other threads post to this worker.
    type Message: Send + 'static;

    /// A connection has come, and has its seat.
    fn open(
        &mut self,
        conn: Handle<'_>,
        peer: &Peer,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Opening<Self::Session>;

    /// A connection that [`crate::Joining::adopt`] or [`crate::Joining::connect`] brought in stands, and has its seat; `purpose` is what was
    /// given there. Without it: as any other.
    fn open_with(
        &mut self,
        purpose: Self::Message,
        conn: Handle<'_>,
        peer: &Peer,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Opening<Self::Session> {
        let _ = purpose;
        self.open(conn, peer, out, turn)
    }

    /// A connection has input, or may go on after [`Flow::Yield`], [`Flow::AwaitRoom`] or a resume.
    fn on_input(
        &mut self,
        conn: Handle<'_>,
        session: &mut Self::Session,
        input: &mut In<'_>,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Flow;

    /// The peer has closed its side and [`Service::on_input`] has seen all that came; what it did not consume is in `input`,
    /// all of it, whatever the budgets of the turn. The end may itself be a request ("go"). What is written is sent, then
    /// the connection is closed: for [`CloseReason::PeerClosed`], or for [`CloseReason::Requested`] if the answer is
    /// [`Flow::Close`]; unless the answer is
    /// - [`Flow::Yield`], [`Flow::Parked`] or [`Flow::AwaitRoom`]: when it may go on, `on_input` is called with what is left,
    ///   and once that answers [`Flow::NeedInput`], `on_end` again;
    /// - [`Flow::HandOut`]: the socket leaves the layer.
    ///
    /// An end cannot be sent alone: the layer ends both directions of a connection together, after what was written.
    fn on_end(
        &mut self,
        conn: Handle<'_>,
        session: &mut Self::Session,
        input: &mut In<'_>,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Flow {
        let _ = (conn, session, input, out, turn);
        Flow::NeedInput
    }

    /// A message was posted to this worker, or to one of its connections.
    fn on_message(
        &mut self,
        message: Self::Message,
        to: Option<Token>,
        connections: &mut dyn Connections<Self::Session>,
        turn: &Turn<'_, Self>,
    ) {
        let _ = (message, to, connections, turn);
    }

    /// The messages of this turn for which there was room ([`crate::Messages::post_in`]), in the order of sending, for whoever writes
    /// several at once with less effort. Their room is given back when this returns; what is left in `mail` is dropped. Without it each
    /// is as any other message to this worker.
    fn on_mail(
        &mut self,
        mail: &mut dyn Iterator<Item = Self::Message>,
        connections: &mut dyn Connections<Self::Session>,
        turn: &Turn<'_, Self>,
    ) {
        for message in mail {
            self.on_message(message, None, connections, turn);
        }
    }

    /// A message that was taken in could not be delivered: its connection has ended, or moved to a worker without room, or its
    /// worker has ended by a panic; or it is the purpose of a connection that [`crate::Joining::adopt`] took in and no worker served
    /// before the server ended. Called on the worker that sent it where that is known and still there, else on any.
    fn on_undelivered(&mut self, message: Self::Message, turn: &Turn<'_, Self>) {
        let _ = (message, turn);
    }

    /// When [`Service::on_timer`] is wanted next. Asked at the end of each turn.
    fn next_timer(&self) -> Option<Instant> {
        None
    }

    /// The time given by [`Service::next_timer`] has come.
    fn on_timer(&mut self, connections: &mut dyn Connections<Self::Session>, turn: &Turn<'_, Self>) {
        let _ = (connections, turn);
    }

    /// The time given to [`Handle::set_alarm`] has come for this connection, which is served and not about to end: its session
    /// and its output are `connections.get(token)`, and so are those of others whom it concerns. It has no alarm now.
    fn on_alarm(
        &mut self,
        token: Token,
        connections: &mut dyn Connections<Self::Session>,
        turn: &Turn<'_, Self>,
    ) {
        let _ = (token, connections, turn);
    }

    /// The turn's requests are executed and nothing has been sent yet: make the turn's commits as safe as
    /// promised, or start to, and say up to which commit replies may leave now. Called again in every
    /// later turn; whoever completes a commit wakes the worker.
    fn end_turn(&mut self, turn: &Turn<'_, Self>) -> Release {
        let _ = turn;
        Release::Upto(Seq(u64::MAX))
    }

    /// Whether [`Service::on_idle`] has something to do. Asked at the end of each turn.
    fn has_idle_work(&self) -> bool {
        false
    }

    /// There was something to do once nothing else is, and nothing is: no connection can go on, and a look has found no event.
    /// Whatever comes meanwhile waits, so let it be short. A turn follows.
    fn on_idle(&mut self) {}

    /// What the session holds on the heap beside its input and output, in bytes. Asked after each turn in which it did something.
    fn session_bytes(&self, session: &Self::Session) -> usize {
        let _ = session;
        0
    }

    /// What of [`Service::session_bytes`] the session keeps by its own doing for longer than a request, in bytes. Who holds much, and most of it
    /// so, gives nothing of it back however much comes and goes: while others wait for memory that is no progress.
    fn kept_bytes(&self, session: &Self::Session) -> usize {
        let _ = session;
        0
    }

    /// What the connection holds may have changed. Told after each turn in which it did something, if it holds anything or has until then.
    fn on_held(&mut self, session: &Self::Session, held: Holdings) {
        let _ = (session, held);
    }

    /// Whether the connection may be moved to another worker now. Not asked while it is blocked or parked: then it
    /// stays. Its held output moves with it, so a [`Seq`] must mean the same in all workers.
    fn may_move(&self, session: &Self::Session) -> bool {
        let _ = session;
        true
    }

    /// Whether the idle timeout applies to the connection now (Redis exempts subscribers). Not asked while
    /// it is blocked or parked: then it does not.
    fn may_time_out(&self, session: &Self::Session) -> bool {
        let _ = session;
        true
    }

    /// How much unsent output the connection may have now, beside [`crate::Limits::max_output_bytes`]: for those to which others
    /// write, since back-pressure ends only what they ask for themselves. Asked while there is some that could not be sent.
    fn output_limits(&self, session: &Self::Session) -> OutputLimits {
        let _ = session;
        OutputLimits::NONE
    }

    /// Whether the connection may be closed for the memory it holds, while others wait for it.
    fn may_be_evicted(&self, session: &Self::Session) -> bool {
        let _ = session;
        true
    }

    /// Whether a connection that is [`Flow::Blocked`] is so for what it has asked to wait for. Then what it holds meanwhile is its own doing, as
    /// is what the session of one holds that waits for nothing, and it may be closed for that as one that makes no progress.
    fn waits_at_will(&self, session: &Self::Session) -> bool {
        let _ = session;
        false
    }

    /// The connection is about to move to another worker; here its token ends.
    fn on_moving_away(&mut self, conn: Handle<'_>, session: &mut Self::Session, turn: &Turn<'_, Self>) {
        let _ = (conn, session, turn);
    }

    /// A connection came from another worker (or came back, since none had room for it) with its session, unread input and unsent output.
    fn on_moved_here(&mut self, conn: Handle<'_>, session: &mut Self::Session, turn: &Turn<'_, Self>) {
        let _ = (conn, session, turn);
    }

    /// A connection that [`crate::Joining::connect`] was to open could not be: it was refused, it took too long (`TimedOut`), or
    /// the server shuts down (`ConnectionAborted`).
    fn on_connect_failed(
        &mut self,
        purpose: Self::Message,
        remote: SocketAddr,
        error: std::io::Error,
        turn: &Turn<'_, Self>,
    ) {
        let _ = (purpose, remote, error, turn);
    }

    /// [`Out::is_full`] said yes to this session, and half of the output has left since: whoever was kept waiting for that
    /// may go on. What is written here leaves in the next turn.
    fn on_drained(
        &mut self,
        conn: Handle<'_>,
        session: &mut Self::Session,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) {
        let _ = (conn, session, out, turn);
    }

    /// The connection is about to end for this reason, and what is written now is still sent: a last word (an error, "421", TLS's
    /// close_notify). Not called where
    /// nothing can be sent any more ([`CloseReason::PeerReset`], [`CloseReason::OutputLimit`], [`CloseReason::System`], a
    /// shutdown that took too long). For [`CloseReason::CommitFailed`] it stands where the first reply was that never leaves.
    fn last_word(
        &mut self,
        token: Token,
        session: &mut Self::Session,
        reason: CloseReason,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) {
        let _ = (token, session, reason, out, turn);
    }

    /// The connection has ended. Called exactly once per served connection, unless it was handed out.
    fn on_close(&mut self, token: Token, session: Self::Session, reason: CloseReason, turn: &Turn<'_, Self>) {
        let _ = (token, session, reason, turn);
    }

    /// The connection has left the layer, as it asked for with [`Flow::HandOut`]. In place of `on_close`, which comes instead
    /// if the connection ends before its output is sent (its peer resets it, or a commit that a reply waits for fails).
    fn on_handed_out(&mut self, token: Token, out: HandedOut<Self::Session>, turn: &Turn<'_, Self>) {
        let _ = (token, out, turn);
    }
}
