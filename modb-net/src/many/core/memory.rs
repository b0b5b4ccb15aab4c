//! Memory that is short: who may go on when there is room again, and who is closed since others wait for what it holds.
//!
//! Invariants: nobody is closed who makes progress, or whom this server keeps from making it; the largest goes first, of
//! all workers. Who rests on what it keeps makes none by what comes and goes beside that, or he could hold up all others for ever;
//! and who makes none and may not be closed is not waited for. Nobody is closed whose going helps nobody.

use std::time::Instant;

use super::Core;
use crate::base::limits::{Limits, after};
use crate::connection::conn::{Doom, Phase, Stream, Waits};
use crate::connection::reason::CloseReason;
use crate::connection::service::{Service, Turn};

/// How many times a connection is looked at while its stall timeout passes.
const LOOKS: u32 = 8;

/// When connections are looked at next; only while somebody waits for memory.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    next: Option<Instant>,
}

impl Stalls {
    /// When there is something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }
}

impl<S: Service, T: Stream> Core<S, T> {
    /// While memory is short nobody executes on top of unsent output; while somebody waits for it the pool keeps nothing.
    pub(super) fn refresh_memory(&mut self) {
        let high_water = self.conns.limits.output_high_water_bytes;
        let is_short = self.conns.budget.is_short();
        if is_short || self.conns.budget.is_awaited() {
            self.conns.pool.clear();
            self.count_pool();
        }
        self.conns.desk.high_water_bytes =
            if is_short { high_water.min(Limits::SMALL_REQUEST_BYTES) } else { high_water };
    }

    /// Tells the budget what the pool holds.
    pub(super) fn count_pool(&mut self) {
        self.pooled.recount(self.conns.pool.bytes());
    }

    /// Connections that waited for memory go on, in the order in which they began, as far as there is room.
    pub(super) fn feed_starved(&mut self) {
        if self.conns.starved.is_empty() {
            return;
        }
        let mut starved = std::mem::take(&mut self.conns.starved);
        let slab = &mut self.conns.slab;
        starved.retain(|&slot| slab.get(slot as usize).is_some_and(|conn| conn.lists.starved));
        starved.sort_by_key(|&slot| slab[slot as usize].account.number());
        starved.dedup();
        let fed = starved.iter().take_while(|&&slot| slab[slot as usize].account.try_again()).count();
        for &slot in &starved[..fed] {
            let conn = &mut slab[slot as usize];
            conn.lists.starved = false;
            if let Some(serving) = conn.serving_mut()
                && serving.waits == Waits::Room
            {
                serving.waits = Waits::Turn;
            }
        }
        for slot in starved.drain(..fed) {
            self.conns.touch(slot);
        }
        self.conns.starved = starved;
    }

    /// Closes who holds memory that others wait for and makes no progress.
    pub(super) fn check_stalls(&mut self, turn: &Turn<'_, S>) {
        if !self.conns.budget.is_awaited() {
            if self.stalls.next.take().is_some() {
                self.conns.budget.is_largest_stalled(turn.worker, 0);
            }
            return;
        }
        let budget = self.conns.budget.clone();
        let timeout = self.conns.limits.stall_timeout;
        let again = Some(after(turn.now, timeout / LOOKS));
        let Some(at) = self.stalls.next else {
            // From now on others wait.
            for (_, conn) in &mut self.conns.slab {
                if keeps_much(&self.service, &conn.phase) {
                    // Behind all who wait for room: it holds what it has, and wants no more.
                    conn.account.begin_large(turn.worker, turn.now);
                }
                conn.account.watch(turn.now);
            }
            self.stalls.next = again;
            return;
        };
        if at > turn.now {
            return;
        }
        self.stalls.next = again;
        // Who will be stalled at the next look counts, too: another worker that looks at its own in between is to know.
        let nearly = timeout - timeout / LOOKS;
        let mut stalled: Vec<(usize, u32, bool)> = Vec::new();
        for (slot, conn) in &mut self.conns.slab {
            let waits = conn.serving().is_some_and(|serving| serving.waits_for_resume());
            if waits && !waits_at_will(&self.service, &conn.phase) || conn.is_in_line() {
                // Its time begins when it goes on.
                conn.account.watch_progress(turn.now);
                continue;
            }
            let keeps = keeps_most(&self.service, &conn.phase, conn.account.counted());
            let time = conn.account.stalled_for(turn.now, keeps);
            if time < nearly {
                continue;
            }
            if may_be_closed(&self.service, &conn.phase) {
                stalled.push((conn.account.counted(), slot as u32, time >= timeout));
            } else if time >= timeout {
                conn.account.step_back();
            }
        }
        stalled.sort_unstable();
        while let Some((bytes, slot, is_due)) = stalled.pop() {
            // Asked each time: others go on meanwhile, and who went may have been what kept the oldest.
            let missing = budget.missing();
            if self.conns.slab[slot as usize].account.number() >= missing.before {
                continue;
            }
            if !budget.is_largest_stalled(turn.worker, bytes) || !is_due || missing.bytes == 0 {
                return;
            }
            tracing::info!(
                bytes,
                "a connection that makes no progress is closed, since others wait for its memory"
            );
            self.evict(slot, turn);
        }
        budget.is_largest_stalled(turn.worker, 0);
    }

    /// Closes a connection for what it holds; says why, unless what it holds is output.
    fn evict(&mut self, slot: u32, turn: &Turn<'_, S>) {
        let conn = &mut self.conns.slab[slot as usize];
        match &mut conn.phase {
            Phase::Serving(serving) if conn.output.is_empty() => {
                serving.doom = Some(Doom::Close(CloseReason::MemoryStall));
                self.end_serving_if_due(slot, turn);
                self.conns.touch(slot);
                // Given back at once, as its place is, since that decides whether another one has to go.
                self.conns.pool.clear();
                let conn = &mut self.conns.slab[slot as usize];
                conn.account.recount(conn.output.heap_bytes());
                conn.account.step_back();
            }
            _ => self.abort(slot, CloseReason::MemoryStall, turn),
        }
    }
}

/// Whether a stalled connection is one that its peer keeps from going on.
fn may_be_closed<S: Service>(service: &S, phase: &Phase<S::Session>) -> bool {
    match phase {
        Phase::Serving(serving) => {
            let is_kept = serving.waits_for_resume() && !waits_at_will(service, phase);
            !is_kept && serving.doom.is_none() && service.may_be_evicted(&serving.session)
        }
        Phase::Sending { .. } => true,
        Phase::Opening { .. } | Phase::Lingering { .. } => false,
    }
}

/// Whether a session keeps much, and that is its own doing.
fn keeps_much<S: Service>(service: &S, phase: &Phase<S::Session>) -> bool {
    let Phase::Serving(serving) = phase else { return false };
    let is_its_doing = !serving.waits_for_resume() || waits_at_will(service, phase);
    is_its_doing && service.session_bytes(&serving.session) > Limits::SMALL_REQUEST_BYTES
}

/// Whether most of the much that a connection holds is what its session keeps for longer than a request.
fn keeps_most<S: Service>(service: &S, phase: &Phase<S::Session>, counted: usize) -> bool {
    let Phase::Serving(serving) = phase else { return false };
    let at_will = waits_at_will(service, phase);
    let session = &serving.session;
    let kept = if at_will { service.session_bytes(session) } else { service.kept_bytes(session) };
    kept > Limits::SMALL_REQUEST_BYTES && kept > counted / 2
}

/// Whether a connection waits for what it has asked to wait for.
fn waits_at_will<S: Service>(service: &S, phase: &Phase<S::Session>) -> bool {
    matches!(phase, Phase::Serving(serving) if serving.waits == Waits::Blocked && service.waits_at_will(&serving.session))
}
