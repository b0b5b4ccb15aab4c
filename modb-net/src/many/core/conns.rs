//! The connections of one worker: a slab with generations, and the lists that a turn works through.
//!
//! Invariants: a connection is on each list at most once ([`Lists`] says on which); a list holds slots, and a slot whose
//! connection has gone or changed is passed over; the list of held ones holds nothing else than connections that are
//! there, since it outlives turns; every connection whose state may have changed in a turn is on `touched` and is
//! settled at its end.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use crate::base::alarms::Alarms;
use crate::base::buf::Pool;
use crate::base::limits::{Limits, after};
use crate::base::token::{MAX_SLOTS, Token};
use crate::connection::budget::{Account, Budget};
use crate::connection::conn::{Conn, Doom, Lists, NOT_HELD, Phase, Serving, Stream, Then, Waits};
use crate::connection::io::{Desk, Out};
use crate::connection::reason::CloseReason;
use crate::connection::seat::Seat;
use crate::connection::service::Connections;
use crate::system::poll::Interest;

/// What the worker has to do to its poller after a turn.
#[derive(Debug)]
pub(crate) enum Action<X, T> {
    /// Tell the poller the new interest.
    Modify(Token, Interest),
    /// Take it off the poller, close it, then give its seat back.
    Close(Token, T, Seat),
    /// Take it off the poller and give the socket to the service.
    HandOut(Token, T, Box<Leaving<X>>),
}

/// What goes out of the layer with a socket.
#[derive(Debug)]
pub(crate) struct Leaving<X> {
    pub(crate) session: X,
    pub(crate) unread: Vec<u8>,
    pub(crate) seat: Seat,
}

pub(crate) struct Conns<X, T> {
    pub(crate) slab: Slab<Conn<X, T>>,
    pub(crate) pool: Pool,
    pub(crate) limits: Limits,
    pub(crate) budget: Arc<Budget>,
    /// What all outputs share in this turn.
    pub(crate) desk: Desk,
    pub(crate) alarms: RefCell<Alarms>,
    /// To be settled at the end of this turn.
    pub(crate) touched: Vec<u32>,
    /// To be executed in the next turn without waiting.
    pub(crate) ready: Vec<u32>,
    /// Are served behind those who take little; see `line`.
    pub(super) line: VecDeque<u32>,
    /// Wait for memory.
    pub(crate) starved: Vec<u32>,
    /// Have had much unsent output for a while, by when they are closed for it.
    pub(crate) slow: BTreeSet<(Instant, Token)>,
    /// Output waits for a commit.
    held: Vec<u32>,
    pub(crate) actions: Vec<Action<X, T>>,
    /// Connections that ever came: the generation of the last one.
    generation: u32,
}

impl<X, T: Stream> Conns<X, T> {
    pub(crate) fn new(limits: Limits, budget: Arc<Budget>, worker: usize, now: Instant) -> Self {
        let high_water_bytes = limits.output_high_water_bytes;
        Self {
            slab: Slab::new(),
            pool: Pool::default(),
            limits,
            budget,
            desk: Desk { worker, now, high_water_bytes, full: Cell::new(false), granted: Cell::new(0) },
            alarms: RefCell::default(),
            touched: Vec::new(),
            ready: Vec::new(),
            line: VecDeque::new(),
            starved: Vec::new(),
            slow: BTreeSet::new(),
            held: Vec::new(),
            actions: Vec::new(),
            generation: 0,
        }
    }

    /// Whether there is no name left for another connection.
    pub(crate) fn is_full(&self) -> bool {
        self.slab.len() >= MAX_SLOTS
    }

    /// The name that the next connection will have.
    pub(crate) fn next_token(&self) -> Token {
        Token { slot: self.slab.vacant_key() as u32, generation: self.generation.wrapping_add(1) }
    }

    /// Gives the connection its slot and a new generation, and says so on its seat.
    pub(crate) fn insert(&mut self, mut conn: Conn<X, T>) -> Token {
        let token = self.next_token();
        self.generation = token.generation;
        conn.generation = token.generation;
        conn.seat.name(token);
        self.slab.insert(conn);
        self.touch(token.slot);
        token
    }

    /// An empty account.
    pub(crate) fn new_account(&self) -> Account {
        Account::new(&self.budget)
    }

    /// The slot that a poller's key names, if its connection is still the one that was meant.
    pub(crate) fn slot_of_key(&self, key: usize) -> Option<u32> {
        let slot = Token::slot_of(key);
        let conn = self.slab.get(slot)?;
        let token = Token { slot: slot as u32, generation: conn.generation };
        token.has_key(key).then_some(token.slot)
    }

    /// The connection in `slot` is settled at the end of this turn.
    pub(crate) fn touch(&mut self, slot: u32) {
        if let Some(conn) = self.slab.get_mut(slot as usize)
            && !conn.lists.touched
        {
            conn.lists.touched = true;
            self.touched.push(slot);
        }
    }

    /// Executes the connection in `slot` in the next turn.
    pub(crate) fn queue(&mut self, slot: u32) {
        if let Some(conn) = self.slab.get_mut(slot as usize)
            && !conn.lists.queued
        {
            conn.lists.queued = true;
            self.ready.push(slot);
        }
    }

    /// The connection in `slot` waits for memory.
    pub(crate) fn starve(&mut self, slot: u32) {
        if let Some(conn) = self.slab.get_mut(slot as usize)
            && !conn.lists.starved
        {
            conn.lists.starved = true;
            self.starved.push(slot);
        }
    }

    /// The output of the connection in `slot` waits for a commit.
    pub(crate) fn hold(&mut self, slot: u32) {
        let conn = &mut self.slab[slot as usize];
        if conn.lists.held_at == NOT_HELD {
            conn.lists.held_at = self.held.len() as u32;
            self.held.push(slot);
        }
    }

    /// Takes the connection in `slot` off the list of held ones.
    fn unhold(&mut self, slot: u32) {
        let at = std::mem::replace(&mut self.slab[slot as usize].lists.held_at, NOT_HELD);
        if at != NOT_HELD {
            self.held.swap_remove(at as usize);
            if let Some(&moved) = self.held.get(at as usize) {
                self.slab[moved as usize].lists.held_at = at;
            }
        }
    }

    /// All connections whose output waits for a commit are settled at the end of this turn.
    pub(crate) fn touch_held(&mut self) {
        while let Some(&slot) = self.held.last() {
            self.unhold(slot);
            self.touch(slot);
        }
    }

    /// The connection in `slot` has more unsent output than it may have for long: it is closed after `timeout`, measured from
    /// when that began.
    pub(crate) fn is_slow(&mut self, slot: u32, timeout: Duration, now: Instant) {
        let conn = &mut self.slab[slot as usize];
        let token = Token { slot, generation: conn.generation };
        let since = conn.output.over_since().unwrap_or(now);
        if let Some(before) = conn.output.set_over(Some((since, after(since, timeout)))) {
            self.slow.remove(&(before, token));
        }
        self.slow.insert((after(since, timeout), token));
    }

    /// The connection in `slot` has no more than it may have.
    pub(crate) fn is_quick(&mut self, slot: u32) {
        let conn = &mut self.slab[slot as usize];
        if conn.output.over_since().is_some()
            && let Some(at) = conn.output.set_over(None)
        {
            self.slow.remove(&(at, Token { slot, generation: conn.generation }));
        }
    }

    /// A connection that has had too much unsent output for too long.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Token> {
        self.slow.first().filter(|(at, _)| *at <= now).map(|(_, token)| *token)
    }

    /// How many connections wait for a commit.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether output of any connection waits for a commit.
    pub(crate) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the connection out; its slot is free.
    pub(crate) fn detach(&mut self, slot: u32) -> (Token, Conn<X, T>) {
        self.unhold(slot);
        self.is_quick(slot);
        let mut conn = self.slab.remove(slot as usize);
        conn.lists = Lists::NONE;
        (Token { slot, generation: conn.generation }, conn)
    }

    /// Closes the connection in `slot` now. Gives what it was back if it was still served.
    pub(crate) fn remove(&mut self, slot: u32) -> (Token, Option<X>) {
        let (token, mut conn) = self.detach(slot);
        self.alarms.get_mut().clear(token);
        conn.output.clear();
        self.pool.reclaim_output(&mut conn.output);
        let session = match conn.phase {
            Phase::Serving(Serving { session, mut input, .. }) => {
                input.clear();
                input.reclaim(&mut self.pool);
                Some(session)
            }
            Phase::Sending { then: Then::HandOut { session, .. }, .. } => Some(session),
            Phase::Opening { .. } | Phase::Sending { .. } | Phase::Lingering { .. } => None,
        };
        self.actions.push(Action::Close(token, conn.stream, conn.seat));
        (token, session)
    }

    /// Whether there is such a connection, which is served and stays so.
    pub(crate) fn stays(&self, token: Token) -> bool {
        self.slab.get(token.slot as usize).is_some_and(|conn| conn.stays_as(token))
    }

    /// A connection that is served and stays so.
    fn staying(&mut self, token: Token) -> Option<&mut Conn<X, T>> {
        self.slab.get_mut(token.slot as usize).filter(|conn| conn.stays_as(token))
    }
}

impl<X, T: Stream> Connections<X> for Conns<X, T> {
    fn get(&mut self, token: Token) -> Option<(&mut X, Out<'_>)> {
        self.staying(token)?;
        self.touch(token.slot);
        let conn = &mut self.slab[token.slot as usize];
        self.pool.lend(&mut conn.output);
        let Phase::Serving(serving) = &mut conn.phase else { return None };
        Some((&mut serving.session, Out::new(&mut conn.output, &mut conn.account, &self.desk)))
    }

    fn for_each(&mut self, f: &mut dyn FnMut(Token, &mut X, Out<'_>)) {
        for (slot, conn) in &mut self.slab {
            let token = Token { slot: slot as u32, generation: conn.generation };
            let Phase::Serving(serving) = &mut conn.phase else { continue };
            if serving.doom.is_some() {
                continue;
            }
            let before = conn.output.len();
            self.pool.lend(&mut conn.output);
            f(token, &mut serving.session, Out::new(&mut conn.output, &mut conn.account, &self.desk));
            if conn.output.len() == before {
                self.pool.reclaim_output(&mut conn.output);
            } else if !conn.lists.touched {
                conn.lists.touched = true;
                self.touched.push(token.slot);
            }
        }
    }

    fn resume(&mut self, token: Token) {
        if let Some(conn) = self.staying(token)
            && let Some(serving) = conn.serving_mut()
            && serving.waits_for_resume()
        {
            let parked = serving.waits == Waits::Parked;
            serving.waits = if parked { Waits::Resumed } else { Waits::Turn };
            self.touch(token.slot);
        }
    }

    fn set_alarm(&mut self, token: Token, at: Instant) {
        if self.stays(token) {
            self.alarms.get_mut().set(token, at);
        }
    }

    fn close(&mut self, token: Token) -> bool {
        let Some(serving) = self.staying(token).and_then(Conn::serving_mut) else { return false };
        serving.doom = Some(Doom::Close(CloseReason::Requested));
        self.touch(token.slot);
        true
    }
}
