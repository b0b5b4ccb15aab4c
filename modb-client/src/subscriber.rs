//! Listening to published messages, in either protocol.
//!
//! Invariant: an iterator ends without an error where it is meant to: nothing is listened to any more, or a [`Closer`] has ended it.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use modb_net::resp::Value;

use crate::config::Config;
use crate::connection::Connection;
use crate::error::{Error, Result, ServerError};
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
    /// Whether a [`Closer`] has ended it.
    closed: Arc<AtomicBool>,
}

/// Ends a [`Subscriber`] from another thread; see [`Subscriber::closer`].
#[derive(Debug)]
pub struct Closer {
    stream: TcpStream,
    closed: Arc<AtomicBool>,
}

impl Closer {
    /// Ends it: whoever waits for a message waits no longer. Nothing more can be done with it.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        // It may have ended already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// What comes to one who listens.
enum Heard {
    Message(Message),
    /// Something was done about names; so many are listened to now.
    Names(i64),
    /// Another kind of push.
    Other,
}

impl Subscriber {
    /// Connects as `config` says.
    ///
    /// # Errors
    /// Those of [`Connection::open`].
    pub fn open(config: &Config) -> Result<Self> {
        Ok(Self { connection: Connection::open(config)?, closed: Arc::default() })
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

    /// Stops listening through `patterns`; through all of them if none is given.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub fn unsubscribe_patterns<'a>(&mut self, patterns: impl IntoIterator<Item = &'a str>) -> Result<()> {
        self.send("PUNSUBSCRIBE", patterns)
    }

    /// The next message; `None` if none came within `timeout` (whose `None` means: wait for ever).
    ///
    /// # Errors
    /// [`crate::Error::Server`] for a refusal; those that lose the connection. Nothing is subscribed on a new one.
    pub fn next_message(&mut self, timeout: Option<Duration>) -> Result<Option<Message>> {
        loop {
            match self.hear(timeout)? {
                Some(Heard::Message(message)) => return Ok(Some(message)),
                Some(Heard::Names(_) | Heard::Other) => {}
                None => return Ok(None),
            }
        }
    }

    /// The messages, one after the other, each waited for. It ends after an error; without one, once nothing is listened to any more (after
    /// [`Subscriber::unsubscribe`]), or a [`Closer`] has ended it.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), modb_client::Error> {
    /// let mut subscriber = modb_client::Subscriber::open(&"modb://127.0.0.1".parse()?)?;
    /// subscriber.subscribe(["news"])?;
    /// let closer = subscriber.closer()?;
    /// let reader = std::thread::spawn(move || {
    ///     for message in subscriber.messages() {
    ///         println!("{}", String::from_utf8_lossy(&message?.payload));
    ///     }
    ///     Ok::<_, modb_client::Error>(())
    /// });
    /// closer.close();
    /// reader.join().expect("it does not panic")
    /// # }
    /// ```
    pub fn messages(&mut self) -> Messages<'_> {
        Messages { subscriber: self, over: false }
    }

    /// What ends it from another thread.
    ///
    /// # Errors
    /// What the system says.
    pub fn closer(&self) -> Result<Closer> {
        let stream = self.connection.stream().try_clone().map_err(Error::Io)?;
        Ok(Closer { stream, closed: Arc::clone(&self.closed) })
    }

    /// The next that comes; `None`: not within `timeout`.
    fn hear(&mut self, timeout: Option<Duration>) -> Result<Option<Heard>> {
        loop {
            let Some(value) = self.connection.receive_any(timeout)? else { return Ok(None) };
            match value.without_attributes() {
                Value::Push(items) | Value::Array(items) => return heard(items).map(Some),
                Value::Error(text) => return Err(ServerError::new(&text).into()),
                _ => {}
            }
        }
    }

    fn send<'a>(&mut self, name: &'a str, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let mut request = vec![name];
        request.extend(names);
        self.connection.send(request)
    }
}

/// What it is, from its parts.
fn heard(items: Vec<Value>) -> Result<Heard> {
    let mut items = items.into_iter();
    let mut next = || items.next().unwrap_or(Value::Null);
    let kind = Vec::<u8>::from_value(next())?;
    let mut bytes = || Vec::<u8>::from_value(next());
    Ok(match kind.as_slice() {
        b"message" => Heard::Message(Message { pattern: None, channel: bytes()?, payload: bytes()? }),
        b"pmessage" => {
            Heard::Message(Message { pattern: Some(bytes()?), channel: bytes()?, payload: bytes()? })
        }
        b"subscribe" | b"psubscribe" | b"unsubscribe" | b"punsubscribe" => {
            // Whatever name it is about, which may be none.
            next();
            Heard::Names(i64::from_value(next())?)
        }
        _ => Heard::Other,
    })
}

/// The messages of a [`Subscriber`]: see [`Subscriber::messages`].
#[derive(Debug)]
pub struct Messages<'s> {
    subscriber: &'s mut Subscriber,
    over: bool,
}

impl Iterator for Messages<'_> {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            match self.subscriber.hear(None) {
                Ok(Some(Heard::Message(message))) => return Some(Ok(message)),
                Ok(Some(Heard::Names(0))) => self.over = true,
                Ok(_) => {}
                Err(error) => {
                    self.over = true;
                    if !self.subscriber.closed.load(Ordering::Acquire) {
                        return Some(Err(error));
                    }
                }
            }
        }
        None
    }
}

impl std::iter::FusedIterator for Messages<'_> {}
