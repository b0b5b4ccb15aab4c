//! All workers of a server, as one of them or any other thread sees them, by role: [`Messages`], [`Joining`], [`Control`]
//! and [`Counts`]; [`Workers`] is all four. Names only: the hub keeps what they say.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::Socket;

use crate::connection::counts::{AcceptorStats, WorkerStats};
use crate::connection::lane::{Room, Tell};
use crate::connection::reason::CloseReason;
use crate::connection::seat::Address;
use crate::system::peer::Peer;

/// All workers of the server, as one of them sees them ([`crate::Turn::workers`]) or any other thread
/// ([`crate::Server::workers`]). What they can do stands in its four roles; whoever needs one of them asks for that one.
pub trait Workers<M>: Messages<M> + Joining<M> + Control + Counts {}

impl<M, T: Messages<M> + Joining<M> + Control + Counts> Workers<M> for T {}

/// Messages to workers and to connections.
pub trait Messages<M>: Send + Sync {
    /// Puts `message` into the mailbox of `worker` (its own included) and wakes it. A worker that does not exist has no
    /// mailbox: the message comes back. One that panics before it has read its mail leaves that to
    /// [`crate::Service::on_undelivered`] of another.
    ///
    /// # Errors
    /// Gives the message back if the mailbox is full ([`crate::Limits::mailbox_capacity`]) or the worker has ended.
    fn post(&self, worker: usize, message: M) -> Result<(), Undelivered<M>>;
    /// Sends `message` to a connection, wherever it is or moves: [`crate::Service::on_message`] of its worker is told
    /// which. If it cannot be delivered after all, [`crate::Service::on_undelivered`] of worker `from` gets it back
    /// (without `from`: of the worker that could not).
    ///
    /// # Errors
    /// Gives the message back if the connection has ended or the mailbox of its worker is full.
    fn post_to(&self, to: &Address, message: M, from: Option<usize>) -> Result<(), Undelivered<M>>;
    /// Room for a message that holds so many `bytes`, in the lane of `worker`: for whoever must not be refused, and waits
    /// instead. If it [is not there](Room::is_there) it will be, in the order of asking: `tell` is asked at once for what to
    /// call then, once, from any thread (say, one that calls [`Messages::resume`]). Ask before what the message tells of is done,
    /// for all messages that tell of it in the same order as others do (under a lock of yours, say).
    ///
    /// A lane holds [`crate::Limits::mail_bytes`]; what is larger goes alone. What lies in it counts in the budget of memory.
    fn reserve(&self, worker: usize, bytes: usize, tell: &dyn Fn() -> Tell) -> Room;
    /// As [`Messages::post`], into `room`, and never refused for lack of it: where it is not there yet, the lane holds more
    /// than it should. All that is sent so to one worker arrives in the order of sending.
    ///
    /// # Errors
    /// Gives the message back if the worker has ended.
    fn post_in(&self, room: Room, message: M) -> Result<(), Undelivered<M>>;
    /// Lets a connection that is blocked or parked go on, wherever it is. Never refused and never lost: if the
    /// connection is just about to wait (within the call that answers so), it does not; if it does not wait at all, nothing
    /// happens (one that waits for input is reached by [`Messages::post_to`]). Several that come before the connection goes on are one. One that comes late can end a later wait: see
    /// [`crate::Flow::Blocked`].
    fn resume(&self, connection: &Address);
}

/// Connections that did not come through a listener.
pub trait Joining<M>: Send + Sync {
    /// Brings in a connected socket from elsewhere as a connection of one of the workers, which one the handoff decides;
    /// [`crate::Service::open_with`] is called there, with `purpose` (or, if the server ends first,
    /// [`crate::Service::on_undelivered`]). Over TCP it is kept alive, and sent without delay, as all others are.
    ///
    /// # Errors
    /// [`JoinError`]; the socket is closed, and `purpose` is gone.
    fn adopt(&self, socket: Socket, peer: Peer, purpose: M) -> Result<(), JoinError>;
    /// Opens a connection to `remote`, within `timeout`, without waiting for it. Once it stands
    /// [`crate::Service::open_with`] is called, with `purpose` (say, the [`Address`] of the client that it is for); once it
    /// is clear that it will not, [`crate::Service::on_connect_failed`], with `purpose`, too: exactly one of the two, on
    /// the worker that the handoff decides, which need not be this one: what the two connections of a pair have to say to each
    /// other goes by [`Messages::post_to`] (`examples/proxy.rs`).
    ///
    /// # Errors
    /// [`JoinError`], when it is clear at once; `purpose` is gone.
    fn connect(&self, remote: SocketAddr, timeout: Duration, purpose: M) -> Result<(), JoinError>;
}

/// What can be changed while a server runs.
pub trait Control: Send + Sync {
    /// Changes how many connections there may be. Who is connected stays.
    fn set_max_connections(&self, max: usize);
    /// Changes how much memory connections may hold together, in bytes; `usize::MAX`: no bound.
    fn set_max_memory_bytes(&self, max: usize);
    /// From now on connections on which nothing comes or goes for `timeout`, however short, are closed; `None`: never.
    fn set_idle_timeout(&self, timeout: Option<Duration>);
    /// Connections that are accepted, adopted or opened after this call are kept alive so, those that wait already to be
    /// accepted included; `None`: not at all.
    fn set_keep_alive(&self, after: Option<Duration>);
    /// With `on`, `worker` gets no more connections and moves those it has to the others, as soon as each
    /// may move ([`crate::Service::may_move`]) and another takes part; without, it takes part again. A worker that does
    /// not exist has nothing to drain.
    fn drain(&self, worker: usize, on: bool);
    /// Asks `worker` to move up to `at_most` of its connections to those with the fewest. `false`: there is no such
    /// worker, its mailbox is full, or it has ended.
    fn move_away(&self, worker: usize, at_most: usize) -> bool;
    /// Begins the graceful shutdown of the whole server.
    fn shutdown(&self);
}

/// What a server has and has counted. Each is read by itself: two that are asked one after the other may not fit together.
pub trait Counts: Send + Sync {
    /// How many workers there are.
    fn count(&self) -> usize;
    /// Whether the shutdown of the whole server has begun.
    fn is_ending(&self) -> bool;
    /// Connections of the whole server: seats taken.
    fn connections(&self) -> usize;
    /// How many connections there may be.
    fn max_connections(&self) -> usize;
    /// Connections of `worker`, those in its mailbox included.
    fn load(&self, worker: usize) -> usize;
    /// What connections hold together now, in bytes.
    fn memory_bytes(&self) -> usize;
    /// What the acceptor has counted.
    fn acceptor_stats(&self) -> AcceptorStats;
    /// What `worker` has counted; nothing, if there is no such worker.
    fn stats(&self, worker: usize) -> WorkerStats;
    /// Connections that have ended for this reason.
    fn closed(&self, reason: CloseReason) -> u64;
}

/// A message came back: the worker has ended, its mailbox is full, or the connection is gone.
#[derive(Debug)]
pub struct Undelivered<M>(pub M);

/// Why a connection could not be brought into the server; what it was made of is closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Every seat is taken.
    #[error("the server has as many connections as it may have")]
    NoSeat,
    /// No worker has room in its mailbox, or the server has ended.
    #[error("no worker takes it")]
    NoWorker,
    /// The system refused.
    #[error("the system refused the socket")]
    System(#[from] std::io::Error),
}
