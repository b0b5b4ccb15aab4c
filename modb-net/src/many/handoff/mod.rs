//! How connections and messages get from one thread to another.
//!
//! [`Handoff`] names the policies; [`mailbox`] is the bounded queue per worker, [`shared`] the one queue
//! for all, [`aside`] what must not be refused. Invariant: whatever is refused is given back to whoever tried; nothing is
//! dropped silently.

pub(crate) mod aside;
pub(crate) mod mailbox;
#[cfg(test)]
mod model;
pub(crate) mod queue;
pub(crate) mod shared;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use socket2::Socket;

use crate::connection::lane::Room;
use crate::connection::seat::{Address, Seat};
use crate::connection::service::Service;
use crate::many::core::Moved;
use crate::system::peer::Peer;

/// Which worker gets a new connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Handoff {
    /// The next one in turn. Suits connections that live briefly or ask alike.
    #[default]
    RoundRobin,
    /// The one with the fewest connections. Suits connections that live long.
    LeastConnections,
    /// Whichever wakes first: one queue and one socket pair for all, as MySQL Proxy does it. Wakes every
    /// worker for each connection; here for comparison.
    Shared,
}

impl Handoff {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RoundRobin, Self::LeastConnections, Self::Shared];

    /// The name used in options: `round-robin`, `least-connections`, `shared`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::LeastConnections => "least-connections",
            Self::Shared => "shared",
        }
    }
}

impl fmt::Display for Handoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No handoff has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown handoff '{0}': expected round-robin, least-connections or shared")]
pub struct UnknownHandoff(pub String);

impl FromStr for Handoff {
    type Err = UnknownHandoff;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|handoff| handoff.name() == name)
            .ok_or_else(|| UnknownHandoff(name.into()))
    }
}

/// A connection that has its seat and no worker yet.
#[derive(Debug)]
pub(crate) struct Arrival<M> {
    // In this order: the socket is closed before its seat is free again.
    pub(crate) stream: Socket,
    pub(crate) seat: Seat,
    pub(crate) way: Way<M>,
}

/// How a connection came.
#[derive(Debug)]
pub(crate) enum Way<M> {
    /// It was accepted.
    Accepted(Peer),
    /// It was brought in from elsewhere.
    Adopted { peer: Peer, purpose: M },
    /// It is being opened from here, until `deadline`.
    Opens { remote: SocketAddr, deadline: Instant, purpose: M },
}

/// A live connection of a service `S`.
pub(crate) type Live<S> = Moved<<S as Service>::Session, Arc<Socket>>;

/// A message for which there was room.
pub(crate) struct Mail<M> {
    pub(crate) message: M,
    /// Given back once the message is delivered.
    pub(crate) room: Room,
}

/// What comes in a worker's mailbox.
pub(crate) enum Letter<S: Service> {
    /// A new connection.
    Arrived(Arrival<S::Message>),
    /// A live connection of another worker.
    Moved(Box<Live<S>>),
    /// For the service.
    Message(S::Message),
    /// For one of its connections; `from`: the worker that sent it.
    MessageTo { to: Address, message: S::Message, from: Option<usize> },
    /// Give up to so many connections to other workers.
    MoveAway { at_most: usize },
}

impl<S: Service> Letter<S> {
    /// From the moment it is in the mailbox of `worker` it counts as that worker's.
    pub(crate) fn assign(&self, worker: usize) {
        match self {
            Self::Arrived(arrival) => arrival.seat.assign(worker),
            Self::Moved(moved) => moved.seat().assign(worker),
            Self::Message(_) | Self::MessageTo { .. } | Self::MoveAway { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handoffs_are_named() {
        for handoff in Handoff::ALL {
            assert_eq!(handoff.to_string().parse(), Ok(handoff));
        }
        assert!("Shared ".parse::<Handoff>().is_err());
    }
}
