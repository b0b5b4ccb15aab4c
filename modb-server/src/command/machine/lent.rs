//! A command that a thread executes for a connection, since it takes long: what is lent to the thread, and what comes back.
//!
//! Whoever serves the connection gives the thread all that it needs as its own: the words of the request, and the client, as far as
//! commands read and change it. The connection is parked meanwhile, so nothing of that is missed, and gets it back with the reply.
//!
//! Invariants: what is lent comes back, also from a thread that panicked or could not be had; a command for which nobody waits any
//! more before its thread has begun is not executed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::begun::Begun;
use super::client::Client;
use super::outcome::Outcome;
use super::table::Resolved;
use crate::command::language::feed::Feed;
use crate::messages::Scope;

/// What a thread is lent.
#[derive(Debug)]
pub(crate) struct Lent {
    /// The command.
    pub(crate) resolved: Resolved,
    /// The request, as it came.
    pub(crate) request: Vec<u8>,
    /// Who asks.
    pub(crate) client: Client,
    /// How large a reply there is room for, in bytes.
    pub(crate) room_bytes: usize,
}

/// What has become of it.
#[derive(Debug)]
pub(crate) enum Ran {
    /// It was executed. What of the reply is large is apart from the outcome.
    Done(Outcome, Option<Feed>),
    /// It waits for what others bring, and holds no thread meanwhile.
    Waits(Begun),
    /// Nothing was done: there was no room for a reply of so many bytes.
    TooLarge(usize),
    /// Nothing was done: writers are held up.
    Paused,
}

/// A name that it listens to from now on, or no longer: its worker sees to that, who alone knows who listens.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) scope: Scope,
    pub(crate) name: Bytes,
    pub(crate) listens: bool,
}

/// What comes back.
#[derive(Debug)]
pub(crate) struct Back {
    /// Who asks.
    pub(crate) client: Client,
    /// What it listens to, in the order in which it was said.
    pub(crate) heard: Vec<Heard>,
    /// What has become of the command.
    pub(crate) ran: Ran,
}

/// Where it comes back to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tray(Arc<Mutex<Option<Back>>>);

impl Tray {
    /// Gives it back.
    pub(crate) fn put(&self, back: Back) {
        *lock(&self.0) = Some(back);
    }

    /// What has come back, once it has.
    pub(crate) fn take(&self) -> Option<Back> {
        lock(&self.0).take()
    }

    /// Whether somebody still waits for it, besides who asks.
    pub(crate) fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// A request that takes long.
#[derive(Debug)]
pub(crate) struct Long {
    /// Its length; 0 until whoever serves the client has seen to it.
    pub(crate) request_bytes: usize,
    /// Room that it was granted before it was found to take long, for what it gathers and what it is about to keep: counted until it was
    /// executed.
    pub(crate) beside_bytes: usize,
    /// How far it is.
    pub(crate) stage: Stage,
}

/// How far a request is that takes long.
#[derive(Debug)]
pub(crate) enum Stage {
    /// It was found to take long, and to be answered with so many bytes, about.
    Found {
        /// Room that is asked for before it is lent, for its reply.
        reply_bytes: usize,
    },
    /// Its bytes are gathered for the thread, piece by piece.
    Gathered {
        /// What is there.
        request: Vec<u8>,
        /// There is room for such a reply.
        room_bytes: usize,
    },
    /// It is with a thread, or waits for one.
    Away {
        /// Where it comes back to.
        tray: Tray,
        /// What all of it may take, and what is lent holds, in bytes.
        bytes: usize,
    },
    /// It was executed, and its reply leaves piece by piece.
    Answered(Feed),
}

impl Long {
    /// One that is answered with so many bytes, about.
    pub(crate) fn found(reply_bytes: usize) -> Self {
        Self { request_bytes: 0, beside_bytes: 0, stage: Stage::Found { reply_bytes } }
    }

    /// What it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match &self.stage {
            Stage::Found { .. } => 0,
            Stage::Gathered { request, room_bytes } => request.capacity() + room_bytes + self.beside_bytes,
            Stage::Away { bytes, .. } => *bytes,
            Stage::Answered(feed) => feed.bytes(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
