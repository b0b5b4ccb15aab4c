//! What can go wrong, in one type.

use std::io;

use modb_net::resp::ReplyError;
use thiserror::Error;

/// The result of most calls.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong between a program and a server.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be understood.
    #[error("invalid URL {url:?}: {reason}")]
    Url {
        /// What was given, without a password.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No connection was made.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The server did not answer, or did not take the request, in time. The connection is closed: whether
    /// the request was executed is unknown.
    #[error("the server did not answer in time")]
    Timeout,
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The connection failed.
    #[error("connection lost: {0}")]
    Io(#[source] io::Error),
    /// What the server sent is not RESP.
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] ReplyError),
    /// The connection was given up after an earlier error.
    #[error("the connection was given up after an earlier error")]
    Broken,
    /// The server answered with an error.
    #[error("{0}")]
    Server(#[from] ServerError),
    /// The reply is of another type than was asked for.
    #[error("expected {expected}, got {got}")]
    UnexpectedReply {
        /// What was asked for.
        expected: &'static str,
        /// What came, shortened.
        got: String,
    },
    /// Every connection of the pool stayed in use for as long as the caller would wait.
    #[error("no connection of the pool came free in time")]
    PoolTimeout,
}

impl Error {
    /// Whether the connection is gone, so that only a new one can help.
    pub fn is_connection_lost(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Timeout
                | Self::Closed
                | Self::Io(_)
                | Self::Protocol(_)
                | Self::Broken
        )
    }
}

/// An error that the server answered.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct ServerError {
    message: String,
}

impl ServerError {
    /// An error from the bytes of the wire.
    pub(crate) fn new(text: &[u8]) -> Self {
        Self { message: String::from_utf8_lossy(text).into_owned() }
    }

    /// Its first word, which programs go by: `ERR`, `WRONGTYPE`, `NOAUTH`, ...
    pub fn code(&self) -> &str {
        self.message.split(' ').next().unwrap_or_default()
    }

    /// All of it, code included.
    pub fn message(&self) -> &str {
        &self.message
    }
}
