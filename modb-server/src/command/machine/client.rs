//! The state of one client that commands read and change.

use std::sync::Arc;

use modb_net::resp::Protocol;

use super::listening::{Late, Listening};
use super::spare::{self, Spare};
use super::tracking::Caching;
use super::transaction::{Transaction, Watches};
use crate::command::{Begun, ClientInfo};
use crate::messages::Scope;

/// Which replies a client wants (`CLIENT REPLY`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// Not the reply of the command that sets this.
    SkipThis,
    /// Not the next one.
    SkipNext,
}

/// What happens after a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// The next one.
    #[default]
    GoOn,
    /// The next one, in a turn of its own: who monitors sees of each command, after its reply, that it was given.
    NextTurn,
    /// The connection is closed.
    Close,
    /// The connection ends when the server has ended.
    EndWithServer,
}

/// One client: a connection, or a program that embeds the database.
#[derive(Debug)]
pub struct Client {
    /// The selected database.
    pub database: u32,
    /// What it speaks.
    pub protocol: Protocol,
    /// Whether it may use commands.
    pub authenticated: bool,
    /// Which replies it wants.
    pub reply_mode: ReplyMode,
    /// What happens to the connection once what was written has left.
    pub then: Then,
    /// What others see of it.
    pub info: Arc<ClientInfo>,
    rare: Option<Box<Rare>>,
}

/// What few clients have at a time. Behind a pointer, which is none while all of it is nothing: who is idle pays eight bytes,
/// however much stands here.
#[derive(Debug, Default)]
pub struct Rare {
    /// What its first request waits for, if it was begun.
    pub begun: Option<Begun>,
    /// What it has queued since `MULTI`.
    pub transaction: Option<Transaction>,
    /// The keys that it watches.
    pub watches: Option<Watches>,
    /// What it listens to.
    pub listening: Listening,
    /// What it wants to be told of keys.
    pub caching: Option<Caching>,
    /// What waits for it behind a reply.
    pub late: Vec<Late>,
}

thread_local! {
    static SPARE: Spare<Rare> = const { Spare::none() };
}

impl Rare {
    fn is_nothing(&self) -> bool {
        let Self { begun, transaction, watches, listening, caching, late } = self;
        let wants_nothing = listening.is_empty() && caching.is_none() && late.is_empty();
        begun.is_none() && transaction.is_none() && watches.is_none() && wants_nothing
    }
}

impl Client {
    /// A new client.
    pub fn new(info: Arc<ClientInfo>, authenticated: bool) -> Self {
        Self {
            database: 0,
            protocol: Protocol::Resp2,
            authenticated,
            reply_mode: ReplyMode::On,
            then: Then::GoOn,
            info,
            rare: None,
        }
    }

    /// What it has of what few have.
    pub fn rare(&self) -> Option<&Rare> {
        self.rare.as_deref()
    }

    /// Changes what it has of what few have.
    pub fn change_rare<R>(&mut self, change: impl FnOnce(&mut Rare) -> R) -> R {
        let rare = self.rare.get_or_insert_with(|| spare::take(&SPARE));
        let changed = change(rare);
        if rare.is_nothing()
            && let Some(mut nothing) = self.rare.take()
        {
            nothing.late = Vec::new();
            spare::keep(&SPARE, nothing);
        }
        changed
    }

    /// Its transaction, to be changed.
    pub(super) fn transaction_mut(&mut self) -> Option<&mut Transaction> {
        self.rare.as_mut()?.transaction.as_mut()
    }

    /// What of it commands read and change, for a thread that executes one. Its connection keeps what it waits for.
    #[must_use]
    pub fn lend(&mut self) -> Self {
        let (transaction, watches, caching) =
            self.change_rare(|rare| (rare.transaction.take(), rare.watches.take(), rare.caching.take()));
        let listening = self.listening().cloned().unwrap_or_default();
        let mut lent = Self { info: Arc::clone(&self.info), rare: None, ..*self };
        lent.change_rare(|rare| {
            (rare.transaction, rare.watches, rare.listening) = (transaction, watches, listening);
            rare.caching = caching;
        });
        lent
    }

    /// What was [lent](Self::lend) comes back.
    pub fn take_over(&mut self, mut lent: Self) {
        let (transaction, watches, listening, caching) = lent.change_rare(|rare| {
            let listening = std::mem::take(&mut rare.listening);
            (rare.transaction.take(), rare.watches.take(), listening, rare.caching.take())
        });
        let Self { database, protocol, authenticated, reply_mode, then, .. } = lent;
        (self.database, self.protocol, self.authenticated) = (database, protocol, authenticated);
        (self.reply_mode, self.then) = (reply_mode, then);
        self.change_rare(|rare| {
            (rare.transaction, rare.watches, rare.listening) = (transaction, watches, listening);
            rare.caching = caching;
        });
    }

    /// Whether its first request was begun and waits.
    pub fn has_begun(&self) -> bool {
        self.rare().is_some_and(|rare| rare.begun.is_some())
    }

    /// Whether that takes long.
    pub fn has_long(&self) -> bool {
        self.rare().and_then(|rare| rare.begun.as_ref()).is_some_and(Begun::is_long)
    }

    /// Keeps what was begun for it.
    pub fn keep_begun(&mut self, begun: Begun) {
        self.change_rare(|rare| rare.begun = Some(begun));
    }

    /// Takes what was begun for it.
    pub fn take_begun(&mut self) -> Option<Begun> {
        self.change_rare(|rare| rare.begun.take())
    }

    /// Keeps a message until what takes long is over; how many bytes are kept.
    pub fn keep_late(&mut self, late: Late) -> usize {
        self.change_rare(|rare| rare.late.push(late));
        self.late_bytes()
    }

    /// Takes what was kept so.
    pub fn take_late(&mut self) -> Vec<Late> {
        if self.rare.is_none() { Vec::new() } else { self.change_rare(|rare| std::mem::take(&mut rare.late)) }
    }

    /// What is kept so, in bytes.
    pub fn late_bytes(&self) -> usize {
        self.rare().map_or(0, |rare| rare.late.iter().map(|late| late.frame.bytes()).sum())
    }

    /// What it listens to, if that is anything.
    pub fn listening(&self) -> Option<&Listening> {
        self.rare().map(|rare| &rare.listening).filter(|listening| !listening.is_empty())
    }

    /// Changes what it listens to.
    pub fn change_listening<R>(&mut self, change: impl FnOnce(&mut Listening) -> R) -> R {
        let changed = self.change_rare(|rare| change(&mut rare.listening));
        let count = |scope| self.listening().map_or(0, |listening| listening.count(scope));
        self.info.set_listening(Scope::ALL.map(count));
        changed
    }

    /// Whether its replies could not be told from messages, so that it may give few commands only.
    pub fn only_listens(&self) -> bool {
        self.protocol == Protocol::Resp2 && self.listening().is_some_and(Listening::has_published)
    }

    /// Selects a database.
    pub fn select(&mut self, database: u32) {
        self.database = database;
        self.info.set_database(database);
    }

    /// Back to the state after connecting (`RESET`).
    pub fn reset(&mut self, authenticated: bool) {
        self.select(0);
        self.protocol = Protocol::Resp2;
        self.info.set_protocol(Protocol::Resp2);
        self.authenticated = authenticated;
        self.reply_mode = ReplyMode::On;
        self.then = Then::GoOn;
        self.info.set_name(b"");
        self.end_transaction();
    }

    /// Whether the reply of the command just executed is wanted.
    pub fn wants_reply(&mut self) -> bool {
        match self.reply_mode {
            ReplyMode::On => true,
            ReplyMode::Off => false,
            ReplyMode::SkipNext => {
                self.reply_mode = ReplyMode::SkipThis;
                false
            }
            ReplyMode::SkipThis => {
                self.reply_mode = ReplyMode::On;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_few_clients_have_costs_the_others_a_pointer() {
        let (client, info) = (size_of::<Client>(), size_of::<ClientInfo>());
        assert!(
            client <= 24 && info <= 128,
            "a client takes {client} bytes, and what others see of it {info}"
        );
    }

    #[test]
    fn who_has_nothing_of_it_any_more_keeps_nothing_for_it() {
        let mut client = Client::new(crate::command::Registry::default().add(None, 0), true);
        assert!(client.take_begun().is_none() && client.rare().is_none());
    }
}
