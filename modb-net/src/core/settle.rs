//! The end of a turn for one connection: whether it is served on, what of its output leaves, what it waits
//! for next; and the timeouts that end it.
//!
//! Invariants: one write at most; a session is given back exactly once; whatever a connection waits for,
//! either the poller, the ready list, the list of held ones or a wheel knows of it.

use std::time::Instant;

use super::{Action, Core};
use crate::conn::{Phase, Stream, Waits};
use crate::{CloseReason, Seq, Service, Token, Turn};

impl<S: Service, T: Stream> Core<S, T> {
    /// Before the end of the turn: whoever has nothing more to ask, or was told to go, is no longer served.
    pub(super) fn end_serving_if_due(&mut self, slot: u32, turn: &Turn<'_, S>) {
        let Some(conn) = self.conns.slab.get_mut(slot as usize) else { return };
        if conn.phase != Phase::Serving {
            return;
        }
        let reason = match (conn.doomed, conn.waits) {
            (Some(reason), _) => reason,
            (None, Waits::Turn) => return,
            // A blocked session is not waited for either: nobody may be there to receive what it takes.
            (None, Waits::Input | Waits::Resume) if conn.ended => CloseReason::PeerClosed,
            (None, Waits::Input | Waits::Resume) if self.shutdown_at.is_some() => CloseReason::Shutdown,
            (None, Waits::Input | Waits::Resume) => return,
        };
        self.end_serving(slot, reason, turn);
    }

    pub(super) fn end_serving(&mut self, slot: u32, reason: CloseReason, turn: &Turn<'_, S>) {
        let conn = &mut self.conns.slab[slot as usize];
        let session = conn.finish(turn.now);
        self.conns.pool.reclaim_input(&mut conn.input);
        self.linger.schedule(slot, turn.now + self.conns.limits.linger_timeout);
        if let Some(session) = session {
            self.service.on_close(session, reason, turn);
        }
    }

    /// After the end of the turn: sends what may leave, and decides what the connection waits for.
    pub(super) fn settle(&mut self, slot: u32, failed: Option<Seq>, turn: &Turn<'_, S>) {
        let Some(conn) = self.conns.slab.get_mut(slot as usize) else { return };
        if !std::mem::take(&mut conn.touched) {
            return;
        }
        if failed.is_some_and(|after| conn.output.fail_after(after)) && conn.phase == Phase::Serving {
            self.end_serving(slot, CloseReason::CommitFailed, turn);
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
        if conn.output.len() > self.conns.limits.max_output_bytes {
            return self.abort(slot, CloseReason::OutputLimit, turn);
        }
        match conn.phase {
            Phase::Serving => conn.update_pause(&self.conns.limits),
            Phase::Finishing if conn.output.is_empty() => {
                if conn.ended || conn.stream.shutdown_write().is_err() {
                    self.conns.remove(slot);
                    return;
                }
                conn.phase = Phase::Lingering { drained_bytes: 0 };
                conn.stamp = turn.now;
            }
            Phase::Finishing => {}
            Phase::Lingering { .. } if conn.ended => {
                self.conns.remove(slot);
                return;
            }
            Phase::Lingering { .. } => {}
        }
        self.conns.pool.reclaim_output(&mut conn.output);
        if conn.output.is_held() && !conn.held {
            conn.held = true;
            self.conns.held.push(slot);
        }
        let wanted = conn.wanted_interest();
        if wanted != conn.interest {
            conn.interest = wanted;
            let token = Token { slot, generation: conn.generation };
            self.conns.actions.push(Action::Modify(token, wanted));
        }
        if conn.phase == Phase::Serving && conn.waits == Waits::Turn && !conn.paused {
            self.conns.queue(slot);
        }
    }

    pub(super) fn watch_idle(&mut self, slot: u32, now: Instant) {
        if let Some(timeout) = self.idle_timeout {
            self.idle.schedule(slot, now + timeout);
        }
    }

    pub(super) fn check_idle(&mut self, slot: u32, now: Instant) {
        let (Some(timeout), Some(conn)) = (self.idle_timeout, self.conns.slab.get_mut(slot as usize)) else {
            return;
        };
        let Some(session) = conn.session.as_ref().filter(|_| conn.is_serving()) else { return };
        let exempt = conn.waits == Waits::Resume || !self.service.may_time_out(session);
        let due = conn.stamp + timeout;
        if !exempt && due <= now {
            conn.doomed = Some(CloseReason::Idle);
            self.conns.touch(slot);
        } else {
            self.idle.schedule(slot, if exempt { now + timeout } else { due });
        }
    }

    /// A closing connection that makes no progress is cut off.
    pub(super) fn check_closing(&mut self, slot: u32, now: Instant) {
        let limits = &self.conns.limits;
        let Some(conn) = self.conns.slab.get_mut(slot as usize) else { return };
        let due = conn.stamp
            + match conn.phase {
                // The slot has a new owner.
                Phase::Serving => return,
                Phase::Finishing => limits.shutdown_timeout,
                Phase::Lingering { .. } => limits.linger_timeout,
            };
        if due <= now {
            // Its session has gone already: there is nobody to tell.
            self.conns.remove(slot);
        } else {
            self.linger.schedule(slot, due);
        }
    }
}
