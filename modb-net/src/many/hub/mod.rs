//! What the threads of one server share: mailboxes, seats, the budget, counts, and the wish to stop.
//!
//! Invariants: a connection counts as a worker's from the moment it is in that worker's mailbox, since its seat says so
//! before anybody can take it out; what was resumed or came back is kept beside the mailbox, where nothing is refused.

mod counts;
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
use crate::connection::reason::CloseReason;
use crate::connection::seat::{Address, Admission};
use crate::connection::service::Service;
use crate::many::handoff::aside::{Aside, Thing};
use crate::many::handoff::mailbox::Mailbox;
use crate::many::handoff::shared::SharedQueue;
use crate::many::handoff::{Handoff, Letter};
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
        let desk = |waker: &Waker| Desk {
            mailbox: Mailbox::new(limits.mailbox_capacity, waker.clone()),
            aside: Aside::new(),
            draining: AtomicBool::new(false),
            stats: StatsCell::default(),
        };
        Self {
            desks: wakers.iter().map(desk).collect(),
            shared,
            acceptor,
            admission: Arc::new(Admission::new(limits.max_connections, wakers.len())),
            budget: Arc::new(Budget::new(limits.max_memory_bytes, wakers)),
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

    /// Passes on a resume for a connection that has moved.
    pub(crate) fn pass_on(&self, worker: usize, address: Address) {
        self.put_aside(worker, Thing::Resumed(address));
    }

    /// A message to a connection cannot be delivered: its sender gets it back, or `here` if nobody here sent it.
    pub(crate) fn give_back(&self, message: S::Message, from: Option<usize>, here: usize) {
        let to = from.filter(|&from| from < self.desks.len()).unwrap_or(here);
        self.put_aside(to, Thing::CameBack(message));
    }

    fn put_aside(&self, worker: usize, thing: Thing<S::Message>) {
        let desk = &self.desks[worker];
        desk.aside.put(thing);
        // One that has ended has no connection to resume, and nobody to get a message back.
        desk.mailbox.wake();
    }

    /// Whether something was put aside for `worker`.
    pub(crate) fn has_aside(&self, worker: usize) -> bool {
        self.desks[worker].aside.any()
    }

    /// What was put aside for `worker`.
    pub(crate) fn take_aside(&self, worker: usize) -> Vec<Thing<S::Message>> {
        self.desks[worker].aside.take()
    }

    /// A worker has ended, and with it the server: closes what waits for it.
    pub(crate) fn close_arrivals(&self, worker: usize) {
        if let Some(shared) = &self.shared {
            shared.close();
        }
        self.desks[worker].mailbox.close();
        self.moves.fetch_add(1, Release);
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

    fn wake_all(&self) {
        let _ = self.acceptor.wake();
        for desk in &self.desks {
            desk.mailbox.wake();
        }
    }
}
