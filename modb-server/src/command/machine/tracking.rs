//! What a client wants to be told of the keys that it reads (`CLIENT TRACKING`), and which of its reads that concerns.
//!
//! Invariant: a read is entered while its stripes are held, before its reply is there, and whatever becomes of it.

use std::sync::Arc;

use modb_net::resp::Args;

use super::client::Client;
use super::spec::{Flags, Spec};
use crate::command::language::parse::is;
use crate::data::{Tracker, Tracking, Tx};

/// A client that tracks keys.
#[derive(Debug)]
pub struct Caching {
    pub(crate) tracking: Tracking,
    pub(crate) mode: Mode,
    /// The next command is an exception from the mode (`CLIENT CACHING`).
    pub(crate) excepted: bool,
}

/// Which keys a client tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All that it reads.
    Read,
    /// Those that it reads with a command before which it says so.
    OptIn,
    /// Those that it reads with a command before which it does not say otherwise.
    OptOut,
    /// All with some prefixes, read or not.
    Broadcast,
}

impl Caching {
    /// As those see it who change keys.
    pub fn tracker(&self) -> &Arc<Tracker> {
        self.tracking.tracker()
    }

    /// Whether it tracks what it reads next.
    pub(crate) fn remembers(&self) -> bool {
        match self.mode {
            Mode::Read => true,
            Mode::OptIn => self.excepted,
            Mode::OptOut => !self.excepted,
            Mode::Broadcast => false,
        }
    }
}

/// Enters the keys that a client reads with a command that has run, if it tracks them.
pub(crate) fn remember(tx: &mut Tx<'_>, client: &Client, spec: &Spec, args: Args<'_>) {
    if let Some(caching) = client.caching()
        && spec.flags.has(Flags::READONLY)
        && caching.remembers()
    {
        let tracker = caching.tracking.tracker();
        spec.for_each_key(args, |at, _| tx.track(&args[at], tracker));
    }
}

/// A request is over: the next one is no exception, unless this one was to say so or is part of a transaction.
pub(crate) fn is_over(client: &mut Client, args: Args<'_>) {
    if client.caching().is_some_and(|caching| caching.excepted)
        && !client.is_in_multi()
        && !is(&args[0], "client")
    {
        client.change_rare(|rare| rare.caching.as_mut().map(|caching| caching.excepted = false));
    }
}

impl Client {
    /// What it wants to be told of keys, if anything.
    pub fn caching(&self) -> Option<&Caching> {
        self.rare()?.caching.as_ref()
    }

    /// Whether it tracks keys: then it reads them under their stripes.
    #[inline]
    pub fn tracks(&self) -> bool {
        self.caching().is_some()
    }

    /// Whether it is told of keys that it has not read.
    pub fn hears_of_prefixes(&self) -> bool {
        self.caching().is_some_and(|caching| caching.mode == Mode::Broadcast)
    }

    /// What it wants to be told of keys from now on.
    pub(crate) fn set_caching(&mut self, caching: Option<Caching>) {
        let shown = caching
            .as_ref()
            .map(|caching| (Arc::clone(caching.tracking.tracker()), caching.mode == Mode::Broadcast));
        self.info.set_tracker(shown);
        self.change_rare(|rare| rare.caching = caching);
    }
}
