//! The state of one client that commands read and change.

use std::sync::Arc;

use modb_net::resp::Protocol;

use crate::command::ClientInfo;

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
        }
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
        self.info.set_name(b"");
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
