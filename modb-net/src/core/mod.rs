//! Many connections and one service: the order of a turn. No socket, no poller, no clock.
//!
//! The worker calls, in this order, [`Core::open`] and [`Core::adopt`] for what came, [`Core::event`] for
//! each event, [`Core::run_ready`], [`Core::message`] for each message, [`Core::timers`] and at last
//! [`Core::finish`], which ends the turn: the service settles its commits, each connection with something
//! to send is written to once, and what the poller must be told is left as [`Action`]s.
//!
//! Invariants: each connection executes at most once per turn and within its budget; nothing is written
//! before [`Service::end_turn`] has answered; [`Service::on_close`] is called exactly once per session,
//! unless it moved away.

mod conns;
mod serve;
mod settle;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub(crate) use conns::{Action, Conns};

use crate::conn::{Conn, Stream, Waits};
use crate::deadline::Wheel;
use crate::{CloseReason, Limits, Opening, Out, Peer, Release, Seq, Service, Token, Turn, WorkerStats};

/// Bytes read at once, in the one buffer that all connections of a worker share: a pipeline of a thousand
/// small requests fits, and it stays in the second-level cache.
const SCRATCH_BYTES: usize = 64 << 10;

/// A timeout is noticed at most this part of itself late.
const TIMEOUT_PARTS: u32 = 16;

/// A connection that was taken out, and the name it had.
pub(crate) struct Detached<S: Service, T> {
    pub(crate) token: Token,
    pub(crate) conn: Conn<S::Session, T>,
}

pub(crate) struct Core<S: Service, T> {
    service: S,
    conns: Conns<S::Session, T>,
    scratch: Vec<u8>,
    /// The slots that [`Core::run_ready`] works through; kept for its memory.
    running: Vec<u32>,
    due: Vec<u32>,
    released: Seq,
    idle_timeout: Option<Duration>,
    idle: Wheel,
    linger: Wheel,
    /// Set by [`Core::shutdown`]: when what is left is closed unsent.
    shutdown_at: Option<Instant>,
    stats: WorkerStats,
}

impl<S: Service, T: Stream> Core<S, T> {
    pub(crate) fn new(service: S, limits: Limits, now: Instant) -> Self {
        let idle_timeout = limits.idle_timeout;
        Self {
            service,
            scratch: vec![0; SCRATCH_BYTES.min(limits.read_bytes_per_turn).max(1)],
            running: Vec::new(),
            due: Vec::new(),
            released: Seq::ZERO,
            idle_timeout,
            idle: idle_wheel(idle_timeout, now),
            linger: Wheel::new(now, limits.linger_timeout / TIMEOUT_PARTS),
            shutdown_at: None,
            stats: WorkerStats::default(),
            conns: Conns::new(limits),
        }
    }

    /// A connection has come. `None`: this worker cannot name another one, and it is closed.
    pub(crate) fn open(&mut self, stream: T, peer: Peer, turn: &Turn<'_, S>) -> Option<Token> {
        if self.conns.is_full() {
            return None;
        }
        let token = self.conns.insert(Conn::new(stream, 0, turn.now));
        let high_water = self.conns.limits.output_high_water_bytes;
        let conn = &mut self.conns.slab[token.slot as usize];
        self.conns.pool.lend(&mut conn.output);
        match self.service.open(token, peer, &mut Out::new(&mut conn.output, high_water), turn) {
            Opening::Serve(session) => {
                conn.session = Some(session);
                self.stats.accepted += 1;
            }
            Opening::Refused => conn.doomed = Some(CloseReason::Refused),
        }
        self.watch_idle(token.slot, turn.now);
        Some(token)
    }

    /// A connection came from another worker. `None`: as [`Core::open`].
    pub(crate) fn adopt(&mut self, mut conn: Conn<S::Session, T>, turn: &Turn<'_, S>) -> Option<Token> {
        if self.conns.is_full() {
            if let Some(session) = conn.session.take() {
                self.service.on_close(session, CloseReason::Refused, turn);
            }
            return None;
        }
        let token = self.conns.insert(conn);
        let conn = &mut self.conns.slab[token.slot as usize];
        conn.interest = conn.wanted_interest();
        if let Some(session) = conn.session.as_mut() {
            self.service.on_moved_here(token, session, turn);
        }
        self.watch_idle(token.slot, turn.now);
        Some(token)
    }

    /// What the poller is to be told about a connection that has just come.
    pub(crate) fn interest(&self, token: Token) -> crate::poll::Interest {
        self.conns.slab[token.slot as usize].interest
    }

    /// Takes out a connection that may move, if the one in `slot` may, for [`Core::adopt`] elsewhere.
    /// It is no longer known here, and is to be taken off the poller.
    pub(crate) fn detach(&mut self, slot: u32, turn: &Turn<'_, S>) -> Option<Detached<S, T>> {
        let conn = self.conns.slab.get_mut(slot as usize)?;
        let session = conn.session.as_mut().filter(|_| conn.waits != Waits::Resume)?;
        if conn.doomed.is_some() || !self.service.may_move(session) {
            return None;
        }
        self.service.on_moving_away(Token { slot, generation: conn.generation }, session, turn);
        let (token, conn) = self.conns.detach(slot);
        Some(Detached { token, conn })
    }

    /// The slots of all connections now.
    pub(crate) fn slots(&self) -> Vec<u32> {
        self.conns.slab.iter().map(|(slot, _)| slot as u32).collect()
    }

    /// An event of the poller. One for a connection that has gone is ignored.
    pub(crate) fn event(&mut self, event: crate::poll::Event, turn: &Turn<'_, S>) {
        let Some(slot) = self.conns.slot_of_key(event.key) else { return };
        let broken = event.error || event.hangup;
        let conn = &mut self.conns.slab[slot as usize];
        if event.writable {
            conn.blocked_write = false;
        }
        if conn.may_read() {
            if event.readable || broken {
                self.serve(slot, true, turn);
            }
        } else if broken {
            // It is not read, so nobody would fetch the error, and level mode would report it for ever.
            self.abort(slot, CloseReason::PeerReset, turn);
            return;
        }
        self.conns.touch(slot);
    }

    /// The connections whose turn is due without new input.
    pub(crate) fn run_ready(&mut self, turn: &Turn<'_, S>) {
        let mut running = std::mem::replace(&mut self.conns.ready, std::mem::take(&mut self.running));
        for slot in running.drain(..) {
            if self.conns.slab.get(slot as usize).is_some_and(|conn| conn.queued) {
                self.serve(slot, false, turn);
            }
        }
        self.running = running;
    }

    /// A message of another thread.
    pub(crate) fn message(&mut self, message: S::Message, turn: &Turn<'_, S>) {
        self.service.on_message(message, &mut self.conns, turn);
    }

    /// What has fallen due.
    pub(crate) fn timers(&mut self, turn: &Turn<'_, S>) {
        let now = turn.now;
        if self.service.next_timer().is_some_and(|at| at <= now) {
            self.service.on_timer(&mut self.conns, turn);
        }
        let mut due = std::mem::take(&mut self.due);
        self.idle.expire(now, &mut due);
        for slot in due.drain(..) {
            self.check_idle(slot, now);
        }
        self.linger.expire(now, &mut due);
        for slot in due.drain(..) {
            self.check_closing(slot, now);
        }
        self.due = due;
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
            let mut held = std::mem::take(&mut self.conns.held);
            for slot in held.drain(..) {
                if let Some(conn) = self.conns.slab.get_mut(slot as usize) {
                    conn.held = false;
                    self.conns.touch(slot);
                }
            }
            self.conns.held = held;
        }
        let mut touched = std::mem::take(&mut self.conns.touched);
        for slot in touched.drain(..) {
            self.settle(slot, failed, turn);
        }
        self.conns.touched = touched;
        self.stats.turns += 1;
    }

    /// What is to be done to the poller and to closed sockets.
    pub(crate) fn actions(&mut self) -> &mut Vec<Action<T>> {
        &mut self.conns.actions
    }

    /// Whether there is something to do without waiting.
    pub(crate) fn has_ready(&self) -> bool {
        !self.conns.ready.is_empty() || !self.conns.touched.is_empty()
    }

    /// When [`Core::timers`] is wanted next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        [self.service.next_timer(), self.idle.next(), self.linger.next(), self.shutdown_at]
            .into_iter()
            .flatten()
            .min()
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
            self.shutdown_at = Some(now + self.conns.limits.shutdown_timeout);
            for slot in self.slots() {
                self.conns.touch(slot);
            }
        }
    }

    /// From now on connections without input for `timeout` are closed.
    pub(crate) fn set_idle_timeout(&mut self, timeout: Option<Duration>, now: Instant) {
        if timeout != self.idle_timeout {
            self.idle_timeout = timeout;
            self.idle = idle_wheel(timeout, now);
            for slot in self.slots() {
                self.check_idle(slot, now);
            }
        }
    }

    /// Closes a connection at once, unsent output and all.
    pub(crate) fn abort(&mut self, slot: u32, reason: CloseReason, turn: &Turn<'_, S>) {
        if let Some(session) = self.conns.remove(slot) {
            self.service.on_close(session, reason, turn);
        }
    }
}

fn idle_wheel(timeout: Option<Duration>, now: Instant) -> Wheel {
    Wheel::new(now, timeout.unwrap_or_default() / TIMEOUT_PARTS)
}
