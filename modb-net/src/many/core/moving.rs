//! Connections that go to another worker: as a whole, with their session, unread input, unsent output and their alarm.
//!
//! Invariants: a connection is known to one core at a time; what waits for a resume, for memory or for its end stays; a
//! resume that went past a connection on the way is not lost.

use std::time::Instant;

use super::Core;
use crate::base::token::Token;
use crate::connection::conn::{Conn, Phase, Stream};
use crate::connection::io::Handle;
use crate::connection::reason::CloseReason;
use crate::connection::seat::Seat;
use crate::connection::service::{Connections, Service, Turn};

/// A connection that was taken out of one core, for another.
#[derive(Debug)]
pub(crate) struct Moved<X, T> {
    conn: Conn<X, T>,
    /// When it asked to be called.
    alarm: Option<Instant>,
}

impl<X, T> Moved<X, T> {
    pub(crate) fn stream(&self) -> &T {
        &self.conn.stream
    }

    pub(crate) fn seat(&self) -> &Seat {
        &self.conn.seat
    }
}

impl<S: Service, T: Stream> Core<S, T> {
    /// Takes out a connection that may move, if the one in `slot` may, for [`Core::adopt`] elsewhere.
    /// It is no longer known here, and is to be taken off the poller.
    pub(crate) fn detach(&mut self, slot: u32, turn: &Turn<'_, S>) -> Option<(Token, Moved<S::Session, T>)> {
        let Conn { phase, account, seat, generation, .. } = self.conns.slab.get_mut(slot as usize)?;
        let Phase::Serving(serving) = phase else { return None };
        let stays = serving.waits_for_resume() || serving.doom.is_some() || account.waits();
        if stays || !self.service.may_move(&serving.session) {
            return None;
        }
        let token = Token { slot, generation: *generation };
        let handle = Handle::new(token, seat, &self.conns.alarms);
        self.service.on_moving_away(handle, &mut serving.session, turn);
        let alarm = self.conns.alarms.get_mut().clear(token);
        let (token, conn) = self.conns.detach(slot);
        Some((token, Moved { conn, alarm }))
    }

    /// A connection came from another worker. `None`: as [`Core::open`].
    pub(crate) fn adopt(&mut self, moved: Moved<S::Session, T>, turn: &Turn<'_, S>) -> Option<Token> {
        let Moved { mut conn, alarm } = moved;
        if self.conns.is_full() {
            if let Phase::Serving(serving) = conn.phase {
                self.closed.push(CloseReason::Refused);
                self.service.on_close(self.conns.next_token(), serving.session, CloseReason::Refused, turn);
            }
            return None;
        }
        conn.interest = conn.wanted_interest();
        conn.account.move_to(turn.worker);
        let token = self.conns.insert(conn);
        let alarms = &self.conns.alarms;
        if let Some(at) = alarm {
            alarms.borrow_mut().set(token, at);
        }
        let Conn { seat, phase, .. } = &mut self.conns.slab[token.slot as usize];
        if let Phase::Serving(serving) = phase {
            self.service.on_moved_here(Handle::new(token, seat, alarms), &mut serving.session, turn);
        }
        // A resume that went past it on the way.
        if seat.take_resumed() {
            self.conns.resume(token);
        }
        self.watch(token.slot, turn.now);
        Some(token)
    }

    /// Whether connections that were settled are noted, for [`Core::take_settled`].
    pub(crate) fn note_settled(&mut self, on: bool) {
        if on != self.settled.is_some() {
            self.settled = on.then(Vec::new);
        }
    }

    /// The connections that did something since this was last asked.
    pub(crate) fn take_settled(&mut self) -> Vec<u32> {
        self.settled.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
