//! Listening to published messages, in either protocol.
//!
//! Invariant: an iterator ends without an error where it is meant to: nothing is listened to any more, neither channels nor patterns nor shard
//! channels, which the server counts apart; or a [`Closer`] has ended it.

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
#[non_exhaustive]
pub struct Message {
    /// The pattern through which it came, if any.
    pub pattern: Option<Vec<u8>>,
    /// Where it was published.
    pub channel: Vec<u8>,
    /// What was published.
    pub payload: Vec<u8>,
    /// The channel is a shard channel: it was published by `SPUBLISH`.
    pub sharded: bool,
}

/// A connection that only listens: to channels, to patterns of their names, and to shard channels, all of them in the one order that the
/// server gives their messages.
///
/// What is published while nobody listens is missed, so whoever must miss nothing listens before it asks for what has been:
///
/// ```no_run
/// # fn main() -> Result<(), modb_client::Error> {
/// let mut subscriber = modb_client::Subscriber::open(&"modb://127.0.0.1".parse()?)?;
/// subscriber.subscribe(["news"])?;
/// subscriber.subscribe_patterns(["weather.*"])?;
/// subscriber.subscribe_sharded(["orders"])?;
/// for message in subscriber.messages() {
///     let message = message?;
///     let (channel, payload) = (String::from_utf8_lossy(&message.channel), String::from_utf8_lossy(&message.payload));
///     println!("{channel}: {payload}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Subscriber {
    connection: Connection,
    listens_to: Counts,
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

/// To how many names the server says that one listens.
#[derive(Debug, Default)]
struct Counts {
    /// Channels and patterns together.
    channels: i64,
    shard_channels: i64,
}

/// What comes to one who listens.
enum Heard {
    Message(Message),
    /// Something was done about names, and none is left.
    NothingLeft,
    /// What is of no interest to who waits for messages.
    Other,
}

impl Subscriber {
    /// Connects as `config` says.
    ///
    /// # Errors
    /// Those of [`Connection::open`].
    pub fn open(config: &Config) -> Result<Self> {
        Ok(Self {
            connection: Connection::open(config)?,
            listens_to: Counts::default(),
            closed: Arc::default(),
        })
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

    /// Listens to the shard channels `channels` as well: to what is published by `SPUBLISH`. A shard channel has nothing to do with the channel of
    /// the same name, and no pattern matches it. With a cluster of Redis's all of them must be on the node of this connection.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub fn subscribe_sharded<'a>(&mut self, channels: impl IntoIterator<Item = &'a str>) -> Result<()> {
        self.send("SSUBSCRIBE", channels)
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

    /// Stops listening to the shard channels `channels`; to all of them if none is given.
    ///
    /// # Errors
    /// As [`Subscriber::subscribe`].
    pub fn unsubscribe_sharded<'a>(&mut self, channels: impl IntoIterator<Item = &'a str>) -> Result<()> {
        self.send("SUNSUBSCRIBE", channels)
    }

    /// The next message; `None` if none came within `timeout` (whose `None` means: wait for ever).
    ///
    /// # Errors
    /// [`crate::Error::Server`] for a refusal; those that lose the connection. Nothing is subscribed on a new one.
    pub fn next_message(&mut self, timeout: Option<Duration>) -> Result<Option<Message>> {
        loop {
            match self.hear(timeout)? {
                Some(Heard::Message(message)) => return Ok(Some(message)),
                Some(Heard::NothingLeft | Heard::Other) => {}
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
                Value::Push(items) | Value::Array(items) => return self.listens_to.heard(items).map(Some),
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

impl Counts {
    /// What has come, from its parts.
    fn heard(&mut self, items: Vec<Value>) -> Result<Heard> {
        let mut items = items.into_iter();
        let mut next = || items.next().unwrap_or(Value::Null);
        let kind = Vec::<u8>::from_value(next())?;
        let count = match kind.as_slice() {
            b"message" | b"smessage" | b"pmessage" => {
                let mut bytes = || Vec::<u8>::from_value(next());
                let pattern = if kind == b"pmessage" { Some(bytes()?) } else { None };
                let (channel, payload) = (bytes()?, bytes()?);
                return Ok(Heard::Message(Message {
                    pattern,
                    channel,
                    payload,
                    sharded: kind == b"smessage",
                }));
            }
            b"subscribe" | b"psubscribe" | b"unsubscribe" | b"punsubscribe" => &mut self.channels,
            b"ssubscribe" | b"sunsubscribe" => &mut self.shard_channels,
            _ => return Ok(Heard::Other),
        };
        // Whatever name it is about, which may be none.
        next();
        *count = i64::from_value(next())?;
        let is_any_left = self.channels > 0 || self.shard_channels > 0;
        Ok(if is_any_left { Heard::Other } else { Heard::NothingLeft })
    }
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
                Ok(Some(Heard::NothingLeft)) => self.over = true,
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
