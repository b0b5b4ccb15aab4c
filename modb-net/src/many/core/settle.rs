//! The end of a turn for one connection: whether it is served on, what of its output leaves, what it waits
//! for next; and the timeouts that end it.
//!
//! Invariants: one write at most; a session is given back exactly once; whatever a connection waits for,
//! either the poller, the ready list, the list of held or starved ones or a wheel knows of it; what it holds is counted.

use std::time::Instant;

use super::{Action, Conns, Core, Leaving};
use crate::base::limits::Limits;
use crate::base::seq::Seq;
use crate::base::token::Token;
use crate::connection::conn::{Conn, Doom, Phase, Stream, Then, Waits};
use crate::connection::io::{Handle, Out};
use crate::connection::reason::CloseReason;
use crate::connection::service::{Holdings, Service, Turn};

impl<S: Service, T: Stream> Core<S, T> {
    /// Before the end of the turn: whoever has nothing more to ask, or was told to go, is no longer served.
    pub(super) fn end_serving_if_due(&mut self, slot: u32, turn: &Turn<'_, S>) {
        let Some(serving) = self.conns.slab.get(slot as usize).and_then(Conn::serving) else { return };
        let shutdown = self.shutdown_at.is_some();
        let doom = match (serving.doom, serving.waits) {
            (Some(doom), _) => doom,
            // It has something to do yet, and does it whatever its peer's side or the server does.
            (None, Waits::Turn | Waits::Resumed | Waits::Parked | Waits::Room) => return,
            (None, Waits::Input) if serving.ended => {
                self.end_of_input(slot, turn);
                let Some(serving) = self.conns.slab[slot as usize].serving() else { return };
                let Some(doom) = serving.doom else { return };
                doom
            }
            // A blocked session is not waited for: nobody may be there to receive what it takes.
            (None, Waits::Blocked) if serving.ended => Doom::Close(CloseReason::PeerClosed),
            (None, Waits::Input | Waits::Blocked) if shutdown => Doom::Close(CloseReason::Shutdown),
            (None, Waits::Input | Waits::Blocked) => return,
        };
        match doom {
            Doom::Close(reason) => self.end_serving(slot, reason, turn),
            Doom::HandOut => self.begin_hand_out(slot, turn.now),
        }
    }

    /// Ends serving: what was written is sent, with a last word; input is ignored from now on.
    fn end_serving(&mut self, slot: u32, reason: CloseReason, turn: &Turn<'_, S>) {
        let Some(mut serving) = self.conns.slab[slot as usize].stop_serving(turn.now) else { return };
        serving.input.clear();
        serving.input.reclaim(&mut self.conns.pool);
        self.end_session(slot, serving.session, reason, turn);
    }

    /// Ends serving for a connection that leaves the layer.
    fn begin_hand_out(&mut self, slot: u32, now: Instant) {
        let conn = &mut self.conns.slab[slot as usize];
        let Some(mut serving) = conn.stop_serving(now) else { return };
        if let Phase::Sending { then, .. } = &mut conn.phase {
            *then = Then::HandOut { session: serving.session, unread: serving.input.take() };
        }
        self.conns.alarms.get_mut().clear(Token { slot, generation: conn.generation });
        self.closing.watch(slot, now);
    }

    /// The connection is no longer served: its session says its last, and what is left of it is watched over.
    fn end_session(&mut self, slot: u32, mut session: S::Session, reason: CloseReason, turn: &Turn<'_, S>) {
        let Conns { slab, pool, alarms, desk, .. } = &mut self.conns;
        let Conn { output, account, generation, .. } = &mut slab[slot as usize];
        let token = Token { slot, generation: *generation };
        pool.lend(output);
        let mut out = Out::new(output, account, desk);
        self.service.last_word(token, &mut session, reason, &mut out, turn);
        alarms.get_mut().clear(token);
        self.closing.watch(slot, turn.now);
        self.closed.push(reason);
        self.service.on_close(token, session, reason, turn);
    }

    /// After the end of the turn: sends what may leave, and decides what the connection waits for.
    pub(super) fn settle(&mut self, slot: u32, failed: Option<Seq>, turn: &Turn<'_, S>) {
        let Some(conn) = self.conns.slab.get_mut(slot as usize) else { return };
        if !std::mem::take(&mut conn.lists.touched) {
            return;
        }
        // Replies to what failed are taken out of the output; what is left is sent, and a last word.
        if failed.is_some_and(|after| conn.output.fail_after(after))
            && let Some(session) = conn.take_session(turn.now)
        {
            self.end_session(slot, session, CloseReason::CommitFailed, turn);
        }
        let conn = &mut self.conns.slab[slot as usize];
        match conn.write(self.released, turn.now) {
            None => {}
            Some(Ok(n)) => {
                self.stats.writes += 1;
                self.stats.bytes_out += n as u64;
            }
            Some(Err(reason)) => return self.abort(slot, reason, turn),
        }
        let unsent = conn.output.len();
        if unsent > self.conns.limits.max_output_bytes || (unsent > 0 && self.is_too_slow(slot, turn)) {
            return self.abort(slot, CloseReason::OutputLimit, turn);
        }
        let conn = &mut self.conns.slab[slot as usize];
        if conn.output.said_full() {
            self.tell_drained(slot, turn);
        }
        let conn = &mut self.conns.slab[slot as usize];
        let unsent = conn.output.len();
        let mut executes_next = false;
        let mut held = Holdings::default();
        // Whoever is about to execute keeps its place in the order until it has.
        let mut rests = true;
        match &mut conn.phase {
            Phase::Serving(serving) => {
                serving.update_pause(unsent, self.conns.desk.high_water_bytes);
                rests = serving.waits == Waits::Input;
                executes_next = match serving.waits {
                    Waits::Turn => !serving.paused,
                    Waits::Resumed => true,
                    Waits::Input | Waits::Blocked | Waits::Parked | Waits::Room => false,
                };
                held.unread = serving.input.len();
                held.input = serving.input.heap_bytes();
                held.session = self.service.session_bytes(&serving.session);
            }
            Phase::Sending { ended, then, .. } if unsent == 0 => match then {
                Then::HandOut { .. } => return self.hand_out(slot),
                Then::Linger if *ended || conn.stream.shutdown_write().is_err() => {
                    self.conns.remove(slot);
                    return;
                }
                Then::Linger => {
                    conn.phase = Phase::Lingering { since: turn.now, drained_bytes: 0 };
                    self.linger.watch(slot, turn.now);
                }
            },
            Phase::Sending { then: Then::HandOut { session, unread }, .. } => {
                held.input = unread.capacity();
                held.session = self.service.session_bytes(session);
            }
            Phase::Opening { .. } | Phase::Sending { .. } | Phase::Lingering { .. } => {}
        }
        // Gives back what is empty, and counts what is not.
        self.conns.pool.reclaim_output(&mut conn.output);
        (held.unsent, held.output) = (unsent, conn.output.heap_bytes());
        let before = conn.account.counted();
        conn.account.recount(held.sum());
        if let Some(serving) = conn.serving()
            && held.sum().max(before) > 0
        {
            self.service.on_held(&serving.session, held);
        }
        if unsent > Limits::SMALL_REPLY_BYTES {
            // Others may have written it: it counts as large all the same, and is closed before others wait for its memory.
            conn.account.begin_large(turn.worker, turn.now);
        }
        if rests {
            conn.account.rest();
        }
        let wanted = conn.wanted_interest();
        if wanted != conn.interest {
            conn.interest = wanted;
            let token = Token { slot, generation: conn.generation };
            self.conns.actions.push(Action::Modify(token, wanted));
        }
        if unsent > 0 && conn.output.is_held() {
            self.conns.hold(slot);
        }
        if executes_next {
            self.conns.queue(slot);
        }
        if let Some(settled) = &mut self.settled {
            settled.push(slot);
        }
    }

    /// Whether a connection has more unsent output than its session may have, or has had it for too long.
    fn is_too_slow(&mut self, slot: u32, turn: &Turn<'_, S>) -> bool {
        let conn = &self.conns.slab[slot as usize];
        let Some(serving) = conn.serving() else { return false };
        let (limits, unsent) = (self.service.output_limits(&serving.session), conn.output.len());
        if unsent > limits.soft_bytes {
            self.conns.is_slow(slot, limits.soft_timeout, turn.now);
        } else {
            self.conns.is_quick(slot);
        }
        unsent > limits.hard_bytes
    }

    /// Tells a session that found its output full that half of it has left.
    fn tell_drained(&mut self, slot: u32, turn: &Turn<'_, S>) {
        let Conns { slab, pool, alarms, desk, .. } = &mut self.conns;
        let Conn { phase, output, account, seat, generation, .. } = &mut slab[slot as usize];
        if output.len() > desk.high_water_bytes / 2 {
            return;
        }
        output.say_drained();
        let Phase::Serving(serving) = phase else { return };
        if serving.doom.is_some() {
            return;
        }
        pool.lend(output);
        let before = output.len();
        let handle = Handle::new(Token { slot, generation: *generation }, seat, alarms);
        let mut out = Out::new(output, account, desk);
        self.service.on_drained(handle, &mut serving.session, &mut out, turn);
        if output.len() > before {
            self.conns.queue(slot);
        }
    }

    fn hand_out(&mut self, slot: u32) {
        let (token, conn) = self.conns.detach(slot);
        if let Phase::Sending { then: Then::HandOut { session, unread }, .. } = conn.phase {
            let leaving = Box::new(Leaving { session, unread, seat: conn.seat });
            self.conns.actions.push(Action::HandOut(token, conn.stream, leaving));
        }
    }

    /// Watches over a connection that has just come.
    pub(super) fn watch(&mut self, slot: u32, now: Instant) {
        if self.conns.slab[slot as usize].serving().is_none() {
            self.closing.watch(slot, now);
        } else if let Some(idle) = &mut self.idle {
            idle.watch(slot, now);
        }
    }

    pub(super) fn check_idle(&mut self, slot: u32, now: Instant) {
        let (Some(idle), Some(conn)) = (&mut self.idle, self.conns.slab.get_mut(slot as usize)) else {
            return;
        };
        let in_line = conn.is_in_line();
        let Some(serving) = conn.serving_mut().filter(|serving| serving.doom.is_none()) else { return };
        let waits_for_us = in_line || serving.waits_for_resume() || serving.waits == Waits::Room;
        if waits_for_us || !self.service.may_time_out(&serving.session) {
            idle.watch(slot, now);
        } else if idle.is_over(serving.active, now) {
            serving.doom = Some(Doom::Close(CloseReason::Idle));
            self.conns.touch(slot);
        } else {
            idle.watch(slot, serving.active);
        }
    }

    /// A connection that is to send what is left and makes no progress is cut off.
    pub(super) fn check_closing(&mut self, slot: u32, turn: &Turn<'_, S>) {
        // Another phase: it has gone on, or the slot has a new owner.
        let Some(Conn { phase: Phase::Sending { since, .. }, .. }) = self.conns.slab.get(slot as usize)
        else {
            return;
        };
        if self.closing.is_over(*since, turn.now) {
            self.abort(slot, CloseReason::PeerReset, turn);
        } else {
            self.closing.watch(slot, *since);
        }
    }

    /// A connection whose peer knows that nothing more comes, and does not close.
    pub(super) fn check_lingering(&mut self, slot: u32, turn: &Turn<'_, S>) {
        let Some(Conn { phase: Phase::Lingering { since, .. }, .. }) = self.conns.slab.get(slot as usize)
        else {
            return;
        };
        if self.linger.is_over(*since, turn.now) {
            self.abort(slot, CloseReason::PeerReset, turn);
        } else {
            self.linger.watch(slot, *since);
        }
    }
}
