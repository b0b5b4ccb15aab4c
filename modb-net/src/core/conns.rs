//! The connections of one worker: a slab with generations, and the lists that a turn works through.
//!
//! Invariants: a connection is on each list at most once (the flag in it says so); a list holds slots, and
//! a slot whose connection has gone or changed is passed over; every connection whose state may have
//! changed in a turn is on `touched` and is settled at its end.

use slab::Slab;

use crate::buf::Pool;
use crate::conn::{Conn, Stream, Waits};
use crate::poll::Interest;
use crate::token::MAX_SLOTS;
use crate::{CloseReason, Connections, Limits, Out, Token};

/// What the worker has to do to its poller after a turn.
#[derive(Debug)]
pub(crate) enum Action<T> {
    /// Tell the poller the new interest.
    Modify(Token, Interest),
    /// Take it off the poller, then close it.
    Close(Token, T),
}

pub(crate) struct Conns<X, T> {
    pub(crate) slab: Slab<Conn<X, T>>,
    pub(crate) pool: Pool,
    pub(crate) limits: Limits,
    /// To be settled at the end of this turn.
    pub(crate) touched: Vec<u32>,
    /// To be executed in the next turn without waiting.
    pub(crate) ready: Vec<u32>,
    /// Output waits for a commit.
    pub(crate) held: Vec<u32>,
    pub(crate) actions: Vec<Action<T>>,
    /// Connections that ever came: the generation of the last one.
    generation: u32,
}

impl<X, T: Stream> Conns<X, T> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            slab: Slab::new(),
            pool: Pool::default(),
            limits,
            touched: Vec::new(),
            ready: Vec::new(),
            held: Vec::new(),
            actions: Vec::new(),
            generation: 0,
        }
    }

    /// Whether there is no name left for another connection.
    pub(crate) fn is_full(&self) -> bool {
        self.slab.len() >= MAX_SLOTS
    }

    /// Gives the connection a slot and a new generation.
    pub(crate) fn insert(&mut self, mut conn: Conn<X, T>) -> Token {
        self.generation = self.generation.wrapping_add(1);
        conn.generation = self.generation;
        let slot = self.slab.insert(conn) as u32;
        self.touch(slot);
        Token { slot, generation: self.generation }
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
            && !conn.touched
        {
            conn.touched = true;
            self.touched.push(slot);
        }
    }

    /// Executes the connection in `slot` in the next turn.
    pub(crate) fn queue(&mut self, slot: u32) {
        if let Some(conn) = self.slab.get_mut(slot as usize)
            && !conn.queued
        {
            conn.queued = true;
            self.ready.push(slot);
        }
    }

    /// Takes the connection out; its slot is free.
    pub(crate) fn detach(&mut self, slot: u32) -> (Token, Conn<X, T>) {
        let mut conn = self.slab.remove(slot as usize);
        conn.touched = false;
        conn.queued = false;
        conn.held = false;
        (Token { slot, generation: conn.generation }, conn)
    }

    /// Closes the connection in `slot` now. Gives its session back if it was still served.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<X> {
        let (token, mut conn) = self.detach(slot);
        conn.input.clear();
        conn.output.clear();
        self.pool.reclaim_input(&mut conn.input);
        self.pool.reclaim_output(&mut conn.output);
        self.actions.push(Action::Close(token, conn.stream));
        conn.session
    }

    fn serving(&mut self, token: Token) -> Option<&mut Conn<X, T>> {
        self.slab
            .get_mut(token.slot as usize)
            .filter(|conn| conn.generation == token.generation && conn.is_serving())
    }
}

impl<X, T: Stream> Connections<X> for Conns<X, T> {
    fn get(&mut self, token: Token) -> Option<(&mut X, Out<'_>)> {
        self.serving(token)?;
        self.touch(token.slot);
        let high_water = self.limits.output_high_water_bytes;
        let conn = &mut self.slab[token.slot as usize];
        self.pool.lend(&mut conn.output);
        Some((conn.session.as_mut()?, Out::new(&mut conn.output, high_water)))
    }

    fn for_each(&mut self, f: &mut dyn FnMut(Token, &mut X, Out<'_>)) {
        let high_water = self.limits.output_high_water_bytes;
        for (slot, conn) in &mut self.slab {
            if !conn.is_serving() {
                continue;
            }
            let Some(session) = conn.session.as_mut() else { continue };
            let token = Token { slot: slot as u32, generation: conn.generation };
            let before = conn.output.len();
            self.pool.lend(&mut conn.output);
            f(token, session, Out::new(&mut conn.output, high_water));
            if conn.output.len() == before {
                self.pool.reclaim_output(&mut conn.output);
            } else if !conn.touched {
                conn.touched = true;
                self.touched.push(token.slot);
            }
        }
    }

    fn resume(&mut self, token: Token) {
        if let Some(conn) = self.serving(token)
            && conn.waits == Waits::Resume
        {
            conn.waits = Waits::Turn;
            self.touch(token.slot);
        }
    }

    fn close(&mut self, token: Token) -> bool {
        let Some(conn) = self.serving(token) else { return false };
        conn.doomed = Some(CloseReason::Requested);
        self.touch(token.slot);
        true
    }
}
