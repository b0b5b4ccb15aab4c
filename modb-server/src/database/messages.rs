//! Publishing and listening, by the program: channels are the database's, and belong to no keyspace.

use std::sync::Arc;

use modb_net::Seq;

use super::Database;
use crate::embed::{Subscription, fit_message};
use crate::error::Error;
use crate::messages::{Frame, Scope};

impl Database {
    /// Listens to these channels, from now on: to what clients of all servers publish there, and this program. With the option
    /// `notify-keyspace-events` also to what is done to keys, whoever does it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use modb_server::Options;
    ///
    /// let database = Options::in_memory().set("notify-keyspace-events", "KEA")?.open()?;
    /// let events = database.subscribe(&["__keyspace@0__:job"])?;
    /// database.set("job", "1")?;
    /// database.delete("job")?;
    /// assert_eq!((events.recv()?.payload, events.recv()?.payload), ("set".into(), "del".into()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::InsideUpdate`], [`Error::Forked`].
    pub fn subscribe(&self, channels: &[impl AsRef<[u8]>]) -> Result<Subscription, Error> {
        self.listen(Scope::Channel, channels)
    }

    /// Listens to all channels that match one of these patterns, from now on: `*` is anything, `?` one character, `[a-c]` one of
    /// them, `\` takes the next character as it is. As `PSUBSCRIBE`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::in_memory()?;
    /// let rooms = database.subscribe_matching(&["room.*"])?;
    /// database.publish("room.7", "hello")?;
    /// let message = rooms.recv()?;
    /// assert_eq!((message.channel, message.pattern), ("room.7".into(), Some("room.*".into())));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Database::subscribe`].
    pub fn subscribe_matching(&self, patterns: &[impl AsRef<[u8]>]) -> Result<Subscription, Error> {
        self.listen(Scope::Pattern, patterns)
    }

    /// Listens to these shard channels, from now on: names apart from those of channels, which no pattern matches. As `SSUBSCRIBE`.
    ///
    /// # Errors
    /// As [`Database::subscribe`].
    pub fn subscribe_sharded(&self, channels: &[impl AsRef<[u8]>]) -> Result<Subscription, Error> {
        self.listen(Scope::Shard, channels)
    }

    fn listen(&self, scope: Scope, names: &[impl AsRef<[u8]>]) -> Result<Subscription, Error> {
        self.shared().run(|open| {
            let subscription = Subscription::new(self.shared(), open);
            subscription.listen(scope, names)?;
            Ok(subscription)
        })
    }

    /// Sends a message to all who listen to a channel: clients of all servers, and subscriptions of the program. Says how many
    /// that is. Where the workers of a server have not yet taken in what was sent before, it sleeps until they have.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::in_memory()?;
    /// assert_eq!(database.publish("news", "it rains")?, 0, "nobody listens");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Inside a closure of [`update`](crate::Keyspace::update) it is [`Update::publish`](crate::Update::publish).
    ///
    /// # Errors
    /// [`Error::ValueTooLong`]; as every call: [`Error::Closed`], [`Error::InsideUpdate`], [`Error::Forked`].
    pub fn publish(&self, channel: impl AsRef<[u8]>, message: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.send(Scope::Channel, channel.as_ref(), message.as_ref())
    }

    /// As [`Database::publish`], to all who listen to a shard channel. As `SPUBLISH`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::in_memory()?;
    /// let jobs = database.subscribe_sharded(&["jobs"])?;
    /// assert_eq!(database.publish("jobs", "not there")?, 0);
    /// assert_eq!(database.publish_sharded("jobs", "7")?, 1);
    /// assert_eq!(jobs.recv()?.payload, "7");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Database::publish`].
    pub fn publish_sharded(
        &self,
        channel: impl AsRef<[u8]>,
        message: impl AsRef<[u8]>,
    ) -> Result<usize, Error> {
        self.send(Scope::Shard, channel.as_ref(), message.as_ref())
    }

    fn send(&self, scope: Scope, channel: &[u8], message: &[u8]) -> Result<usize, Error> {
        fit_message(channel, message)?;
        self.shared().run(|open| {
            let (data, exchange) = (&open.instance.data, open.instance.data.exchange());
            let listeners = exchange.listeners(scope, channel);
            if listeners > 0 {
                let frames = vec![Arc::new(Frame::new(scope, channel, message))];
                let rooms = data.room_for(&frames);
                exchange.post(frames, Seq::ZERO, rooms);
            }
            Ok(listeners)
        })
    }
}
