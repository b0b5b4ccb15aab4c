//! One worker thread: waits, lets [`Core`] do the turn, tells the poller what came of it.
//!
//! A thin shell: no decision about a connection is made here. Invariants: the notifier's wait is ended and
//! then the mailbox and what lies beside it are emptied, in this order, before the next sleep; a socket leaves the
//! poller before it is closed or handed on, and is closed before its seat is given back.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::base::token::{Token, reserved_key};
use crate::connection::counts::WorkerStats;
use crate::connection::place::Resume;
use crate::connection::reason::CloseReason;
use crate::connection::seat::Address;
use crate::connection::service::{HandedOut, Service, Turn};
use crate::connection::workers::Messages;
use crate::many::core::{Action, Core, Leaving};
use crate::many::handoff::aside::Thing;
use crate::many::handoff::{Arrival, Letter, Live, Mail, Way};
use crate::many::hub::Hub;
use crate::system::notify::Notifier;
use crate::system::poll::{Events, Interest, Poller};
use crate::threads::last_look::LastLook;
use crate::threads::trial::Trial;

const NOTIFIER: usize = reserved_key(0);
const SHARED_QUEUE: usize = reserved_key(1);
/// So rarely a worker reads what all have served.
const TURNS_PER_COUNT: u64 = 32;

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
    core: Core<S, Arc<Socket>>,
    mail: VecDeque<Letter<S>>,
    messages: VecDeque<Posted<S::Message>>,
    /// What is to be delivered in this turn of the mail for which there was room.
    reserved: VecDeque<Mail<S::Message>>,
    /// The mailbox was empty when it was last looked at.
    mail_emptied: bool,
    /// Connections to be given away in this turn.
    to_move: usize,
    /// [`Hub::moves`] when all connections were last tried, while draining.
    moves_seen: Option<u64>,
    /// [`Hub::moves`] when no other worker had room for one of ours.
    no_room: Option<u64>,
    /// Whether the poller watches the shared queue.
    shared_polled: bool,
    /// When timers are due, as far as was known before the last wait.
    deadline: Option<Instant>,
    /// Whether looks before a sleep let all workers serve more; none where nobody has to share a core with one.
    looks: Option<Arc<Trial>>,
    last_look: LastLook,
    /// Looks before a sleep, and those that found something.
    looks_made: u64,
    looks_found: u64,
    /// The look before the last sleep has found something, in place of that.
    found_at_last: bool,
    turn_began: Instant,
    stopping: bool,
}

/// If it panicked: what it has taken of its mail and not come to is left to others.
impl<S: Service> Drop for Worker<S> {
    fn drop(&mut self) {
        let messages = self.messages.drain(..).map(|posted| match posted {
            Posted::Here(message) => Letter::Message(message),
            Posted::To { to, message, from } => Letter::MessageTo { to, message, from },
        });
        let reserved = self.reserved.drain(..).map(|Mail { message, .. }| Letter::Message(message));
        self.hub.leave_to_others(self.index, reserved.chain(messages).chain(self.mail.drain(..)));
    }
}

/// A message that is to be delivered in this turn.
enum Posted<M> {
    Here(M),
    /// To a connection; `from`: the worker that sent it.
    To {
        to: Address,
        message: M,
        from: Option<usize>,
    },
}

impl<S: Service> Worker<S> {
    pub(crate) fn new(
        index: usize,
        hub: Arc<Hub<S>>,
        station: Station,
        looks: Option<Arc<Trial>>,
        service: S,
    ) -> io::Result<Self> {
        let Station { notifier, mut poller } = station;
        if let Some(shared) = &hub.shared {
            poller.add(SHARED_QUEUE, shared.source()?, Interest::READ)?;
        }
        let core = Core::new(service, hub.limits.clone(), hub.budget.clone(), index, Instant::now());
        Ok(Self {
            index,
            hub,
            notifier,
            poller,
            core,
            mail: VecDeque::new(),
            messages: VecDeque::new(),
            reserved: VecDeque::new(),
            mail_emptied: false,
            to_move: 0,
            moves_seen: None,
            no_room: None,
            shared_polled: true,
            deadline: None,
            looks,
            last_look: LastLook::default(),
            looks_made: 0,
            looks_found: 0,
            found_at_last: false,
            turn_began: Instant::now(),
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
        self.take_last();
        Ok(())
    }

    /// What was put aside in the last turn is not left to others.
    fn take_last(&mut self) {
        let hub = self.hub.clone();
        let turn = Turn { now: Instant::now(), worker: self.index, workers: &*hub };
        for thing in hub.close_aside(self.index) {
            self.take_thing(thing, &turn);
        }
        self.count_closed();
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let drained = self.mail_emptied && !self.core.has_ready();
        let idle_work = drained && self.core.has_idle_work();
        // For what is to be done when nothing else is, a look is enough.
        let wait = self.notifier.begin_wait(drained && !idle_work);
        self.deadline = self.core.next_deadline();
        // Where replies wait for a commit others bring that, and wake.
        let looks = wait.may_block()
            && !self.core.holds_replies()
            && self.looks.as_ref().is_some_and(|looks| looks.is_on())
            && self.last_look.is_due();
        if looks {
            thread::yield_now();
            self.poller.wait(events, Some(Duration::ZERO))?;
        }
        self.found_at_last = looks && !events.is_empty();
        self.looks_made += u64::from(looks);
        self.looks_found += u64::from(self.found_at_last);
        if !self.found_at_last {
            if looks {
                self.last_look.told(false, self.turn_began.elapsed());
            }
            let timeout = match self.deadline {
                Some(at) if wait.may_block() => Some(at.saturating_duration_since(Instant::now())),
                _ => None,
            };
            self.poller.wait(events, wait.timeout(timeout))?;
        }
        let notified = events.iter().any(|event| event.key == NOTIFIER);
        wait.end(notified).map_err(io::Error::other)?;
        if idle_work && events.is_empty() {
            self.core.idle();
        }
        Ok(())
    }

    fn turn(&mut self, events: &Events) {
        let hub = self.hub.clone();
        let turn = Turn { now: Instant::now(), worker: self.index, workers: &*hub };
        // With the turn before it: for what it is to tell that is near enough, and the clock was read.
        let since = turn.now - std::mem::replace(&mut self.turn_began, turn.now);
        if self.found_at_last {
            self.last_look.told(true, since);
        }
        self.core.begin(&turn);
        self.core.set_idle_timeout(hub.idle_timeout(), turn.now);
        self.poll_shared(!hub.is_draining(self.index) && !hub.is_stopping());
        self.take_mail(&turn);
        self.take_aside(&turn);
        // Before input: who asks after he has heard that something was told finds it told.
        self.deliver(&turn);
        for event in events.iter() {
            match event.key {
                NOTIFIER => {}
                SHARED_QUEUE => self.take_shared(&turn),
                _ => self.core.event(event, &turn),
            }
        }
        self.core.run_ready(&turn);
        // What has become due by this turn itself is seen before the next wait.
        if self.deadline.is_some_and(|at| at <= turn.now) || hub.budget.is_awaited() {
            self.core.timers(&turn);
        }
        self.core.finish(&turn);
        self.apply(&turn);
        self.move_away(&turn);
        let stats =
            WorkerStats { looks: self.looks_made, looks_found: self.looks_found, ..self.core.stats() };
        hub.publish(self.index, &stats);
        if let Some(looks) = &self.looks
            && stats.turns.is_multiple_of(TURNS_PER_COUNT)
        {
            looks.told(|| hub.reads(), turn.now);
        }
    }

    fn take_mail(&mut self, turn: &Turn<'_, S>) {
        let desk = &self.hub.desks[self.index];
        if self.hub.is_stopping() {
            if !self.stopping {
                self.stopping = true;
                self.mail.extend(desk.mailbox.close());
                self.mail_emptied = true;
                desk.lane.close();
                self.reserved.extend(desk.mail.close());
                if let Some(shared) = &self.hub.shared {
                    self.mail.extend(shared.close().into_iter().map(Letter::Arrived));
                }
                self.core.shutdown(turn.now);
            }
        } else {
            let taken = desk.mailbox.take(self.hub.limits.mail_per_turn, &mut self.mail);
            self.mail_emptied = taken.emptied;
            if taken.room_awaited {
                self.hub.room_made();
            }
            if desk.mail.has_any() {
                self.take_lane();
            }
        }
        while let Some(letter) = self.mail.pop_front() {
            match letter {
                Letter::Arrived(arrival) if self.stopping => self.turn_away(arrival, turn),
                Letter::Arrived(arrival) => self.open(arrival, turn),
                Letter::Moved(moved) => self.adopt(*moved, turn),
                Letter::Message(message) => self.messages.push_back(Posted::Here(message)),
                Letter::MessageTo { to, message, from } => {
                    self.messages.push_back(Posted::To { to, message, from });
                }
                Letter::MoveAway { at_most } => self.to_move = self.to_move.saturating_add(at_most),
            }
        }
    }

    /// Of the mail no more than so many bytes, since all of it may go to each connection, and at least one message.
    #[cold]
    fn take_lane(&mut self) {
        let (limits, desk) = (&self.hub.limits, &self.hub.desks[self.index]);
        let mut bytes = 0;
        let wanted = |mail: &Mail<_>| {
            let first = bytes == 0;
            bytes += mail.room.bytes();
            first || bytes <= limits.read_bytes_per_turn
        };
        let taken = desk.mail.take_while(limits.mail_per_turn, wanted, &mut self.reserved);
        self.mail_emptied &= taken.emptied;
    }

    /// It came too late. Its seat counts it as not served.
    fn turn_away(&mut self, arrival: Arrival<S::Message>, turn: &Turn<'_, S>) {
        match arrival.way {
            Way::Accepted(_) => {}
            Way::Adopted { purpose, .. } => self.core.undelivered(purpose, turn),
            Way::Opens { remote, purpose, .. } => {
                self.core.not_opened(purpose, remote, ErrorKind::ConnectionAborted, turn);
            }
        }
    }

    /// What could not be refused.
    fn take_aside(&mut self, turn: &Turn<'_, S>) {
        if !self.hub.has_aside(self.index) {
            return;
        }
        for thing in self.hub.take_aside(self.index) {
            self.take_thing(thing, turn);
        }
    }

    fn take_thing(&mut self, thing: Thing<S::Message>, turn: &Turn<'_, S>) {
        match thing {
            Thing::CameBack(message) => self.core.undelivered(message, turn),
            Thing::NotOpened { remote, purpose } => {
                self.core.not_opened(purpose, remote, ErrorKind::ConnectionAborted, turn);
            }
            Thing::Resumed(address) => match address.resume_at(self.index) {
                Resume::Here(token) => self.core.resume(token),
                Resume::Elsewhere(worker) => self.hub.pass_on(worker, address),
                Resume::Nowhere => {}
            },
        }
    }

    fn deliver(&mut self, turn: &Turn<'_, S>) {
        if !self.reserved.is_empty() {
            self.deliver_reserved(turn);
        }
        while let Some(posted) = self.messages.pop_front() {
            let (to, message, from) = match posted {
                Posted::Here(message) => {
                    self.core.message(message, None, turn);
                    continue;
                }
                Posted::To { to, message, from } => (to, message, from),
            };
            match to.token_at(self.index) {
                Some(token) if self.core.serves(token) => self.core.message(message, Some(token), turn),
                // It is closing.
                Some(_) => self.hub.give_back(message, from, self.index),
                // It has moved, or lies behind this message in our mailbox.
                None => {
                    if let Err(undelivered) = self.hub.post_to(&to, message, from) {
                        self.hub.give_back(undelivered.0, from, self.index);
                    }
                }
            }
        }
    }

    #[cold]
    fn deliver_reserved(&mut self, turn: &Turn<'_, S>) {
        let Self { core, reserved, .. } = self;
        let mut rooms = Vec::with_capacity(reserved.len());
        let mut mail = std::iter::from_fn(|| {
            let Mail { message, room } = reserved.pop_front()?;
            rooms.push(room);
            Some(message)
        });
        core.mail(&mut mail, turn);
        reserved.clear();
        // Not before: what they held is now in outputs, where it counts.
        drop(rooms);
    }

    fn take_shared(&mut self, turn: &Turn<'_, S>) {
        let Some(shared) = &self.hub.shared else { return };
        let (arrival, room_awaited) = shared.take();
        if room_awaited {
            self.hub.room_made();
        }
        if let Some(arrival) = arrival {
            arrival.seat.assign(self.index);
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

    fn open(&mut self, arrival: Arrival<S::Message>, turn: &Turn<'_, S>) {
        let Arrival { stream, seat, way } = arrival;
        let stream = Arc::new(stream);
        let token = match way {
            Way::Accepted(peer) => self.core.open(stream.clone(), &peer, None, seat, turn),
            Way::Adopted { peer, purpose } => {
                self.core.open(stream.clone(), &peer, Some(purpose), seat, turn)
            }
            Way::Opens { remote, deadline, purpose } => {
                self.core.connecting(stream.clone(), remote, purpose, seat, deadline, turn)
            }
        };
        if let Some(token) = token {
            self.add_to_poller(token, stream, turn);
        }
    }

    fn adopt(&mut self, moved: Live<S>, turn: &Turn<'_, S>) {
        let stream = moved.stream().clone();
        if let Some(token) = self.core.adopt(moved, turn) {
            self.add_to_poller(token, stream, turn);
        }
    }

    fn add_to_poller(&mut self, token: Token, stream: Arc<Socket>, turn: &Turn<'_, S>) {
        if let Err(error) = self.poller.add(token.key(), stream, self.core.interest(token)) {
            tracing::warn!(%error, "a connection cannot be polled and is closed");
            self.core.abort(token.slot, CloseReason::System, turn);
        }
    }

    /// Does to the poller what the turn decided.
    fn apply(&mut self, turn: &Turn<'_, S>) {
        if self.core.actions().is_empty() && !self.core.has_closed() {
            return;
        }
        let mut actions = std::mem::take(self.core.actions());
        for action in actions.drain(..) {
            match action {
                Action::Modify(token, interest) => {
                    if let Err(error) = self.poller.modify(token.key(), interest) {
                        // The poller tells what it told before, or nothing: nobody would know what to wait for.
                        tracing::warn!(%error, "the poller refused a new interest, and the connection is closed");
                        self.core.abort_token(token, CloseReason::System, turn);
                    }
                }
                Action::Close(token, stream, seat) => {
                    // Not found: it could not be added, and is closed for that.
                    let _ = self.poller.delete(token.key());
                    drop(stream);
                    drop(seat);
                }
                Action::HandOut(token, stream, leaving) => self.hand_out(token, stream, *leaving, turn),
            }
        }
        // What an interest that was refused has closed.
        let more = std::mem::replace(self.core.actions(), actions);
        if !more.is_empty() {
            self.core.actions().extend(more);
            self.apply(turn);
        }
        self.count_closed();
    }

    fn count_closed(&mut self) {
        for reason in self.core.take_closed() {
            self.hub.count_closed(reason);
        }
    }

    fn hand_out(
        &mut self,
        token: Token,
        stream: Arc<Socket>,
        leaving: Leaving<S::Session>,
        turn: &Turn<'_, S>,
    ) {
        let Leaving { session, unread, seat } = leaving;
        let _ = self.poller.delete(token.key());
        match Arc::try_unwrap(stream) {
            Ok(socket) => self.core.handed_out(token, HandedOut { session, socket, unread }, turn),
            // The poller would not let it go.
            Err(_) => self.core.not_handed_out(token, session, turn),
        }
        drop(seat);
    }

    /// Gives connections to other workers, if that was asked for.
    fn move_away(&mut self, turn: &Turn<'_, S>) {
        let draining = self.hub.is_draining(self.index) && !self.stopping;
        if !draining && self.to_move == 0 && self.moves_seen.is_none() {
            return;
        }
        let at_most = std::mem::take(&mut self.to_move);
        if draining {
            self.core.note_settled(true);
            // All of them where something has changed, else those that have: what had to stay stays.
            let moves = self.hub.moves();
            let anew = self.moves_seen.replace(moves) != Some(moves);
            let slots = if anew { self.core.slots() } else { self.core.take_settled() };
            // One that was refused came back and counts as settled: it is not tried again before there may be room.
            if self.no_room != Some(moves) {
                let refused = !self.move_slots(slots, usize::MAX, turn);
                self.no_room = refused.then_some(moves);
            }
        } else {
            self.moves_seen = None;
            self.no_room = None;
            self.core.note_settled(false);
            if at_most > 0 && !self.stopping {
                self.move_slots(self.core.slots(), at_most, turn);
            }
        }
    }

    /// `false`: no other worker has room; [`Hub::moves`] changes when one has.
    fn move_slots(&mut self, slots: Vec<u32>, mut at_most: usize, turn: &Turn<'_, S>) -> bool {
        if !self.hub.has_another(self.index) {
            return true;
        }
        for slot in slots {
            if at_most == 0 {
                return true;
            }
            let Some((token, moved)) = self.core.detach(slot, turn) else { continue };
            // Before another worker's poller gets it.
            let _ = self.poller.delete(token.key());
            match self.hub.place_moved(self.index, Letter::Moved(Box::new(moved))) {
                Ok(()) => at_most -= 1,
                Err(Letter::Moved(moved)) => {
                    // No room anywhere: it stays, until there is.
                    self.adopt(*moved, turn);
                    return false;
                }
                Err(_) => unreachable!("what is refused is given back"),
            }
        }
        true
    }
}
