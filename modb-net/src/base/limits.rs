//! Every bound of the networking layer, with its unit, its default and its reason. Pure.
//!
//! Invariant: what the layer works with has passed through [`Limits::clamped`], the one place where a value that
//! cannot work is replaced, and that says so. Any [`Duration`] is valid, the largest included: see [`after`].

use std::time::{Duration, Instant};

/// Bounds for one server. The defaults are for a machine with some gigabytes of memory.
///
/// Names say the unit where it is not plain: `_bytes`, `_per_turn`; a time is any [`Duration`], the largest included. Begin
/// with [`Limits::default`] and change what matters. Four can also be changed while the server runs
/// ([`crate::Control`]): `max_connections`, `max_memory_bytes`, `idle_timeout` and `keep_alive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all workers together, those that are closing included (default 10,000; Redis: `maxclients`). One
    /// more is refused by the layer. The last four, never more than half of all, are for clients of this machine.
    pub max_connections: usize,
    /// Connections that are being told that they are refused, at the same time (default 32); beyond them a connection
    /// is told without waiting and closed.
    pub max_refusing: usize,
    /// How long a refused connection has to read why (default 50 ms).
    pub refusal_timeout: Duration,
    /// Memory that all connections hold together, in bytes (default 256 MiB; `usize::MAX`: no bound; Redis:
    /// `maxmemory-clients`). Input, output and what sessions say they hold. When it is short, requests and replies over
    /// [`Limits::SMALL_REQUEST_BYTES`] wait their turn.
    pub max_memory_bytes: usize,
    /// While others wait for memory, a connection that holds some and makes no progress for this long is closed, the
    /// largest first (default 5 s).
    pub stall_timeout: Duration,
    /// Unconsumed input a connection may hold, in bytes (default 1 GiB; Redis: `client-query-buffer-limit`).
    pub max_input_bytes: usize,
    /// Unsent output at which a connection is no longer read or executed, in bytes (default 1 MiB, at least 1).
    /// Back-pressure begins here.
    pub output_high_water_bytes: usize,
    /// Unsent output at which a connection is closed, in bytes (default 1 GiB): one reply may overshoot the high-water
    /// mark.
    pub max_output_bytes: usize,
    /// Requests one connection may execute in a turn before the others get theirs (default 1,024, at least 1). One
    /// call of [`crate::In::consume`] counts as a request.
    pub requests_per_turn: u32,
    /// Bytes read from one connection in a turn (default 256 KiB, at least 1).
    pub read_bytes_per_turn: usize,
    /// Work that a turn does for connections that took much when they were last served, together, in bytes read, executed
    /// and written (default 4 MiB, at least 1). The others come first; these in turn, a request at least; who answers
    /// [`crate::Flow::Yield`] has taken the rest of it.
    pub work_bytes_per_turn: usize,
    /// Connections accepted in a turn of the acceptor (default 64, at least 1).
    pub accepts_per_turn: usize,
    /// Letters taken from a worker's mailbox in a turn, and messages from its lane (of those no more than are read from one
    /// connection, in bytes) (default 1,024, at least 1).
    pub mail_per_turn: usize,
    /// Bytes of mail that wait for one worker ([`crate::Messages::reserve`]; default 16 MiB, at least 1), in the budget of memory.
    pub mail_bytes: usize,
    /// Letters a mailbox holds (default 4,096, at least 1); when every mailbox is full the acceptor pauses.
    pub mailbox_capacity: usize,
    /// A connection on which no byte has come or gone for this long is closed (default `None`: never; Redis: `timeout`,
    /// whose 0 is `None` here).
    pub idle_timeout: Option<Duration>,
    /// A peer that has been silent for this long is asked by the system whether it is still there, three times within
    /// as long again; without an answer the connection is broken (default 300 s; `None`: never; Redis:
    /// `tcp-keepalive`).
    pub keep_alive: Option<Duration>,
    /// A closing connection that takes nothing of its unsent output for this long is cut off (default 10 s).
    pub closing_timeout: Duration,
    /// After the last reply: how long unread input is drained, so that the close is not a reset (default 1 s in which
    /// less than 16 KiB came).
    pub linger_timeout: Duration,
    /// How many bytes are drained then, at most (default 1 MiB). A client that goes on sending may lose the last reply.
    pub linger_bytes: usize,
    /// A graceful shutdown closes what has not been flushed by then (default 10 s).
    pub shutdown_timeout: Duration,
}

impl Limits {
    /// A request or reply up to this size, in bytes, finds room however short memory is.
    pub const SMALL_REQUEST_BYTES: usize = 16 << 10;
    /// A reply over this size, in bytes, asks for room first ([`crate::Out::reserve`]).
    pub const SMALL_REPLY_BYTES: usize = 64 << 10;

    /// These limits with every value that cannot work replaced by the nearest that can, and a sentence for each.
    #[must_use]
    pub fn clamped(mut self) -> (Self, Vec<String>) {
        let mut said = Vec::new();
        let mut at_least_one = |name: &str, value: &mut usize| {
            if *value == 0 {
                *value = 1;
                said.push(format!("{name} is 0, with which nothing would be served: 1 it is"));
            }
        };
        at_least_one("output_high_water_bytes", &mut self.output_high_water_bytes);
        at_least_one("read_bytes_per_turn", &mut self.read_bytes_per_turn);
        at_least_one("work_bytes_per_turn", &mut self.work_bytes_per_turn);
        at_least_one("accepts_per_turn", &mut self.accepts_per_turn);
        at_least_one("mail_per_turn", &mut self.mail_per_turn);
        at_least_one("mail_bytes", &mut self.mail_bytes);
        at_least_one("mailbox_capacity", &mut self.mailbox_capacity);
        let mut requests = self.requests_per_turn as usize;
        at_least_one("requests_per_turn", &mut requests);
        self.requests_per_turn = requests as u32;
        (self, said)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_refusing: 32,
            refusal_timeout: Duration::from_millis(50),
            max_memory_bytes: 256 << 20,
            stall_timeout: Duration::from_secs(5),
            max_input_bytes: 1 << 30,
            output_high_water_bytes: 1 << 20,
            max_output_bytes: 1 << 30,
            requests_per_turn: 1024,
            read_bytes_per_turn: 256 << 10,
            work_bytes_per_turn: 4 << 20,
            accepts_per_turn: 64,
            mail_per_turn: 1024,
            mail_bytes: 16 << 20,
            mailbox_capacity: 4096,
            idle_timeout: None,
            keep_alive: Some(Duration::from_secs(300)),
            closing_timeout: Duration::from_secs(10),
            linger_timeout: Duration::from_secs(1),
            linger_bytes: 1 << 20,
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Longer than any process runs, and short enough that no clock overflows.
pub(crate) const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The instant `duration` after `start`, for any duration: what no clock can hold is a hundred years away.
pub(crate) fn after(start: Instant, duration: Duration) -> Instant {
    start.checked_add(duration.min(FAR)).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_becomes_one_and_is_told_by_name_and_what_works_is_left_alone() {
        let zero = Limits {
            output_high_water_bytes: 0,
            requests_per_turn: 0,
            read_bytes_per_turn: 0,
            work_bytes_per_turn: 0,
            accepts_per_turn: 0,
            mail_per_turn: 0,
            mail_bytes: 0,
            mailbox_capacity: 0,
            ..Limits::default()
        };
        let (limits, said) = zero.clamped();
        assert_eq!((limits.output_high_water_bytes, limits.requests_per_turn), (1, 1));
        assert_eq!((limits.read_bytes_per_turn, limits.accepts_per_turn), (1, 1));
        assert_eq!(limits.work_bytes_per_turn, 1);
        assert_eq!((limits.mail_per_turn, limits.mailbox_capacity), (1, 1));
        assert_eq!(said.len(), 8);
        assert!(said.iter().any(|text| text.contains("requests_per_turn")));
        assert_eq!(Limits::default().clamped(), (Limits::default(), vec![]));
    }

    #[test]
    fn any_duration_has_an_end() {
        let now = Instant::now();
        assert!(after(now, Duration::MAX) > now + Duration::from_secs(1 << 31));
        assert_eq!(after(now, Duration::ZERO), now);
    }
}
