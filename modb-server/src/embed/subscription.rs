//! Subscriptions of a program: what clients and the program publish, and what is done to keys, read by any thread.
//!
//! Invariants: nobody who publishes waits for who reads here ([`Mailbox`]); nothing is read before the commit that it tells of is as safe as
//! the durability mode promises; who sleeps for a message holds nothing of the database, so its end finds no call under way.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::{Duration, Instant};

use modb_net::Seq;

use crate::error::Error;
use crate::handle::{Open, Shared};
use crate::messages::{End, Exchange, Mail, Mailbox, Scope, Taken, To};
use crate::value::Value;

/// A message as a [`Subscription`] hears it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The channel that it was published to.
    pub channel: Value,
    /// What was published.
    pub payload: Value,
    /// The pattern that its channel matches; none if the subscription listens to the channel itself.
    pub pattern: Option<Value>,
    /// The channel is a shard channel ([`Database::publish_sharded`](crate::Database::publish_sharded)).
    pub sharded: bool,
}

/// What a program listens to, from the call that made it until it is dropped; see
/// [`Database::subscribe`](crate::Database::subscribe). It may be read by several threads, each message by one of them.
///
/// All subscriptions and all clients hear the messages in one order, whatever their channels. One that is listened to by its name and
/// through patterns comes once for each.
///
/// What has come waits here until it is read, and nobody who publishes waits for that. So it is bounded, as the unsent output of a
/// client that listens: by the option `client-output-buffer-limit`, class `pubsub` (32 MiB, or more than 8 MiB for longer than 60
/// seconds, which is looked at when another comes). A subscription in which more would wait is cut off: what it has can still be read, then
/// comes [`Error::CutOff`], and the log has a line about it.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let database = modb_server::Database::in_memory()?;
/// let news = database.subscribe(&["news"])?;
/// let reader = std::thread::spawn(move || news.recv());
/// assert_eq!(database.publish("news", "it rains")?, 1);
/// assert_eq!(reader.join().unwrap()?.payload, "it rains");
/// # Ok(())
/// # }
/// ```
pub struct Subscription {
    shared: Arc<Shared>,
    exchange: Arc<Exchange>,
    inbox: u64,
    mailbox: Arc<Mailbox>,
}

impl Subscription {
    pub(crate) fn new(shared: &Arc<Shared>, open: &Open) -> Self {
        let exchange = Arc::clone(open.instance.data.exchange());
        let (inbox, mailbox) = exchange.open_mailbox();
        Self { shared: Arc::clone(shared), exchange, inbox, mailbox }
    }

    pub(crate) fn listen(&self, scope: Scope, names: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        let names: Vec<&[u8]> = names.iter().map(AsRef::as_ref).collect();
        Ok(self.exchange.subscribe((self.inbox, &self.mailbox), scope, &names)?)
    }

    fn leave(&self, scope: Scope, names: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.shared.may_call()?;
        let names: Vec<&[u8]> = names.iter().map(AsRef::as_ref).collect();
        self.exchange.unsubscribe((self.inbox, &self.mailbox), scope, &names);
        Ok(())
    }

    /// Listens to these channels, too.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// let subscription = database.subscribe(&["news"])?;
    /// subscription.subscribe(&["weather"])?;
    /// assert_eq!(database.publish("weather", "rain")?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Subscription::recv`].
    pub fn subscribe(&self, channels: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.shared.may_call()?;
        self.listen(Scope::Channel, channels)
    }

    /// Listens to all channels that match one of these patterns, too: see
    /// [`Database::subscribe_matching`](crate::Database::subscribe_matching).
    ///
    /// # Errors
    /// As [`Subscription::recv`].
    pub fn subscribe_matching(&self, patterns: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.shared.may_call()?;
        self.listen(Scope::Pattern, patterns)
    }

    /// Listens to these shard channels, too: see [`Database::subscribe_sharded`](crate::Database::subscribe_sharded).
    ///
    /// # Errors
    /// As [`Subscription::recv`].
    pub fn subscribe_sharded(&self, channels: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.shared.may_call()?;
        self.listen(Scope::Shard, channels)
    }

    /// Listens to these channels no longer; what has come can be read.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// let subscription = database.subscribe(&["news", "weather"])?;
    /// subscription.unsubscribe(&["weather"])?;
    /// assert_eq!(database.publish("weather", "rain")?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::InsideUpdate`], [`Error::Forked`].
    pub fn unsubscribe(&self, channels: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.leave(Scope::Channel, channels)
    }

    /// Listens no longer through these patterns; what has come can be read.
    ///
    /// # Errors
    /// As [`Subscription::unsubscribe`].
    pub fn unsubscribe_matching(&self, patterns: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.leave(Scope::Pattern, patterns)
    }

    /// Listens to these shard channels no longer; what has come can be read.
    ///
    /// # Errors
    /// As [`Subscription::unsubscribe`].
    pub fn unsubscribe_sharded(&self, channels: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.leave(Scope::Shard, channels)
    }

    /// The next message; sleeps until there is one.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// let news = database.subscribe(&["news"])?;
    /// database.publish("news", "it rains")?;
    /// let message = news.recv()?;
    /// println!("{}: {}", message.channel, message.payload);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::CutOff`], once what has come is read; [`Error::Closed`], at once when somebody closes the database;
    /// [`Error::Store`] if the commit that a message tells of cannot be made safe; [`Error::InsideUpdate`], [`Error::Forked`].
    pub fn recv(&self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.next(None)? {
                return Ok(message);
            }
        }
    }

    /// The next message, if there is one within `timeout`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// use std::time::Duration;
    ///
    /// let news = database.subscribe(&["news"])?;
    /// assert_eq!(news.recv_timeout(Duration::from_millis(10))?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Subscription::recv`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Message>, Error> {
        // What is later than the clock can tell never comes.
        self.next(Instant::now().checked_add(timeout))
    }

    /// The next message, if it is there; it is not while what it tells of is not safe yet.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// let news = database.subscribe(&["news"])?;
    /// assert_eq!(news.try_recv()?, None);
    /// database.publish("news", "it rains")?;
    /// assert!(news.try_recv()?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Subscription::recv`].
    pub fn try_recv(&self) -> Result<Option<Message>, Error> {
        self.next(Some(Instant::now()))
    }

    /// The messages, one after the other; a step sleeps as [`Subscription::recv`] does, and is an error, and the last one, where that is one.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// let news = database.subscribe(&["news"])?;
    /// database.publish("news", "it rains")?;
    /// database.publish("news", "no more")?;
    /// for message in &news {
    ///     if message?.payload == "no more" {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&self) -> Messages<'_> {
        Messages { subscription: self, over: false }
    }

    /// How many threads sleep until something comes.
    #[cfg(test)]
    pub(super) fn sleepers(&self) -> usize {
        self.mailbox.sleepers()
    }

    /// The next message, or none at `until`.
    fn next(&self, until: Option<Instant>) -> Result<Option<Message>, Error> {
        let mut settled = Seq::ZERO;
        loop {
            self.shared.may_call()?;
            match self.mailbox.take(settled) {
                Taken::Mail(mail) => return Ok(Some(mail.into())),
                Taken::Ended(end) => return Err(end.into()),
                Taken::Held(seq) => {
                    match self.shared.run(|open| Ok::<_, Error>(open.wait_until(seq, until)?))? {
                        Some(reached) => settled = reached,
                        None => return Ok(None),
                    }
                }
                Taken::Nothing if self.mailbox.sleep(until) => {}
                Taken::Nothing => return Ok(None),
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // In a fork another process's thread may have the lock for ever.
        if !self.shared.is_forked() {
            self.exchange.close(self.inbox);
        }
    }
}

impl From<Mail> for Message {
    fn from(mail: Mail) -> Self {
        let Mail { frame, pattern, .. } = mail;
        Self {
            channel: frame.channel().into(),
            payload: frame.payload().into(),
            pattern: pattern.map(Value::from),
            sharded: matches!(frame.to(), To::Listeners(Scope::Shard, _)),
        }
    }
}

impl From<End> for Error {
    fn from(end: End) -> Self {
        match end {
            End::CutOff => Self::CutOff,
            End::Closed => Self::Closed,
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

/// The messages of a [`Subscription`]: see [`Subscription::iter`].
#[derive(Debug)]
pub struct Messages<'s> {
    subscription: &'s Subscription,
    over: bool,
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let message = self.subscription.recv();
        self.over = message.is_err();
        Some(message)
    }
}

impl FusedIterator for Messages<'_> {}

impl<'s> IntoIterator for &'s Subscription {
    type Item = Result<Message, Error>;
    type IntoIter = Messages<'s>;

    fn into_iter(self) -> Messages<'s> {
        self.iter()
    }
}
