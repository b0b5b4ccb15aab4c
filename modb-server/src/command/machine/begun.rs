//! A request that was begun and waits: for what, and what it holds meanwhile.
//!
//! Invariant: dropped, it waits no longer: its place in the queues is free, what a thread has not begun for it is not done.

use std::collections::HashSet;
use std::time::Instant;

use super::errands::Done;
use super::lent::Long;
use super::room::{Deadline, Waiting};
use super::table::Resolved;
use crate::data::Ticket;
use crate::messages::Rooms;

/// A request that was begun and waits.
#[derive(Debug)]
pub struct Begun(pub(crate) Box<Waits>);

#[derive(Debug)]
pub(crate) struct Waits {
    pub(crate) resolved: Resolved,
    pub(crate) on: On,
    /// For what it tells others.
    pub(crate) rooms: Rooms,
    /// For how long it was worked on, by whoever it was: without what was in vain, and without its waits.
    worked_ns: u64,
}

#[derive(Debug)]
pub(crate) enum On {
    /// Stripes that others hold.
    Stripes(Ticket),
    /// A thread that does what it has left.
    Thread(Done),
    /// A thread that executes all of it, since it takes long.
    Long(Long),
    /// What others bring, or time.
    Others(Waiting),
    /// Room for what it tells others: it has run, was undone, and runs again.
    Rooms,
}

impl Begun {
    /// The stripes that must be given back before it goes on, if it waits for stripes.
    pub fn waits_for(&self) -> HashSet<u16> {
        match &self.0.on {
            On::Stripes(ticket) => ticket.waits_for(),
            On::Thread(_) | On::Long(_) | On::Others(_) | On::Rooms => HashSet::new(),
        }
    }

    pub(crate) fn new(resolved: Resolved, on: On, rooms: Rooms) -> Self {
        Self(Box::new(Waits { resolved, on, rooms, worked_ns: 0 }))
    }

    /// One that takes long.
    pub(crate) fn long(resolved: Resolved, long: Long) -> Self {
        Self::new(resolved, On::Long(long), Rooms::default())
    }

    /// The command.
    pub fn resolved(&self) -> Resolved {
        self.0.resolved
    }

    /// For how long it was worked on, in nanoseconds.
    pub fn worked_ns(&self) -> u64 {
        self.0.worked_ns
    }

    /// It was worked on for so long, in all, before it had to wait. What is run again from its beginning was in vain until now.
    pub fn set_worked_ns(&mut self, worked_ns: u64) {
        self.0.worked_ns = match self.0.on {
            On::Thread(_) | On::Others(_) => worked_ns,
            On::Stripes(_) | On::Long(_) | On::Rooms => 0,
        };
    }

    /// Whether the command has run, but for its reply.
    pub fn has_run(&self) -> bool {
        !matches!(self.0.on, On::Stripes(_))
    }

    /// Whether it waits for what may never come.
    pub fn waits_for_others(&self) -> bool {
        matches!(self.0.on, On::Others(_))
    }

    /// Whether it takes long.
    pub fn is_long(&self) -> bool {
        matches!(self.0.on, On::Long(_))
    }

    /// Its place in the queues of stripes, if it waits for nothing else.
    ///
    /// # Errors
    /// It does.
    pub(crate) fn into_ticket(self) -> Result<Ticket, Self> {
        match self.0.on {
            On::Stripes(ticket) if self.0.rooms.is_empty() => Ok(ticket),
            _ => Err(self),
        }
    }

    /// How far it is, if it takes long.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn into_long(self) -> Result<Long, Self> {
        match self.0.on {
            On::Long(long) => Ok(long),
            _ => Err(self),
        }
    }

    /// When its time is over, if it ever is, and what to tell then.
    pub fn deadline(&self) -> Option<(Instant, Deadline)> {
        match &self.0.on {
            On::Others(waiting) => waiting.deadline(),
            On::Stripes(_) | On::Thread(_) | On::Long(_) | On::Rooms => None,
        }
    }

    /// What it holds, beside what everything takes that waits.
    pub fn bytes(&self) -> usize {
        match &self.0.on {
            On::Others(waiting) => waiting.bytes(),
            On::Long(long) => long.bytes(),
            On::Stripes(_) | On::Thread(_) | On::Rooms => 0,
        }
    }
}
