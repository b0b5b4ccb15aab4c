//! Many connections and one service: the order of a turn. No socket, no poller, no clock.
//!
//! The worker calls, in this order, [`Core::begin`], [`Core::open`] and [`Core::adopt`] for what came, [`Core::mail`] and
//! [`Core::message`] for messages, [`Core::event`] for each event, [`Core::run_ready`], [`Core::timers`] and at last
//! [`Core::finish`], which ends the turn: the service settles its commits, each connection with something
//! to send is written to once, and what the poller must be told is left as [`Action`]s.
//!
//! Invariants: each connection executes at most once per turn and within its budget; nothing is written
//! before [`Service::end_turn`] has answered; [`Service::on_close`] is called exactly once per session,
//! unless it moved away or was handed out.

mod arrive;
mod conns;
mod line;
mod memory;
mod moving;
mod serve;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use conns::{Action, Conns, Leaving};
pub(crate) use moving::Moved;

use crate::base::deadline::Wheel;
use crate::base::limits::{Limits, after};
use crate::base::seq::Seq;
use crate::base::token::Token;
use crate::connection::budget::{Account, Budget};
use crate::connection::conn::{Phase, Stream};
use crate::connection::counts::WorkerStats;
use crate::connection::reason::CloseReason;
use crate::connection::service::{Connections, HandedOut, Release, Service, Turn};
use crate::system::poll::{Event, Interest};

/// Bytes read at once, in the one buffer that all connections of a worker share: a pipeline of a thousand
/// small requests fits, and it stays in the second-level cache.
const SCRATCH_BYTES: usize = 64 << 10;

pub(crate) struct Core<S: Service, T> {
    service: S,
    conns: Conns<S::Session, T>,
    scratch: Vec<u8>,
    /// The slots that [`Core::run_ready`] works through; kept for its memory.
    running: Vec<u32>,
    due: Vec<u32>,
    released: Seq,
    /// Those that are served. `None`: they may be silent for ever.
    idle: Option<Wheel>,
    /// Those that send what is left.
    closing: Wheel,
    /// Those that have sent everything.
    linger: Wheel,
    stalls: memory::Stalls,
    /// What the pool holds, so far as the budget knows.
    pooled: Account,
    /// Set by [`Core::shutdown`]: when what is left is closed unsent.
    shutdown_at: Option<Instant>,
    stats: WorkerStats,
    closed: Vec<CloseReason>,
    /// Connections that were settled, if somebody wants to know.
    settled: Option<Vec<u32>>,
    /// By slot, what those are for that are being opened from here.
    purposes: HashMap<u32, S::Message>,
}

impl<S: Service, T: Stream> Core<S, T> {
    pub(crate) fn new(service: S, limits: Limits, budget: Arc<Budget>, worker: usize, now: Instant) -> Self {
        Self {
            service,
            scratch: vec![0; SCRATCH_BYTES.min(limits.read_bytes_per_turn)],
            running: Vec::new(),
            due: Vec::new(),
            released: Seq::ZERO,
            idle: limits.idle_timeout.map(|timeout| Wheel::new(now, timeout)),
            closing: Wheel::new(now, limits.closing_timeout),
            linger: Wheel::new(now, limits.linger_timeout),
            stalls: memory::Stalls::default(),
            pooled: Account::new(&budget),
            shutdown_at: None,
            stats: WorkerStats::default(),
            closed: Vec::new(),
            settled: None,
            purposes: HashMap::new(),
            conns: Conns::new(limits, budget, worker, now),
        }
    }

    /// Begins a turn.
    pub(crate) fn begin(&mut self, turn: &Turn<'_, S>) {
        self.conns.desk.now = turn.now;
        self.refresh_memory();
    }

    /// What the poller is to be told about a connection that has just come.
    pub(crate) fn interest(&self, token: Token) -> Interest {
        self.conns.slab[token.slot as usize].interest
    }

    /// The slots of all connections now.
    pub(crate) fn slots(&self) -> Vec<u32> {
        self.conns.slab.iter().map(|(slot, _)| slot as u32).collect()
    }

    /// An event of the poller. One for a connection that has gone is ignored.
    pub(crate) fn event(&mut self, event: Event, turn: &Turn<'_, S>) {
        let Some(slot) = self.conns.slot_of_key(event.key) else { return };
        let broken = event.error || event.hangup;
        let conn = &mut self.conns.slab[slot as usize];
        if matches!(conn.phase, Phase::Opening { .. }) {
            if event.writable || broken {
                self.connected(slot, broken, turn);
            }
            return;
        }
        if event.writable {
            conn.blocked_write = false;
        }
        if conn.may_read() {
            if event.readable || broken {
                self.serve_in_order(slot, true, turn);
            }
        } else if broken {
            // It is not read, so nobody would fetch the error, and level mode would report it for ever.
            self.abort(slot, CloseReason::PeerReset, turn);
            return;
        }
        self.conns.touch(slot);
    }

    /// The connections whose turn is due without new input, and those in the line.
    pub(crate) fn run_ready(&mut self, turn: &Turn<'_, S>) {
        self.feed_starved();
        if !self.conns.ready.is_empty() {
            let mut running = std::mem::replace(&mut self.conns.ready, std::mem::take(&mut self.running));
            for slot in running.drain(..) {
                if self.conns.slab.get(slot as usize).is_some_and(|conn| conn.lists.queued) {
                    self.serve_in_order(slot, false, turn);
                }
            }
            self.running = running;
        }
        self.serve_line(turn);
    }

    /// A message of another thread, to this worker or to one of its connections.
    pub(crate) fn message(&mut self, message: S::Message, to: Option<Token>, turn: &Turn<'_, S>) {
        self.service.on_message(message, to, &mut self.conns, turn);
    }

    /// Messages to this worker for which there was room.
    pub(crate) fn mail(&mut self, mail: &mut dyn Iterator<Item = S::Message>, turn: &Turn<'_, S>) {
        self.service.on_mail(mail, &mut self.conns, turn);
    }

    /// A message came back.
    pub(crate) fn undelivered(&mut self, message: S::Message, turn: &Turn<'_, S>) {
        self.service.on_undelivered(message, turn);
    }

    /// Whether there is such a connection, which is served and not about to end.
    pub(crate) fn serves(&self, token: Token) -> bool {
        self.conns.stays(token)
    }

    /// A connection was resumed.
    pub(crate) fn resume(&mut self, token: Token) {
        self.conns.resume(token);
    }

    /// What has fallen due.
    pub(crate) fn timers(&mut self, turn: &Turn<'_, S>) {
        let now = turn.now;
        if self.service.next_timer().is_some_and(|at| at <= now) {
            self.service.on_timer(&mut self.conns, turn);
        }
        let due = self.conns.alarms.get_mut().due(now);
        for (at, token) in due {
            if !self.conns.alarms.get_mut().take(at, token) {
                continue;
            }
            if self.conns.stays(token) {
                self.service.on_alarm(token, &mut self.conns, turn);
            } else {
                self.connect_failed(token.slot, ErrorKind::TimedOut.into(), turn);
            }
        }
        let mut due = std::mem::take(&mut self.due);
        if let Some(idle) = &mut self.idle {
            idle.expire(now, &mut due);
        }
        for slot in due.drain(..) {
            self.check_idle(slot, now);
        }
        self.closing.expire(now, &mut due);
        for slot in due.drain(..) {
            self.check_closing(slot, turn);
        }
        self.linger.expire(now, &mut due);
        for slot in due.drain(..) {
            self.check_lingering(slot, turn);
        }
        self.due = due;
        self.check_stalls(turn);
        while let Some(token) = self.conns.overdue(now) {
            self.abort(token.slot, CloseReason::OutputLimit, turn);
        }
        if self.shutdown_at.is_some_and(|at| at <= now) {
            for slot in self.slots() {
                self.abort(slot, CloseReason::Shutdown, turn);
            }
        }
    }

    /// Ends the turn.
    pub(crate) fn finish(&mut self, turn: &Turn<'_, S>) {
        let mut at = 0;
        while let Some(&slot) = self.conns.touched.get(at) {
            if self.shutdown_at.is_some() {
                self.connect_failed(slot, ErrorKind::ConnectionAborted.into(), turn);
            }
            self.end_serving_if_due(slot, turn);
            at += 1;
        }
        let release = self.service.end_turn(turn);
        let (upto, failed) = match release {
            Release::Upto(seq) => (seq, None),
            Release::Failed { after } => (after, Some(after)),
        };
        if failed.is_some() || upto > self.released {
            self.released = self.released.max(upto);
            self.conns.touch_held();
        }
        let mut touched = std::mem::take(&mut self.conns.touched);
        for slot in touched.drain(..) {
            self.settle(slot, failed, turn);
        }
        self.conns.touched = touched;
        self.count_pool();
        self.stats.turns += 1;
    }

    /// What is to be done to the poller and to closed sockets.
    pub(crate) fn actions(&mut self) -> &mut Vec<Action<S::Session, T>> {
        &mut self.conns.actions
    }

    /// Why connections have ended since this was last asked.
    pub(crate) fn take_closed(&mut self) -> std::vec::Drain<'_, CloseReason> {
        self.closed.drain(..)
    }

    /// Whether connections have ended since that was last asked.
    pub(crate) fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// A socket has left the layer.
    pub(crate) fn handed_out(&mut self, token: Token, out: HandedOut<S::Session>, turn: &Turn<'_, S>) {
        self.closed.push(CloseReason::HandedOut);
        self.service.on_handed_out(token, out, turn);
    }

    /// Whether there is something to do without waiting.
    pub(crate) fn has_ready(&self) -> bool {
        !self.conns.ready.is_empty() || !self.conns.touched.is_empty() || !self.conns.line.is_empty()
    }

    /// Whether output waits for a commit.
    pub(crate) fn holds_replies(&self) -> bool {
        self.conns.has_held()
    }

    /// Whether the service has something to do once nothing else is.
    pub(crate) fn has_idle_work(&self) -> bool {
        self.service.has_idle_work()
    }

    /// Nothing else is to be done.
    pub(crate) fn idle(&mut self) {
        self.service.on_idle();
    }

    /// When [`Core::timers`] is wanted next, unless somebody waits for memory: then it is wanted in each turn.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let alarm = self.conns.alarms.borrow().next();
        let mut soonest = sooner(self.service.next_timer(), alarm);
        soonest = sooner(soonest, self.idle.as_ref().and_then(Wheel::next));
        soonest = sooner(soonest, self.closing.next());
        soonest = sooner(soonest, self.linger.next());
        soonest = sooner(soonest, self.stalls.next());
        soonest = sooner(soonest, self.conns.slow.first().map(|(at, _)| *at));
        sooner(soonest, self.shutdown_at)
    }

    pub(crate) fn stats(&self) -> WorkerStats {
        WorkerStats { connections: self.conns.slab.len() as u64, ..self.stats }
    }

    /// Whether no connection is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.conns.slab.is_empty()
    }

    /// Begins the graceful end: what was read is answered, everything is sent, then all are closed; what
    /// is not done after the shutdown timeout is cut off.
    pub(crate) fn shutdown(&mut self, now: Instant) {
        if self.shutdown_at.is_none() {
            self.shutdown_at = Some(after(now, self.conns.limits.shutdown_timeout));
            for slot in self.slots() {
                self.conns.touch(slot);
            }
        }
    }

    /// From now on connections on which nothing comes or goes for `timeout` are closed.
    pub(crate) fn set_idle_timeout(&mut self, timeout: Option<Duration>, now: Instant) {
        if timeout != self.idle.as_ref().map(Wheel::timeout) {
            self.idle = timeout.map(|timeout| Wheel::new(now, timeout));
            for slot in self.slots() {
                self.check_idle(slot, now);
            }
        }
    }

    /// Closes a connection at once, unsent output and all.
    pub(crate) fn abort(&mut self, slot: u32, reason: CloseReason, turn: &Turn<'_, S>) {
        if self.purposes.contains_key(&slot) {
            return self.connect_failed(slot, ErrorKind::ConnectionAborted.into(), turn);
        }
        let (token, session) = self.conns.remove(slot);
        if let Some(session) = session {
            self.closed.push(reason);
            self.service.on_close(token, session, reason, turn);
        }
    }

    /// As [`Core::abort`], if the connection is still there.
    pub(crate) fn abort_token(&mut self, token: Token, reason: CloseReason, turn: &Turn<'_, S>) {
        if self.conns.slot_of_key(token.key()) == Some(token.slot) {
            self.abort(token.slot, reason, turn);
        }
    }

    /// A connection that was to be handed out is closed instead, since the poller would not let its socket go.
    pub(crate) fn not_handed_out(&mut self, token: Token, session: S::Session, turn: &Turn<'_, S>) {
        self.closed.push(CloseReason::System);
        self.service.on_close(token, session, CloseReason::System, turn);
    }
}

/// The earlier one. Asked in every turn, and most turns are one request.
#[inline]
fn sooner(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}
