//! One worker thread: waits, lets [`Core`] do the turn, tells the poller what came of it.
//!
//! A thin shell: no decision about a connection is made here. Invariants: the notifier's wait is ended and
//! then the mailbox is emptied, in this order, before the next sleep; a socket leaves the poller before it
//! is closed or handed on.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::{Action, Core, Detached};
use crate::handoff::{Arrival, Letter, Live};
use crate::hub::Hub;
use crate::notify::Notifier;
use crate::poll::{Events, Interest, Poller};
use crate::token::reserved_key;
use crate::{CloseReason, Service, Token, Turn};

const NOTIFIER: usize = reserved_key(0);
const SHARED_QUEUE: usize = reserved_key(1);

/// How soon a draining worker tries again to move what no other worker had room for.
const DRAIN_RETRY: Duration = Duration::from_millis(5);

/// What a worker waits with: made before its thread, so that a lack of descriptors is an error of the start.
pub(crate) struct Station {
    notifier: Notifier,
    poller: Poller,
}

impl Station {
    pub(crate) fn new() -> io::Result<Self> {
        let notifier = Notifier::new().map_err(io::Error::other)?;
        let mut poller = Poller::new()?;
        poller.add(NOTIFIER, notifier.source(), Interest::READ)?;
        Ok(Self { notifier, poller })
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.notifier
    }
}

pub(crate) struct Worker<S: Service> {
    index: usize,
    hub: Arc<Hub<S>>,
    notifier: Notifier,
    poller: Poller,
    core: Core<S, Arc<TcpStream>>,
    mail: Vec<Letter<S>>,
    messages: Vec<S::Message>,
    /// The mailbox was empty when it was last looked at.
    mail_emptied: bool,
    /// Connections to be given away in this turn.
    to_move: usize,
    /// Whether the poller watches the shared queue.
    shared_polled: bool,
    stopping: bool,
}

impl<S: Service> Worker<S> {
    pub(crate) fn new(index: usize, hub: Arc<Hub<S>>, station: Station, service: S) -> io::Result<Self> {
        let Station { notifier, mut poller } = station;
        if let Some(shared) = &hub.shared {
            poller.add(SHARED_QUEUE, shared.source()?, Interest::READ)?;
        }
        let core = Core::new(service, hub.limits.clone(), Instant::now());
        Ok(Self {
            index,
            hub,
            notifier,
            poller,
            core,
            mail: Vec::new(),
            messages: Vec::new(),
            mail_emptied: false,
            to_move: 0,
            shared_polled: true,
            stopping: false,
        })
    }

    /// Serves until the server is shut down and the last connection has gone.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::new();
        while !(self.stopping && self.core.is_empty()) {
            self.wait(&mut events)?;
            self.turn(&events);
        }
        Ok(())
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let drained = self.mail_emptied && !self.core.has_ready();
        let wait = self.notifier.begin_wait(drained);
        let timeout = if wait.may_block() {
            let now = Instant::now();
            let mut deadline = self.core.next_deadline();
            if self.hub.is_draining(self.index) && !self.core.is_empty() {
                deadline = [deadline, Some(now + DRAIN_RETRY)].into_iter().flatten().min();
            }
            deadline.map(|at| round_up(at.saturating_duration_since(now)))
        } else {
            None
        };
        self.poller.wait(events, wait.timeout(timeout))?;
        let notified = events.iter().any(|event| event.key == NOTIFIER);
        wait.end(notified).map_err(io::Error::other)
    }

    fn turn(&mut self, events: &Events) {
        let hub = self.hub.clone();
        let turn = Turn { now: Instant::now(), worker: self.index, workers: &*hub };
        self.core.set_idle_timeout(hub.idle_timeout(), turn.now);
        self.poll_shared(!hub.is_draining(self.index) && !hub.is_stopping());
        self.take_mail(&turn);
        for event in events.iter() {
            match event.key {
                NOTIFIER => {}
                SHARED_QUEUE => self.take_shared(&turn),
                _ => self.core.event(event, &turn),
            }
        }
        self.core.run_ready(&turn);
        for message in self.messages.drain(..) {
            self.core.message(message, &turn);
        }
        self.core.timers(&turn);
        self.core.finish(&turn);
        self.apply();
        self.move_away(&turn);
        hub.publish(self.index, &self.core.stats());
    }

    fn take_mail(&mut self, turn: &Turn<'_, S>) {
        let mailbox = &self.hub.desks[self.index].mailbox;
        if self.hub.is_stopping() {
            if !self.stopping {
                self.stopping = true;
                self.mail.extend(mailbox.close());
                self.mail_emptied = true;
                let arrivals = self.hub.shared.as_ref().map(|shared| shared.close()).unwrap_or_default();
                self.hub.count_unserved(arrivals.len());
                self.core.shutdown(turn.now);
            }
        } else {
            let taken = mailbox.take(self.hub.limits.mail_per_turn.max(1), &mut self.mail);
            self.mail_emptied = taken.emptied;
            if taken.room_awaited {
                // It only fails if the acceptor has ended, and then nobody waits.
                let _ = self.hub.acceptor.wake();
            }
        }
        let mut mail = std::mem::take(&mut self.mail);
        for letter in mail.drain(..) {
            match letter {
                Letter::Arrived(_) if self.stopping => {
                    self.hub.count_unserved(1);
                    self.hub.left(self.index, 1);
                }
                Letter::Arrived(arrival) => self.open(arrival, turn),
                Letter::Moved(conn) => self.adopt(*conn, turn),
                Letter::Message(message) => self.messages.push(message),
                Letter::MoveAway { at_most } => self.to_move = self.to_move.saturating_add(at_most),
            }
        }
        self.mail = mail;
    }

    fn take_shared(&mut self, turn: &Turn<'_, S>) {
        let Some(shared) = &self.hub.shared else { return };
        let (arrival, room_awaited) = shared.take();
        if room_awaited {
            let _ = self.hub.acceptor.wake();
        }
        if let Some(arrival) = arrival {
            self.hub.came(self.index);
            self.open(arrival, turn);
        }
    }

    /// A draining worker does not look at the shared queue, which would report the same byte for ever.
    fn poll_shared(&mut self, on: bool) {
        if self.shared_polled != on && self.hub.shared.is_some() {
            self.shared_polled = on;
            let interest = if on { Interest::READ } else { Interest::NONE };
            if let Err(error) = self.poller.modify(SHARED_QUEUE, interest) {
                tracing::warn!(%error, "the poller refused a new interest");
            }
        }
    }

    fn open(&mut self, arrival: Arrival, turn: &Turn<'_, S>) {
        let stream = Arc::new(arrival.stream);
        let Some(token) = self.core.open(stream.clone(), arrival.peer, turn) else {
            self.hub.count_unserved(1);
            self.hub.left(self.index, 1);
            return;
        };
        self.add_to_poller(token, stream, turn);
    }

    fn adopt(&mut self, conn: Live<S>, turn: &Turn<'_, S>) {
        let stream = conn.stream.clone();
        let Some(token) = self.core.adopt(conn, turn) else {
            self.hub.count_unserved(1);
            self.hub.left(self.index, 1);
            return;
        };
        self.add_to_poller(token, stream, turn);
    }

    fn add_to_poller(&mut self, token: Token, stream: Arc<TcpStream>, turn: &Turn<'_, S>) {
        if let Err(error) = self.poller.add(token.key(), stream, self.core.interest(token)) {
            tracing::warn!(%error, "a connection cannot be polled and is closed");
            self.core.abort(token.slot, CloseReason::PeerReset, turn);
        }
    }

    /// Does to the poller what the turn decided.
    fn apply(&mut self) {
        let mut closed = 0;
        for action in self.core.actions().drain(..) {
            match action {
                Action::Modify(token, interest) => {
                    if let Err(error) = self.poller.modify(token.key(), interest) {
                        tracing::warn!(%error, "the poller refused a new interest");
                    }
                }
                Action::Close(token, stream) => {
                    // Not found: it could not be added, and is closed for that.
                    let _ = self.poller.delete(token.key());
                    drop(stream);
                    closed += 1;
                }
            }
        }
        if closed > 0 {
            self.hub.left(self.index, closed);
        }
    }

    /// Gives connections to other workers, if that was asked for.
    fn move_away(&mut self, turn: &Turn<'_, S>) {
        let mut at_most = std::mem::take(&mut self.to_move);
        if self.hub.is_draining(self.index) {
            at_most = usize::MAX;
        }
        if at_most == 0 || self.stopping || self.hub.desks.len() < 2 {
            return;
        }
        for slot in self.core.slots() {
            if at_most == 0 {
                return;
            }
            let Some(Detached { token, conn }) = self.core.detach(slot, turn) else { continue };
            // Before another worker's poller gets it.
            let _ = self.poller.delete(token.key());
            match self.hub.place_moved(self.index, Letter::Moved(Box::new(conn))) {
                Ok(()) => at_most -= 1,
                Err(Letter::Moved(conn)) => {
                    // No room anywhere: it stays.
                    self.adopt(*conn, turn);
                    return;
                }
                Err(_) => unreachable!("what is refused is given back"),
            }
        }
    }
}

/// A poller counts whole milliseconds or rounds down on some systems: waking a moment early would turn
/// into a spin until the deadline.
fn round_up(duration: Duration) -> Duration {
    Duration::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).next_multiple_of(1_000_000))
}
