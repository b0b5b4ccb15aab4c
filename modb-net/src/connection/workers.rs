//! All workers of a server, as one of them or any other thread sees them: messages, counts, limits. Names only: the
//! hub keeps what they say. The numbers stand in [`WorkerStats`] and [`AcceptorStats`], the reasons in [`CloseReason`].

use std::time::Duration;

use crate::connection::seat::Address;
use crate::system::peer::Peer;

/// What one worker has counted since it started. Each is a total, except `connections`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// Connections served now, those that are closing included.
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
    /// Connections accepted, refused ones not included.
    pub accepted: u64,
    /// Times it paused, since no worker had room.
    pub pauses: u64,
    /// Times it stopped for a moment, since the system refused (descriptors or memory had run out).
    pub system_refusals: u64,
    /// Connections that came when every seat was taken, and were told so.
    pub refused: u64,
    /// Connections that had a seat and were closed without being served, since the server was ending.
    pub unserved: u64,
}

/// Why a connection ended. The end of a connection is not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed its side, and everything it had asked was answered.
    PeerClosed,
    /// The peer reset the connection, or sending failed.
    PeerReset,
    /// The service asked for it ([`crate::Flow::Close`] or [`crate::Connections::close`]).
    Requested,
    /// The service refused it when it came ([`crate::Opening::Refused`]).
    Refused,
    /// No byte came or went for the idle timeout.
    Idle,
    /// More unconsumed input than the limit.
    InputLimit,
    /// More unsent output than the limit.
    OutputLimit,
    /// Others waited for the memory it held, and it made no progress.
    MemoryStall,
    /// Its replies depend on a commit that failed.
    CommitFailed,
    /// It was to be opened from here, and the other side could not be reached in time.
    ConnectFailed,
    /// The service took the socket out of the layer ([`crate::Flow::HandOut`]).
    HandedOut,
    /// The server shuts down.
    Shutdown,
}

impl CloseReason {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 12] = [
        Self::PeerClosed,
        Self::PeerReset,
        Self::Requested,
        Self::Refused,
        Self::Idle,
        Self::InputLimit,
        Self::OutputLimit,
        Self::MemoryStall,
        Self::CommitFailed,
        Self::ConnectFailed,
        Self::HandedOut,
        Self::Shutdown,
    ];

    /// Its name in logs and counts, such as `memory-stall`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PeerClosed => "peer-closed",
            Self::PeerReset => "peer-reset",
            Self::Requested => "requested",
            Self::Refused => "refused",
            Self::Idle => "idle",
            Self::InputLimit => "input-limit",
            Self::OutputLimit => "output-limit",
            Self::MemoryStall => "memory-stall",
            Self::CommitFailed => "commit-failed",
            Self::ConnectFailed => "connect-failed",
            Self::HandedOut => "handed-out",
            Self::Shutdown => "shutdown",
        }
    }
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

/// All workers of the server, as one of them sees them.
pub trait Workers<M>: Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// Puts `message` into the mailbox of `worker` (its own included) and wakes it. A worker that does not exist has no
    /// mailbox: the message comes back.
    ///
    /// # Errors
    /// Gives the message back if the mailbox is full or the worker has ended.
    fn post(&self, worker: usize, message: M) -> Result<(), Undelivered<M>>;
    /// Sends `message` to a connection, wherever it is or moves: [`crate::Service::on_message`] of its worker is told
    /// which. If it cannot be delivered after all, [`crate::Service::on_undelivered`] of worker `from` gets it back
    /// (without `from`: of the worker that could not).
    ///
    /// # Errors
    /// Gives the message back if the connection has ended or the mailbox of its worker is full.
    fn post_to(&self, to: &Address, message: M, from: Option<usize>) -> Result<(), Undelivered<M>>;
    /// Lets a connection that is blocked or parked go on, wherever it is. Never refused and never lost: if the
    /// connection is just about to wait, it does not; if it does not wait at all, nothing happens.
    fn resume(&self, connection: &Address);
    /// Brings in a connected socket from elsewhere as a connection of one of the workers, which one the handoff decides;
    /// [`crate::Service::open_with`] is called there, with `purpose`.
    ///
    /// # Errors
    /// [`JoinError`]; the socket is closed, and `purpose` is gone.
    fn adopt(&self, socket: socket2::Socket, peer: Peer, purpose: M) -> Result<(), JoinError>;
    /// Opens a connection to `remote`, within `timeout`, without waiting for it. Once it stands
    /// [`crate::Service::open_with`] is called, with `purpose` (say, the [`Address`] of the client that it is for); once it
    /// is clear that it will not, [`crate::Service::on_connect_failed`], with `purpose`, too: exactly one of the two, on
    /// the worker that the handoff decides.
    ///
    /// # Errors
    /// [`JoinError`], when it is clear at once; `purpose` is gone.
    fn connect(&self, remote: std::net::SocketAddr, timeout: Duration, purpose: M) -> Result<(), JoinError>;
    /// Connections of the whole server: seats taken.
    fn connections(&self) -> usize;
    /// Connections of `worker`, those in its mailbox included.
    fn load(&self, worker: usize) -> usize;
    /// Changes how many connections there may be. Who is connected stays.
    fn set_max_connections(&self, max: usize);
    /// How many connections there may be.
    fn max_connections(&self) -> usize;
    /// Changes how much memory connections may hold together, in bytes; `usize::MAX`: no bound.
    fn set_max_memory_bytes(&self, max: usize);
    /// What connections hold together now, in bytes.
    fn memory_bytes(&self) -> usize;
    /// From now on connections on which nothing comes or goes for `timeout` are closed; `None`: never.
    fn set_idle_timeout(&self, timeout: Option<Duration>);
    /// From now on new connections are kept alive so; `None`: not at all.
    fn set_keep_alive(&self, after: Option<Duration>);
    /// With `on`, `worker` gets no more connections and moves those it has to the others, as soon as each
    /// may move ([`crate::Service::may_move`]) and another takes part; without, it takes part again. A worker that does
    /// not exist has nothing to drain.
    fn drain(&self, worker: usize, on: bool);
    /// Asks `worker` to move up to `at_most` of its connections to those with the fewest. `false`: there is no such
    /// worker, its mailbox is full, or it has ended.
    fn move_away(&self, worker: usize, at_most: usize) -> bool;
    /// What the acceptor has counted.
    fn acceptor_stats(&self) -> AcceptorStats;
    /// What `worker` has counted; nothing, if there is no such worker.
    fn stats(&self, worker: usize) -> WorkerStats;
    /// Connections that have ended for this reason.
    fn closed(&self, reason: CloseReason) -> u64;
    /// Begins the graceful shutdown of the whole server.
    fn shutdown(&self);
}
