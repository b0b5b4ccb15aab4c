//! What workers and the acceptor count, as a snapshot for whoever asks.

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
    /// Looks at the sockets before a sleep, with others let go first.
    pub looks: u64,
    /// Of those, the ones that found something: no sleep came of them.
    pub looks_found: u64,
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
