//! Input: reading a connection and showing its session what came, within the budgets of a turn.
//!
//! Invariants: bytes are read into the worker's one scratch buffer and shown from there; a connection
//! keeps a copy only of what its session left; nothing is read while what is there has not been looked at, or for which
//! there is no room.

use std::cell::Cell;
use std::collections::TryReserveError;

use super::{Conns, Core, line};
use crate::base::buf::Pool;
use crate::base::limits::Limits;
use crate::base::token::Token;
use crate::connection::conn::{Conn, Doom, Phase, ReadEnd, Serving, Share, Stream, Waits, read};
use crate::connection::io::{Handle, In, Out};
use crate::connection::reason::CloseReason;
use crate::connection::service::{Flow, Service, Turn};

impl<S: Service, T: Stream> Core<S, T> {
    /// Reads and executes one connection within its budgets. How much work that was, in bytes ([`mod@line`]).
    pub(super) fn serve(&mut self, slot: u32, mut readable: bool, turn: &Turn<'_, S>) -> usize {
        self.conns.touch(slot);
        let Self { service, conns, scratch, stats, .. } = self;
        let Conns { slab, pool, limits, alarms, desk, .. } = conns;
        let Conn { stream, phase, output, account, seat, generation, lists, .. } = &mut slab[slot as usize];
        lists.queued = false;
        lists.share = Share::Small;
        let Phase::Serving(serving) = phase else {
            self.drain(slot, turn);
            return 0;
        };
        let handle = Handle::new(Token { slot, generation: *generation }, seat, alarms);
        let (held, unsent) = (serving.input.len(), output.len());
        let mut requests = limits.requests_per_turn;
        let mut bytes_left = limits.read_bytes_per_turn;
        let (mut starves, mut yielded) = (false, false);
        pool.lend(output);
        // Where the loop ends with the socket still readable, level mode reports it again.
        // Whoever was resumed executes one request whatever its output.
        let (mut once, never) = (1, Cell::new(false));
        while !serving.paused || serving.waits == Waits::Resumed {
            let resumed = serving.waits == Waits::Resumed;
            let mut fresh: &[u8] = &[];
            if !resumed && serving.waits != Waits::Turn {
                if !readable || bytes_left == 0 || requests == 0 || !serving.may_read(account.waits()) {
                    break;
                }
                let wanted = scratch.len().min(bytes_left);
                let room = account.may_read(serving.gathered(), wanted, turn.worker, turn.now);
                if room == 0 {
                    starves = true;
                    break;
                }
                stats.reads += 1;
                match read(stream, &mut scratch[..room]) {
                    ReadEnd::Bytes(n) => {
                        fresh = &scratch[..n];
                        stats.bytes_in += n as u64;
                        bytes_left -= n;
                        readable = n == room;
                        serving.active = turn.now;
                        account.progress(n);
                    }
                    ReadEnd::Nothing => break,
                    ReadEnd::Closed => {
                        serving.ended = true;
                        break;
                    }
                    ReadEnd::Broken => {
                        self.abort(slot, CloseReason::PeerReset, turn);
                        return 0;
                    }
                }
            }
            if serving.waits_for_resume() {
                if serving.input.append(fresh, 0, pool).is_err() {
                    serving.doom = Some(Doom::Close(CloseReason::System));
                    break;
                }
                continue;
            }
            let mut out = Out::new(output, account, desk);
            let waited = resumed.then(|| serving.input.len());
            let (left, full) = if resumed { (&mut once, &never) } else { (&mut requests, out.full()) };
            match show(service, handle, serving, fresh, (left, full), &mut out, pool, turn) {
                Err(_) => {
                    serving.doom = Some(Doom::Close(CloseReason::System));
                    break;
                }
                // What it was not shown, since a budget of the turn was spent, is shown in the next one.
                Ok(Flow::NeedInput) if (*left == 0 || out.note_full()) && !serving.input.is_empty() => {
                    serving.waits = Waits::Turn;
                    break;
                }
                Ok(Flow::NeedInput) => {
                    serving.waits = Waits::Input;
                    if serving.input.len() > limits.max_input_bytes {
                        serving.doom = Some(Doom::Close(CloseReason::InputLimit));
                        break;
                    }
                }
                Ok(flow) => {
                    yielded = flow == Flow::Yield;
                    starves = after_flow(serving, flow, account.waits());
                    serving.note_wait(waited);
                    break;
                }
            }
            serving.update_pause(output.len(), desk.high_water_bytes);
        }
        serving.input.reclaim(pool);
        if !serving.input.is_empty() {
            // Counted at once: the next one who reads in this turn is to know.
            let session = service.session_bytes(&serving.session);
            account.recount(serving.input.heap_bytes() + output.heap_bytes() + session);
            if serving.input.len() > Limits::SMALL_REQUEST_BYTES {
                account.begin_large(turn.worker, turn.now);
            }
        }
        let read = limits.read_bytes_per_turn - bytes_left;
        let executed = held + read - serving.input.len();
        let written = output.len().saturating_sub(unsent);
        let ran = limits.requests_per_turn - requests + (1 - once);
        let mut work = read + executed + written + ran as usize * line::REQUEST_BYTES;
        // It says that it has worked long: what it took of the turn, its bytes do not tell.
        if yielded {
            work = work.max(limits.work_bytes_per_turn);
        }
        if work.max(serving.input.len()) > limits.work_bytes_per_turn / line::SMALL_PART {
            lists.share = Share::Large;
        }
        if starves {
            self.conns.starve(slot);
        }
        work
    }

    /// The peer has closed its side, and the session has seen all that came: asks it what follows.
    pub(super) fn end_of_input(&mut self, slot: u32, turn: &Turn<'_, S>) {
        let Self { service, conns, .. } = self;
        let Conns { slab, pool, alarms, desk, .. } = conns;
        let Conn { phase, output, account, seat, generation, .. } = &mut slab[slot as usize];
        let Phase::Serving(serving) = phase else { return };
        let handle = Handle::new(Token { slot, generation: *generation }, seat, alarms);
        pool.lend(output);
        // All of it: a session that answers "close" to what looks empty would lose what it was not shown.
        let (mut requests, never) = (u32::MAX, Cell::new(false));
        let mut out = Out::new(output, account, desk);
        let mut input = In::new(serving.input.bytes(), &mut requests, &never, out.granted_cell());
        let flow = service.on_end(handle, &mut serving.session, &mut input, &mut out, turn);
        let consumed = input.consumed();
        serving.input.consume(consumed, 0);
        match flow {
            Flow::NeedInput | Flow::Blocked => serving.doom = Some(Doom::Close(CloseReason::PeerClosed)),
            Flow::Yield | Flow::Parked | Flow::AwaitRoom | Flow::HandOut | Flow::Close => {
                if after_flow(serving, flow, account.waits()) {
                    self.conns.starve(slot);
                }
            }
        }
    }

    /// Reads what a closed connection's peer still sends, and throws it away.
    pub(super) fn drain(&mut self, slot: u32, turn: &Turn<'_, S>) {
        let conn = &mut self.conns.slab[slot as usize];
        let Phase::Lingering { since, drained_bytes } = &mut conn.phase else { return };
        self.stats.reads += 1;
        let over = match read(&mut conn.stream, &mut self.scratch) {
            ReadEnd::Bytes(n) => {
                self.stats.bytes_in += n as u64;
                let before = *drained_bytes;
                *drained_bytes += n;
                // A byte now and then does not keep it.
                if *drained_bytes / Limits::SMALL_REQUEST_BYTES > before / Limits::SMALL_REQUEST_BYTES {
                    *since = turn.now;
                }
                *drained_bytes > self.conns.limits.linger_bytes
            }
            ReadEnd::Nothing => false,
            ReadEnd::Closed | ReadEnd::Broken => true,
        };
        if over {
            self.conns.remove(slot);
        }
    }
}

/// Writes down what a session waits for. Whether that is memory.
fn after_flow<X>(serving: &mut Serving<X>, flow: Flow, refused_room: bool) -> bool {
    match flow {
        Flow::AwaitRoom if refused_room => serving.waits = Waits::Room,
        // It was not refused: it may go on.
        Flow::AwaitRoom | Flow::Yield => serving.waits = Waits::Turn,
        Flow::NeedInput => serving.waits = Waits::Input,
        Flow::Blocked => serving.waits = Waits::Blocked,
        Flow::Parked => serving.waits = Waits::Parked,
        Flow::Close => serving.doom = Some(Doom::Close(CloseReason::Requested)),
        Flow::HandOut => serving.doom = Some(Doom::HandOut),
    }
    serving.waits == Waits::Room
}

/// Shows the session what came and what was there, and keeps what it leaves. Bytes that are consumed at
/// once are never copied. An error: the system has no memory for what it leaves.
#[allow(clippy::too_many_arguments)] // Parts of a connection, borrowed one by one.
#[inline(always)]
fn show<S: Service>(
    service: &mut S,
    handle: Handle<'_>,
    serving: &mut Serving<S::Session>,
    fresh: &[u8],
    (requests, full): (&mut u32, &Cell<bool>),
    out: &mut Out<'_>,
    pool: &mut Pool,
    turn: &Turn<'_, S>,
) -> Result<Flow, TryReserveError> {
    let Serving { session, input, waits, .. } = serving;
    if input.is_empty() {
        let mut shown = In::new(fresh, requests, full, out.granted_cell());
        let flow = service.on_input(handle, session, &mut shown, out, turn);
        let (consumed, wanted) = (shown.consumed(), shown.wanted());
        input.append(&fresh[consumed..], wanted, pool)?;
        return Ok(flow);
    }
    input.append(fresh, input.wanted(), pool)?;
    if *waits == Waits::Input && input.is_short() {
        return Ok(Flow::NeedInput);
    }
    let mut shown = In::new(input.bytes(), requests, full, out.granted_cell());
    let flow = service.on_input(handle, session, &mut shown, out, turn);
    let (consumed, wanted) = (shown.consumed(), shown.wanted());
    input.consume(consumed, wanted);
    Ok(flow)
}
