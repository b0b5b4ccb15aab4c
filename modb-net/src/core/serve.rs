//! Input: reading a connection and showing its session what came, within the budgets of a turn.
//!
//! Invariants: bytes are read into the worker's one scratch buffer and shown from there; a connection
//! keeps a copy only of what its session left; nothing is read while what is there has not been looked at.

use super::{Conns, Core};
use crate::buf::Pool;
use crate::conn::{Conn, Phase, ReadEnd, Stream, Waits};
use crate::{CloseReason, Flow, In, Out, Service, Turn};

impl<S: Service, T: Stream> Core<S, T> {
    /// Reads and executes one connection within its budgets.
    pub(super) fn serve(&mut self, slot: u32, mut readable: bool, turn: &Turn<'_, S>) {
        self.conns.touch(slot);
        let Self { service, conns, scratch, stats, .. } = self;
        let Conns { slab, pool, limits, .. } = conns;
        let conn = &mut slab[slot as usize];
        conn.queued = false;
        if conn.phase != Phase::Serving {
            self.drain(slot, turn);
            return;
        }
        let high_water = limits.output_high_water_bytes;
        let mut requests = limits.requests_per_turn;
        let mut bytes_left = limits.read_bytes_per_turn.max(1);
        pool.lend(&mut conn.output);
        // Where the loop ends with the socket still readable, level mode reports it again.
        while !conn.paused {
            let mut fresh: &[u8] = &[];
            if conn.waits != Waits::Turn {
                if !readable || bytes_left == 0 || !conn.may_read() {
                    break;
                }
                let room = scratch.len().min(bytes_left);
                stats.reads += 1;
                match conn.read(&mut scratch[..room], turn.now) {
                    ReadEnd::Bytes(n) => {
                        fresh = &scratch[..n];
                        stats.bytes_in += n as u64;
                        bytes_left -= n;
                        readable = n == room;
                    }
                    ReadEnd::Nothing | ReadEnd::Closed => break,
                    ReadEnd::Broken => return self.abort(slot, CloseReason::PeerReset, turn),
                }
            }
            if conn.waits == Waits::Resume {
                conn.input.append(fresh, 0, pool);
                continue;
            }
            match show(service, conn, fresh, &mut requests, pool, high_water, turn) {
                Flow::NeedInput => {
                    conn.waits = Waits::Input;
                    if conn.input.len() > limits.max_input_bytes {
                        conn.doomed = Some(CloseReason::InputLimit);
                        break;
                    }
                }
                Flow::Yield => {
                    conn.waits = Waits::Turn;
                    break;
                }
                Flow::Blocked => {
                    conn.waits = Waits::Resume;
                    break;
                }
                Flow::Close => {
                    conn.doomed = Some(CloseReason::Requested);
                    break;
                }
            }
            conn.update_pause(limits);
        }
        pool.reclaim_input(&mut conn.input);
    }

    /// Reads what a closed connection's peer still sends, and throws it away.
    pub(super) fn drain(&mut self, slot: u32, turn: &Turn<'_, S>) {
        let conn = &mut self.conns.slab[slot as usize];
        let Phase::Lingering { mut drained_bytes } = conn.phase else { return };
        self.stats.reads += 1;
        match conn.read(&mut self.scratch, turn.now) {
            ReadEnd::Bytes(n) => {
                self.stats.bytes_in += n as u64;
                drained_bytes += n;
                conn.phase = Phase::Lingering { drained_bytes };
                conn.ended = drained_bytes > self.conns.limits.linger_bytes;
            }
            ReadEnd::Nothing => {}
            ReadEnd::Closed | ReadEnd::Broken => conn.ended = true,
        }
    }
}

/// Shows the session what came and what was there, and keeps what it leaves. Bytes that are consumed at
/// once are never copied.
fn show<S: Service, T: Stream>(
    service: &mut S,
    conn: &mut Conn<S::Session, T>,
    fresh: &[u8],
    requests: &mut u32,
    pool: &mut Pool,
    high_water_bytes: usize,
    turn: &Turn<'_, S>,
) -> Flow {
    let Some(session) = conn.session.as_mut() else { return Flow::NeedInput };
    let mut out = Out::new(&mut conn.output, high_water_bytes);
    if conn.input.is_empty() {
        let mut input = In::new(fresh, requests);
        let flow = service.on_input(session, &mut input, &mut out, turn);
        let (consumed, wanted) = (input.consumed(), input.wanted());
        conn.input.append(&fresh[consumed..], wanted, pool);
        return flow;
    }
    conn.input.append(fresh, conn.input.wanted(), pool);
    if conn.waits == Waits::Input && conn.input.is_short() {
        return Flow::NeedInput;
    }
    let mut input = In::new(conn.input.bytes(), requests);
    let flow = service.on_input(session, &mut input, &mut out, turn);
    let (consumed, wanted) = (input.consumed(), input.wanted());
    conn.input.consume(consumed, wanted);
    flow
}
