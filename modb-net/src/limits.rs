//! Every bound of the networking layer, with its unit and its reason. Pure.

use std::time::Duration;

/// Bounds for one server. The defaults suit a small machine and any Redis client.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections in all workers together; one more is accepted, refused by the service with a reason, and closed.
    pub max_connections: usize,
    /// Unconsumed input a connection may hold, in bytes (Redis: `client-query-buffer-limit`, 1 GiB).
    pub max_input_bytes: usize,
    /// Unsent output at which a connection is no longer read or executed, in bytes. Back-pressure begins here.
    pub output_high_water_bytes: usize,
    /// Unsent output at which a connection is closed, in bytes: one reply may overshoot the high-water mark.
    pub max_output_bytes: usize,
    /// Requests one connection may execute in a turn before the others get theirs.
    pub requests_per_turn: u32,
    /// Bytes read from one connection in a turn.
    pub read_bytes_per_turn: usize,
    /// Connections accepted in a turn of the acceptor.
    pub accepts_per_turn: usize,
    /// Letters taken from a worker's mailbox in a turn.
    pub mail_per_turn: usize,
    /// Letters a mailbox holds; when every mailbox is full the acceptor pauses.
    pub mailbox_capacity: usize,
    /// A connection without input for this long is closed. `None`: never (Redis: `timeout 0`).
    pub idle_timeout: Option<Duration>,
    /// After the last reply: how long unread input is drained, so that the close is not a reset.
    pub linger_timeout: Duration,
    /// How many bytes are drained then, at most.
    pub linger_bytes: usize,
    /// A graceful shutdown closes what has not been flushed by then.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_input_bytes: 1 << 30,
            output_high_water_bytes: 1 << 20,
            max_output_bytes: 1 << 30,
            requests_per_turn: 1024,
            read_bytes_per_turn: 256 << 10,
            accepts_per_turn: 64,
            mail_per_turn: 1024,
            mailbox_capacity: 4096,
            idle_timeout: None,
            linger_timeout: Duration::from_secs(1),
            linger_bytes: 1 << 20,
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}
