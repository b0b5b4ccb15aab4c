//! What the threads of one server share: mailboxes, seats, the budget, counts, and the wish to stop.
//!
//! Invariants: a connection counts as a worker's from the moment it is in that worker's mailbox, since its seat says so
//! before anybody can take it out; what was resumed or came back is kept beside the mailbox, where nothing is refused
//! (there is at most one resume per connection, and no more comes back than was sent).

use std::net::SocketAddr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::base::limits::{Limits, after};
use crate::connection::budget::Budget;
use crate::connection::seat::{Address, Admission};
use crate::connection::service::Service;
use crate::connection::workers::{AcceptorStats, CloseReason, JoinError, Undelivered, WorkerStats, Workers};
use crate::many::handoff::mailbox::Mailbox;
use crate::many::handoff::shared::SharedQueue;
use crate::many::handoff::{Arrival, Handoff, Letter, Way};
use crate::system::notify::Waker;
use crate::system::peer::Peer;
use crate::system::sys;

/// No timeout, where its milliseconds are kept.
const NEVER: u64 = u64::MAX;

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
    next: std::sync::atomic::AtomicUsize,
    /// Changes whenever a connection that had to stay might be moved after all.
    moves: AtomicU64,
    idle_timeout_ms: AtomicU64,
    keep_alive_ms: AtomicU64,
    stopping: AtomicBool,
    closed: [AtomicU64; CloseReason::ALL.len()],
    pub(crate) arrivals: ArrivalCounts,
}

/// [`AcceptorStats`], written by the acceptor alone.
#[derive(Default)]
pub(crate) struct ArrivalCounts {
    pub(crate) turns: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) pauses: AtomicU64,
    pub(crate) system_refusals: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// One worker, as the others see it.
pub(crate) struct Desk<S: Service> {
    pub(crate) mailbox: Mailbox<Letter<S>>,
    waker: Waker,
    aside: Aside<S::Message>,
    /// Gets no connections, and gives away those it has.
    draining: AtomicBool,
    stats: StatsCell,
}

/// What must not be refused, beside the mailbox.
struct Aside<M> {
    things: Mutex<Vec<Thing<M>>>,
    /// Whether there is something: looked at without the lock in every turn.
    any: AtomicBool,
}

/// What is put aside for a worker.
pub(crate) enum Thing<M> {
    Resumed(Address),
    /// A message that this worker sent came back.
    CameBack(M),
}

impl<M> Aside<M> {
    fn put(&self, thing: Thing<M>) {
        self.lock().push(thing);
        self.any.store(true, Release);
    }

    fn take(&self) -> Vec<Thing<M>> {
        let mut things = self.lock();
        self.any.store(false, Relaxed);
        std::mem::take(&mut *things)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Thing<M>>> {
        // No code that can panic runs under the lock, so what a poisoned one guards is whole.
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        wakers: Vec<Waker>,
        acceptor: Waker,
        shared: Option<SharedQueue<S::Message>>,
    ) -> Self {
        let desk = |waker: &Waker| Desk {
            mailbox: Mailbox::new(limits.mailbox_capacity, waker.clone()),
            waker: waker.clone(),
            aside: Aside { things: Mutex::default(), any: AtomicBool::new(false) },
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
            next: std::sync::atomic::AtomicUsize::new(0),
            moves: AtomicU64::new(0),
            idle_timeout_ms: AtomicU64::new(limits.idle_timeout.map_or(NEVER, millis)),
            keep_alive_ms: AtomicU64::new(limits.keep_alive.map_or(NEVER, millis)),
            stopping: AtomicBool::new(false),
            closed: Default::default(),
            arrivals: ArrivalCounts::default(),
            limits,
        }
    }

    /// Gives a new connection to a worker. `Err`: none has room (or all are ending); the acceptor is woken
    /// when one has.
    pub(crate) fn place(&self, arrival: Arrival<S::Message>) -> Result<(), Arrival<S::Message>> {
        if let Some(shared) = &self.shared {
            return shared.try_send_or_await(arrival).map_err(|refused| refused.into_inner());
        }
        match self.send_to_any(None, self.first_choice(), Letter::Arrived(arrival)) {
            Ok(()) => Ok(()),
            Err(Letter::Arrived(arrival)) => Err(arrival),
            Err(_) => unreachable!("what is refused is given back"),
        }
    }

    /// Gives a live connection of worker `from` to another one. `Err`: none has room; [`Hub::moves`] changes when one has.
    pub(crate) fn place_moved(&self, from: usize, letter: Letter<S>) -> Result<(), Letter<S>> {
        self.send_to_any(Some(from), self.least_loaded(Some(from)), letter)
    }

    /// Asked twice: only when all have refused is it time to wait for room in any.
    fn send_to_any(
        &self,
        except: Option<usize>,
        first: usize,
        mut letter: Letter<S>,
    ) -> Result<(), Letter<S>> {
        for await_room in [false, true] {
            for worker in self.in_turn_from(first).filter(|&worker| self.takes_part(worker, except)) {
                let sent =
                    self.desks[worker].mailbox.try_send(letter, await_room, |letter| letter.assign(worker));
                match sent {
                    Ok(()) => return Ok(()),
                    Err(refused) => letter = refused.into_inner(),
                }
            }
        }
        Err(letter)
    }

    fn takes_part(&self, worker: usize, except: Option<usize>) -> bool {
        Some(worker) != except && !self.is_draining(worker)
    }

    /// Whether a worker other than `from` takes connections.
    pub(crate) fn has_another(&self, from: usize) -> bool {
        (0..self.desks.len()).any(|worker| self.takes_part(worker, Some(from)))
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
        let _ = desk.waker.wake();
    }

    /// Whether something was put aside for `worker`.
    pub(crate) fn has_aside(&self, worker: usize) -> bool {
        self.desks[worker].aside.any.load(Acquire)
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
        duration(&self.idle_timeout_ms)
    }

    pub(crate) fn keep_alive(&self) -> Option<Duration> {
        duration(&self.keep_alive_ms)
    }

    pub(crate) fn count_closed(&self, reason: CloseReason) {
        self.closed[reason as usize].fetch_add(1, Relaxed);
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
            .filter(|&worker| self.takes_part(worker, except))
            .min_by_key(|&worker| self.admission.load(worker))
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

    fn join(&self, stream: Socket, local: bool, way: Way<S::Message>) -> Result<(), JoinError> {
        let seat = self.admission.take(local).ok_or(JoinError::NoSeat)?;
        self.place(Arrival { stream, seat, way }).map_err(|_| JoinError::NoWorker)
    }
}

impl<S: Service> Workers<S::Message> for Hub<S> {
    fn count(&self) -> usize {
        self.desks.len()
    }

    fn post(&self, worker: usize, message: S::Message) -> Result<(), Undelivered<S::Message>> {
        let Some(desk) = self.desks.get(worker) else { return Err(Undelivered(message)) };
        desk.mailbox.try_send(Letter::Message(message), false, |_| ()).map_err(|refused| {
            match refused.into_inner() {
                Letter::Message(message) => Undelivered(message),
                _ => unreachable!("what is refused is given back"),
            }
        })
    }

    fn post_to(
        &self,
        to: &Address,
        message: S::Message,
        from: Option<usize>,
    ) -> Result<(), Undelivered<S::Message>> {
        let Some(worker) = to.worker() else { return Err(Undelivered(message)) };
        let letter = Letter::MessageTo { to: to.clone(), message, from };
        self.desks[worker].mailbox.try_send(letter, false, |_| ()).map_err(|refused| {
            match refused.into_inner() {
                Letter::MessageTo { message, .. } => Undelivered(message),
                _ => unreachable!("what is refused is given back"),
            }
        })
    }

    fn resume(&self, connection: &Address) {
        if connection.mark_resumed()
            && let Some(worker) = connection.worker()
        {
            self.put_aside(worker, Thing::Resumed(connection.clone()));
        }
    }

    fn adopt(&self, socket: Socket, peer: Peer, purpose: S::Message) -> Result<(), JoinError> {
        socket.set_nonblocking(true)?;
        let local = peer.is_local();
        self.join(socket, local, Way::Adopted { peer, purpose })
    }

    fn connect(&self, remote: SocketAddr, timeout: Duration, purpose: S::Message) -> Result<(), JoinError> {
        let domain = socket2::Domain::for_address(remote);
        let socket = Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        sys::set_keep_alive(&socket, self.keep_alive())?;
        match socket.connect(&remote.into()) {
            Ok(()) => {}
            Err(error) if sys::is_connecting(&error) => {}
            Err(error) => return Err(error.into()),
        }
        self.join(socket, true, Way::Opens { remote, deadline: after(Instant::now(), timeout), purpose })
    }

    fn connections(&self) -> usize {
        self.admission.taken()
    }

    fn load(&self, worker: usize) -> usize {
        if worker < self.desks.len() { self.admission.load(worker) } else { 0 }
    }

    fn set_max_connections(&self, max: usize) {
        self.admission.set_max(max);
    }

    fn max_connections(&self) -> usize {
        self.admission.max()
    }

    fn set_max_memory_bytes(&self, max: usize) {
        self.budget.set_limit(max);
    }

    fn memory_bytes(&self) -> usize {
        self.budget.used()
    }

    fn set_idle_timeout(&self, timeout: Option<Duration>) {
        self.idle_timeout_ms.store(timeout.map_or(NEVER, millis), Relaxed);
        self.wake_all();
    }

    fn set_keep_alive(&self, after: Option<Duration>) {
        self.keep_alive_ms.store(after.map_or(NEVER, millis), Relaxed);
        let _ = self.acceptor.wake();
    }

    fn drain(&self, worker: usize, on: bool) {
        if let Some(desk) = self.desks.get(worker) {
            desk.draining.store(on, Relaxed);
            self.moves.fetch_add(1, Release);
            self.wake_all();
        }
    }

    fn move_away(&self, worker: usize, at_most: usize) -> bool {
        let letter = Letter::MoveAway { at_most };
        self.desks.get(worker).is_some_and(|desk| desk.mailbox.try_send(letter, false, |_| ()).is_ok())
    }

    fn stats(&self, worker: usize) -> WorkerStats {
        let Some(Desk { stats: cell, .. }) = self.desks.get(worker) else { return WorkerStats::default() };
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
            system_refusals: self.arrivals.system_refusals.load(Relaxed),
            refused: self.arrivals.refused.load(Relaxed),
            unserved: self.admission.unserved(),
        }
    }

    fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize].load(Relaxed)
    }

    fn shutdown(&self) {
        self.stopping.store(true, Relaxed);
        self.wake_all();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER - 1)
}

fn duration(ms: &AtomicU64) -> Option<Duration> {
    match ms.load(Relaxed) {
        NEVER => None,
        ms => Some(Duration::from_millis(ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::io::{Handle, In, Out};
    use crate::connection::service::{Flow, Opening, Turn};
    use crate::system::notify::Notifier;

    struct Mute;

    impl Service for Mute {
        type Session = ();
        type Message = ();
        fn open(&mut self, _: Handle<'_>, _: &Peer, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<()> {
            Opening::Serve(())
        }
        fn on_input(
            &mut self,
            _: Handle<'_>,
            (): &mut (),
            _: &mut In<'_>,
            _: &mut Out<'_>,
            _: &Turn<'_, Self>,
        ) -> Flow {
            Flow::NeedInput
        }
    }

    /// Two workers that never take their mail, and connections for them.
    fn hub(handoff: Handoff, capacity: usize) -> (Hub<Mute>, impl Fn(&Hub<Mute>) -> Arrival<()>) {
        let waker = || Notifier::new().unwrap().waker();
        let limits = Limits { mailbox_capacity: capacity, ..Limits::default() };
        let shared = (handoff == Handoff::Shared).then(|| SharedQueue::new(capacity).unwrap());
        let hub = Hub::new(limits, handoff, vec![waker(), waker()], waker(), shared);
        let arrive = move |hub: &Hub<Mute>| {
            let (stream, _) = crate::system::socketpair::pair().unwrap();
            let peer = Peer::Unix { path: std::path::Path::new("here").into() };
            Arrival { stream, seat: hub.admission.take(true).unwrap(), way: Way::Accepted(peer) }
        };
        (hub, arrive)
    }

    #[test]
    fn what_is_left_for_a_worker_that_ended_is_counted_and_what_comes_later_is_given_back() {
        let (hub, arrive) = hub(Handoff::RoundRobin, 10);
        for _ in 0..6 {
            hub.place(arrive(&hub)).unwrap();
        }
        hub.post(0, ()).unwrap();
        assert_eq!((hub.connections(), hub.load(0), hub.load(1)), (6, 3, 3));
        hub.close_arrivals(0);
        assert_eq!((hub.acceptor_stats().unserved, hub.connections()), (3, 3));
        assert!(hub.post(0, ()).is_err());
        hub.place(arrive(&hub)).unwrap();
        hub.close_arrivals(1);
        assert_eq!((hub.acceptor_stats().unserved, hub.connections()), (7, 0));
        assert!(hub.place(arrive(&hub)).is_err());
        assert_eq!(hub.connections(), 0);
    }

    #[test]
    fn the_shared_queue_gives_back_what_it_has_no_room_for_and_counts_what_is_left() {
        let (hub, arrive) = hub(Handoff::Shared, 2);
        hub.place(arrive(&hub)).unwrap();
        hub.place(arrive(&hub)).unwrap();
        assert!(hub.place(arrive(&hub)).is_err());
        let (taken, room_awaited) = hub.shared.as_ref().unwrap().take();
        assert!(taken.is_some() && room_awaited);
        let unserved = hub.acceptor_stats().unserved;
        hub.close_arrivals(0);
        assert_eq!(hub.acceptor_stats().unserved, unserved + 1);
        assert!(hub.place(arrive(&hub)).is_err());
    }

    #[test]
    fn a_connection_that_is_opened_from_here_is_kept_alive_like_all_others() {
        let (hub, _) = hub(Handoff::RoundRobin, 2);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for after in [Some(Duration::from_secs(77)), None] {
            hub.set_keep_alive(after);
            hub.connect(listener.local_addr().unwrap(), Duration::from_secs(5), ()).unwrap();
            let mut mail = Vec::new();
            for desk in &hub.desks {
                desk.mailbox.take(10, &mut mail);
            }
            let Some(Letter::Arrived(arrival)) = mail.pop() else { panic!("nothing came") };
            assert_eq!(arrival.stream.keepalive().unwrap(), after.is_some());
        }
    }

    #[test]
    fn a_draining_worker_is_passed_over_and_a_full_one_too() {
        let (hub, arrive) = hub(Handoff::LeastConnections, 2);
        hub.drain(0, true);
        hub.place(arrive(&hub)).unwrap();
        hub.place(arrive(&hub)).unwrap();
        assert!(hub.place(arrive(&hub)).is_err(), "worker 1 is full and worker 0 is drained");
        hub.drain(0, false);
        hub.place(arrive(&hub)).unwrap();
        assert_eq!(hub.connections(), 3);
    }

    #[test]
    fn a_worker_that_does_not_exist_takes_nothing_and_breaks_nothing() {
        let (hub, _) = hub(Handoff::RoundRobin, 2);
        assert!(hub.post(2, ()).is_err() && !hub.move_away(2, 1));
        hub.drain(2, true);
        assert_eq!((hub.stats(2), hub.load(2)), (WorkerStats::default(), 0));
    }

    #[test]
    fn a_resume_reaches_the_worker_once_whatever_its_mailbox_holds() {
        let (hub, arrive) = hub(Handoff::RoundRobin, 1);
        let arrival = arrive(&hub);
        let address = arrival.seat.address();
        hub.resume(&address);
        hub.place(arrival).unwrap();
        assert!(hub.take_aside(0).is_empty(), "nobody has it yet, and whoever takes it sees the mark");
        assert!(address.take_resumed());
        assert!(hub.post(0, ()).is_err(), "the mailbox is full");
        hub.resume(&address);
        hub.resume(&address);
        assert_eq!(hub.take_aside(0).len(), 1);
    }
}
