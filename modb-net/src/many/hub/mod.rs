//! What the threads of one server share: mailboxes, seats, the budget, counts, and the wish to stop.
//!
//! Invariants: a connection counts as a worker's from the moment it is in that worker's mailbox, since its seat says so
//! before anybody can take it out; what was resumed or came back is kept beside the mailbox, where nothing is refused; what
//! somebody is to be told that a worker which ended did not take, another one is given.

mod counts;
mod endings;
mod placing;
mod roles;
#[cfg(test)]
mod tests;
mod timeout;

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Duration;

use counts::{ArrivalCounts, StatsCell};
use timeout::Timeout;

use crate::base::limits::Limits;
use crate::connection::budget::Budget;
use crate::connection::counts::WorkerStats;
use crate::connection::lane::Lane;
use crate::connection::reason::CloseReason;
use crate::connection::seat::Admission;
use crate::connection::service::Service;
use crate::many::handoff::aside::Aside;
use crate::many::handoff::mailbox::Mailbox;
use crate::many::handoff::shared::SharedQueue;
use crate::many::handoff::{Handoff, Letter, Mail};
use crate::system::notify::Waker;

pub(crate) struct Hub<S: Service> {
    pub(crate) limits: Limits,
    pub(crate) desks: Vec<Desk<S>>,
    /// Arrivals, if all workers share them.
    pub(crate) shared: Option<SharedQueue<S::Message>>,
    pub(crate) acceptor: Waker,
    pub(crate) admission: Arc<Admission>,
    pub(crate) budget: Arc<Budget>,
    handoff: Handoff,
    /// Where the search for a worker begins next. Only the acceptor's, and whoever moves connections.
    next: AtomicUsize,
    /// Changes whenever a connection that had to stay might be moved after all.
    moves: AtomicU64,
    idle_timeout: Timeout,
    keep_alive: Timeout,
    stopping: AtomicBool,
    closed: [AtomicU64; CloseReason::ALL.len()],
    pub(crate) arrivals: ArrivalCounts,
}

/// One worker, as the others see it.
pub(crate) struct Desk<S: Service> {
    pub(crate) mailbox: Mailbox<Letter<S>>,
    aside: Aside<S::Message>,
    /// The room that mail has, and the mail that has it: beside the mailbox, whose places are for connections.
    pub(crate) lane: Arc<Lane>,
    pub(crate) mail: Mailbox<Mail<S::Message>>,
    /// Gets no connections, and gives away those it has.
    draining: AtomicBool,
    stats: StatsCell,
}

impl<S: Service> Hub<S> {
    pub(crate) fn new(
        limits: Limits,
        handoff: Handoff,
        wakers: Vec<Waker>,
        acceptor: Waker,
        shared: Option<SharedQueue<S::Message>>,
    ) -> Self {
        let budget = Arc::new(Budget::new(limits.max_memory_bytes, wakers.iter().cloned()));
        let desk = |waker: &Waker| Desk {
            mailbox: Mailbox::new(limits.mailbox_capacity, waker.clone()),
            aside: Aside::new(),
            lane: Arc::new(Lane::new(limits.mail_bytes, budget.clone())),
            mail: Mailbox::new(usize::MAX, waker.clone()),
            draining: AtomicBool::new(false),
            stats: StatsCell::default(),
        };
        Self {
            desks: wakers.iter().map(desk).collect(),
            shared,
            acceptor,
            admission: Arc::new(Admission::new(limits.max_connections, wakers.len())),
            budget,
            handoff,
            next: AtomicUsize::new(0),
            moves: AtomicU64::new(0),
            idle_timeout: Timeout::new(limits.idle_timeout),
            keep_alive: Timeout::new(limits.keep_alive),
            stopping: AtomicBool::new(false),
            closed: Default::default(),
            arrivals: ArrivalCounts::default(),
            limits,
        }
    }

    /// A number that changes whenever a connection that had to stay might be moved after all.
    pub(crate) fn moves(&self) -> u64 {
        self.moves.load(Acquire)
    }

    /// There is room in a mailbox again: whoever waited for it tries again.
    pub(crate) fn room_made(&self) {
        // It only fails if the acceptor has ended, and then nobody waits.
        let _ = self.acceptor.wake();
        self.moves.fetch_add(1, Release);
        for desk in self.desks.iter().filter(|desk| desk.draining.load(Relaxed)) {
            desk.mailbox.wake();
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    pub(crate) fn is_draining(&self, worker: usize) -> bool {
        self.desks[worker].draining.load(Relaxed)
    }

    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout.get()
    }

    pub(crate) fn keep_alive(&self) -> Option<Duration> {
        self.keep_alive.get()
    }

    pub(crate) fn count_closed(&self, reason: CloseReason) {
        self.closed[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn publish(&self, worker: usize, stats: &WorkerStats) {
        self.desks[worker].stats.publish(stats);
    }

    /// How often all workers have read from a socket.
    pub(crate) fn reads(&self) -> u64 {
        self.desks.iter().map(|desk| desk.stats.snapshot().reads).sum()
    }

    fn wake_all(&self) {
        let _ = self.acceptor.wake();
        for desk in &self.desks {
            desk.mailbox.wake();
        }
    }
}
