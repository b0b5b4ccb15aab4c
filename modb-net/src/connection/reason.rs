//! Why connections end: for the service that is told, and for the counts.

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
    /// The system refused what serving it takes: its poller did, or there was no memory for what came.
    System,
    /// The service took the socket out of the layer ([`crate::Flow::HandOut`]).
    HandedOut,
    /// The server shuts down.
    Shutdown,
}

impl CloseReason {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 13] = [
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
        Self::System,
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
            Self::System => "system-refused",
            Self::HandedOut => "handed-out",
            Self::Shutdown => "shutdown",
        }
    }
}
