//! What the threads of one server share: mailboxes, counts and the wish to stop.
//!
//! Invariant: `load` of a worker counts each connection from the moment it is put into the worker's mailbox
//! until its socket is closed or moved away, so `connections` never misses one in transit.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::handoff::mailbox::Mailbox;
use crate::handoff::shared::SharedQueue;
use crate::handoff::{Arrival, Handoff, Letter};
use crate::notify::Waker;
use crate::{AcceptorStats, Limits, Service, Undelivered, WorkerStats, Workers};

/// No idle timeout, where its milliseconds are kept.
const NEVER: u64 = u64::MAX;

pub(crate) struct Hub<S: Service> {
    pub(crate) limits: Limits,
    pub(crate) desks: Vec<Desk<S>>,
    /// Arrivals, if all workers share them.
    pub(crate) shared: Option<SharedQueue>,
    pub(crate) acceptor: Waker,
    handoff: Handoff,
    /// Where the search for a worker begins next. Only the acceptor's, and whoever moves connections.
    next: AtomicUsize,
    max_connections: AtomicUsize,
    idle_timeout_ms: AtomicU64,
    stopping: AtomicBool,
    pub(crate) arrivals: ArrivalCounts,
}

/// [`AcceptorStats`], of which all but `unserved` are written by the acceptor alone.
#[derive(Default)]
pub(crate) struct ArrivalCounts {
    pub(crate) turns: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) pauses: AtomicU64,
    pub(crate) refusals: AtomicU64,
    unserved: AtomicU64,
}

/// One worker, as the others see it.
pub(crate) struct Desk<S: Service> {
    pub(crate) mailbox: Mailbox<Letter<S>>,
    /// Connections, those in the mailbox included.
    load: AtomicUsize,
    /// Gets no connections, and gives away those it has.
    draining: AtomicBool,
    stats: StatsCell,
}

/// [`WorkerStats`], written by the worker once per turn and read by anyone. On its own cache lines.
#[derive(Default)]
#[repr(align(128))]
struct StatsCell {
    connections: AtomicU64,
    accepted: AtomicU64,
    turns: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl<S: Service> Hub<S> {
    pub(crate) fn new(
        limits: Limits,
        handoff: Handoff,
        wakers: impl IntoIterator<Item = Waker>,
        acceptor: Waker,
        shared: Option<SharedQueue>,
    ) -> Self {
        let desk = |waker| Desk {
            mailbox: Mailbox::new(limits.mailbox_capacity, waker),
            load: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            stats: StatsCell::default(),
        };
        Self {
            desks: wakers.into_iter().map(desk).collect(),
            shared,
            acceptor,
            handoff,
            next: AtomicUsize::new(0),
            max_connections: AtomicUsize::new(limits.max_connections),
            idle_timeout_ms: AtomicU64::new(limits.idle_timeout.map_or(NEVER, millis)),
            stopping: AtomicBool::new(false),
            arrivals: ArrivalCounts::default(),
            limits,
        }
    }

    /// Gives a new connection to a worker. `Err`: none has room (or all are ending); the acceptor is woken
    /// when one has.
    pub(crate) fn place(&self, arrival: Arrival) -> Result<(), Arrival> {
        if let Some(shared) = &self.shared {
            return shared.try_send_or_await(arrival).map_err(|refused| refused.into_inner());
        }
        // Asked twice: only when all have refused is it time to wait for room in any.
        let mut letter = Letter::Arrived(arrival);
        for await_room in [false, true] {
            let first = self.first_choice();
            for worker in self.in_turn_from(first).filter(|&worker| !self.is_draining(worker)) {
                match self.send_counted(worker, letter, await_room) {
                    Ok(()) => return Ok(()),
                    Err(refused) => letter = refused,
                }
            }
        }
        match letter {
            Letter::Arrived(arrival) => Err(arrival),
            _ => unreachable!("what is refused is given back"),
        }
    }

    /// Gives a live connection of worker `from` to another one.
    pub(crate) fn place_moved(&self, from: usize, mut letter: Letter<S>) -> Result<(), Letter<S>> {
        let first = self.least_loaded(Some(from));
        for worker in self.in_turn_from(first).filter(|&w| w != from && !self.is_draining(w)) {
            match self.send_counted(worker, letter, false) {
                Ok(()) => {
                    self.left(from, 1);
                    return Ok(());
                }
                Err(refused) => letter = refused,
            }
        }
        Err(letter)
    }

    /// A connection was taken from the shared queue.
    pub(crate) fn came(&self, worker: usize) {
        self.desks[worker].load.fetch_add(1, Relaxed);
    }

    /// So many connections of `worker` were closed, or have moved.
    pub(crate) fn left(&self, worker: usize, connections: usize) {
        self.desks[worker].load.fetch_sub(connections, Relaxed);
    }

    /// So many connections were accepted and then closed unserved, since the server was ending.
    pub(crate) fn count_unserved(&self, connections: usize) {
        self.arrivals.unserved.fetch_add(connections as u64, Relaxed);
    }

    /// A worker has ended, and with it the server: closes what waits for it, and counts it.
    pub(crate) fn close_arrivals(&self, worker: usize) {
        if let Some(shared) = &self.shared {
            self.count_unserved(shared.close().len());
        }
        let left = self.desks[worker].mailbox.close();
        let is_connection = |letter: &&Letter<S>| matches!(letter, Letter::Arrived(_) | Letter::Moved(_));
        let connections = left.iter().filter(is_connection).count();
        self.count_unserved(connections);
        self.left(worker, connections);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    pub(crate) fn is_draining(&self, worker: usize) -> bool {
        self.desks[worker].draining.load(Relaxed)
    }

    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        match self.idle_timeout_ms.load(Relaxed) {
            NEVER => None,
            ms => Some(Duration::from_millis(ms)),
        }
    }

    pub(crate) fn publish(&self, worker: usize, stats: &WorkerStats) {
        let cell = &self.desks[worker].stats;
        cell.connections.store(stats.connections, Relaxed);
        cell.accepted.store(stats.accepted, Relaxed);
        cell.turns.store(stats.turns, Relaxed);
        cell.reads.store(stats.reads, Relaxed);
        cell.writes.store(stats.writes, Relaxed);
        cell.bytes_in.store(stats.bytes_in, Relaxed);
        cell.bytes_out.store(stats.bytes_out, Relaxed);
    }

    /// Counted before it is sent, so that the count is never behind the worker that already serves it.
    fn send_counted(&self, worker: usize, letter: Letter<S>, await_room: bool) -> Result<(), Letter<S>> {
        let desk = &self.desks[worker];
        desk.load.fetch_add(1, Relaxed);
        let sent =
            if await_room { desk.mailbox.try_send_or_await(letter) } else { desk.mailbox.try_send(letter) };
        sent.map_err(|refused| {
            desk.load.fetch_sub(1, Relaxed);
            refused.into_inner()
        })
    }

    fn first_choice(&self) -> usize {
        match self.handoff {
            Handoff::LeastConnections => self.least_loaded(None),
            Handoff::RoundRobin | Handoff::Shared => self.next.fetch_add(1, Relaxed) % self.desks.len(),
        }
    }

    /// The worker with the fewest connections; among equals, the next in turn.
    fn least_loaded(&self, except: Option<usize>) -> usize {
        let first = self.next.fetch_add(1, Relaxed) % self.desks.len();
        self.in_turn_from(first)
            .filter(|&worker| Some(worker) != except && !self.is_draining(worker))
            .min_by_key(|&worker| self.desks[worker].load.load(Relaxed))
            .unwrap_or(first)
    }

    fn in_turn_from(&self, first: usize) -> impl Iterator<Item = usize> + use<S> {
        let count = self.desks.len();
        (0..count).map(move |i| (first + i) % count)
    }

    fn wake_all(&self) {
        let _ = self.acceptor.wake();
        for desk in &self.desks {
            desk.mailbox.wake();
        }
    }
}

impl<S: Service> Workers<S::Message> for Hub<S> {
    fn count(&self) -> usize {
        self.desks.len()
    }

    fn post(&self, worker: usize, message: S::Message) -> Result<(), Undelivered<S::Message>> {
        self.desks[worker].mailbox.try_send(Letter::Message(message)).map_err(|refused| {
            match refused.into_inner() {
                Letter::Message(message) => Undelivered(message),
                _ => unreachable!("what is refused is given back"),
            }
        })
    }

    fn connections(&self) -> usize {
        self.desks.iter().map(|desk| desk.load.load(Relaxed)).sum()
    }

    fn set_max_connections(&self, max: usize) {
        self.max_connections.store(max, Relaxed);
    }

    fn max_connections(&self) -> usize {
        self.max_connections.load(Relaxed)
    }

    fn set_idle_timeout(&self, timeout: Option<Duration>) {
        self.idle_timeout_ms.store(timeout.map_or(NEVER, millis), Relaxed);
        self.wake_all();
    }

    fn drain(&self, worker: usize, on: bool) {
        self.desks[worker].draining.store(on, Relaxed);
        self.wake_all();
    }

    fn move_away(&self, worker: usize, at_most: usize) -> bool {
        self.desks[worker].mailbox.try_send(Letter::MoveAway { at_most }).is_ok()
    }

    fn stats(&self, worker: usize) -> WorkerStats {
        let cell = &self.desks[worker].stats;
        WorkerStats {
            connections: cell.connections.load(Relaxed),
            accepted: cell.accepted.load(Relaxed),
            turns: cell.turns.load(Relaxed),
            reads: cell.reads.load(Relaxed),
            writes: cell.writes.load(Relaxed),
            bytes_in: cell.bytes_in.load(Relaxed),
            bytes_out: cell.bytes_out.load(Relaxed),
        }
    }

    fn acceptor_stats(&self) -> AcceptorStats {
        AcceptorStats {
            turns: self.arrivals.turns.load(Relaxed),
            accepted: self.arrivals.accepted.load(Relaxed),
            pauses: self.arrivals.pauses.load(Relaxed),
            refusals: self.arrivals.refusals.load(Relaxed),
            unserved: self.arrivals.unserved.load(Relaxed),
        }
    }

    fn shutdown(&self) {
        self.stopping.store(true, Relaxed);
        self.wake_all();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::notify::Notifier;
    use crate::{Flow, In, Opening, Out, Peer, Token, Turn};

    struct Mute;

    impl Service for Mute {
        type Session = ();
        type Message = ();
        fn open(&mut self, _: Token, _: Peer, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<()> {
            Opening::Serve(())
        }
        fn on_input(&mut self, (): &mut (), _: &mut In<'_>, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Flow {
            Flow::NeedInput
        }
    }

    /// Two workers that never take their mail, and connections for them.
    fn hub(handoff: Handoff, capacity: usize) -> (Hub<Mute>, impl Fn() -> Arrival) {
        let waker = || Notifier::new().unwrap().waker();
        let limits = Limits { mailbox_capacity: capacity, ..Limits::default() };
        let shared = (handoff == Handoff::Shared).then(|| SharedQueue::new(capacity).unwrap());
        let hub = Hub::new(limits, handoff, [waker(), waker()], waker(), shared);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let arrive = move || {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let peer = Peer { remote: stream.local_addr().unwrap(), local: stream.peer_addr().unwrap() };
            Arrival { stream, peer }
        };
        (hub, arrive)
    }

    #[test]
    fn what_is_left_for_a_worker_that_ended_is_counted_and_what_comes_later_is_given_back() {
        let (hub, arrive) = hub(Handoff::RoundRobin, 10);
        for _ in 0..6 {
            hub.place(arrive()).unwrap();
        }
        hub.post(0, ()).unwrap();
        assert_eq!(hub.connections(), 6);
        hub.close_arrivals(0);
        assert_eq!((hub.acceptor_stats().unserved, hub.connections()), (3, 3));
        assert!(hub.post(0, ()).is_err());
        hub.place(arrive()).unwrap();
        hub.close_arrivals(1);
        assert_eq!((hub.acceptor_stats().unserved, hub.connections()), (7, 0));
        assert!(hub.place(arrive()).is_err());
        assert_eq!(hub.connections(), 0);
    }

    #[test]
    fn the_shared_queue_gives_back_what_it_has_no_room_for_and_counts_what_is_left() {
        let (hub, arrive) = hub(Handoff::Shared, 2);
        hub.place(arrive()).unwrap();
        hub.place(arrive()).unwrap();
        assert!(hub.place(arrive()).is_err());
        let (taken, room_awaited) = hub.shared.as_ref().unwrap().take();
        assert!(taken.is_some() && room_awaited);
        hub.close_arrivals(0);
        assert_eq!(hub.acceptor_stats().unserved, 1);
        assert!(hub.place(arrive()).is_err());
    }

    #[test]
    fn a_draining_worker_is_passed_over_and_a_full_one_too() {
        let (hub, arrive) = hub(Handoff::LeastConnections, 2);
        hub.drain(0, true);
        hub.place(arrive()).unwrap();
        hub.place(arrive()).unwrap();
        assert!(hub.place(arrive()).is_err(), "worker 1 is full and worker 0 is drained");
        hub.drain(0, false);
        hub.place(arrive()).unwrap();
        assert_eq!(hub.connections(), 3);
    }
}
