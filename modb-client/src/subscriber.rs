//! Listening to published messages, in either protocol.

use std::time::Duration;

use modb_net::resp::Value;

use crate::config::Config;
use crate::connection::Connection;
use crate::error::{Result, ServerError};
use crate::from_value::FromValue;

/// A published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The pattern through which it came, if any.
    pub pattern: Option<Vec<u8>>,
    /// Where it was published.
    pub channel: Vec<u8>,
    /// What was published.
    pub payload: Vec<u8>,
}

/// A connection that only listens.
#[derive(Debug)]
pub struct Subscriber {
    connection: Connection,
}

impl Subscriber {
    /// Connects as `config` says.
    ///
    /// # Errors
    /// Those of [`Connection::open`].
    pub fn open(config: &Config) -> Result<Self> {
        Ok(Self { connection: Connection::open(config)? })
    }

    /// Listens to `channels` as well.
    ///
    /// # Errors
    /// Those that lose the connection. A refusal by the server comes with [`Subscriber::next_message`].
    pub fn subscribe<'a>(&mut self, channels: impl IntoIterator<Item = &'a str>) -> Result<()> {
        self.send("SUBSCRIBE", channels)
    }

    /// Listens to all channels that match one of `patterns` as well.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub fn subscribe_patterns<'a>(&mut self, patterns: impl IntoIterator<Item = &'a str>) -> Result<()> {
        self.send("PSUBSCRIBE", patterns)
    }

    /// Stops listening to `channels`; to all of them if none is given.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub fn unsubscribe<'a>(&mut self, channels: impl IntoIterator<Item = &'a str>) -> Result<()> {
        self.send("UNSUBSCRIBE", channels)
    }

    /// The next message; `None` if none came within `timeout` (whose `None` means: wait for ever).
    ///
    /// # Errors
    /// [`crate::Error::Server`] for a refusal; those that lose the connection. Nothing is subscribed on a new one.
    pub fn next_message(&mut self, timeout: Option<Duration>) -> Result<Option<Message>> {
        loop {
            let Some(value) = self.connection.receive_any(timeout)? else { return Ok(None) };
            let items = match value.without_attributes() {
                Value::Push(items) | Value::Array(items) => items,
                Value::Error(text) => return Err(ServerError::new(&text).into()),
                _ => continue,
            };
            if let Some(message) = message(items)? {
                return Ok(Some(message));
            }
        }
    }

    fn send<'a>(&mut self, name: &'a str, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let mut request = vec![name];
        request.extend(names);
        self.connection.send(request)
    }
}

/// A message from its parts; `None` for a confirmation or another kind of push.
fn message(items: Vec<Value>) -> Result<Option<Message>> {
    let mut items = items.into_iter();
    let mut next = || Vec::<u8>::from_value(items.next().unwrap_or(Value::Null));
    let kind = next()?;
    Ok(match kind.as_slice() {
        b"message" => Some(Message { pattern: None, channel: next()?, payload: next()? }),
        b"pmessage" => Some(Message { pattern: Some(next()?), channel: next()?, payload: next()? }),
        _ => None,
    })
}
