//! A connection that comes back: reconnecting with back-off.
//!
//! Invariant: a request is never sent twice. What failed after it was sent is the caller's to decide, since it
//! may have been executed.

use std::time::{Duration, Instant};

use modb_net::resp::Value;

use crate::backoff::Backoff;
use crate::command::Request;
use crate::config::Config;
use crate::connection::Connection;
use crate::error::{Error, Result, ServerError};
use crate::from_value::FromValue;
use crate::pipeline::Pipeline;
use crate::transaction::Replies;

/// After this long without a call, the connection is looked at before it is used: the server may have closed it.
const SUSPECT_AFTER: Duration = Duration::from_secs(1);

/// A client for one thread, which connects when it must.
///
/// ```no_run
/// # fn main() -> Result<(), modb_client::Error> {
/// let mut client = modb_client::Client::open("modb://127.0.0.1")?;
/// let visits: i64 = client.call(["INCR", "visits"])?;
/// // Two requests, one round trip.
/// let mut both = modb_client::Pipeline::new();
/// both.push(["SADD", "seen", "Ann"]).push(["SCARD", "seen"]);
/// for reply in client.run(&both)? {
///     println!("{reply:?}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    config: Config,
    backoff: Backoff,
    connection: Option<Connection>,
    last_used: Instant,
}

impl Client {
    /// Connects to the server of a URL; see [`Config`].
    ///
    /// # Errors
    /// [`crate::Error::Url`], and those of [`Connection::open`].
    pub fn open(url: &str) -> Result<Self> {
        Self::connect(url.parse()?)
    }

    /// Connects as `config` says.
    ///
    /// # Errors
    /// Those of [`Connection::open`].
    pub fn connect(config: Config) -> Result<Self> {
        let connection = Connection::open(&config)?;
        Ok(Self {
            config,
            backoff: Backoff::default(),
            connection: Some(connection),
            last_used: Instant::now(),
        })
    }

    /// Reconnects in another way than by default.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sends a request and gives its reply.
    ///
    /// # Errors
    /// Those of [`Connection::call`]. One that loses the connection leaves it unknown whether the request was
    /// executed; the next call connects again.
    pub fn call<T: FromValue>(&mut self, request: impl Request) -> Result<T> {
        self.connection()?.call(request)
    }

    /// Sends a request and gives its reply as it is, an error as [`Value::Error`].
    ///
    /// # Errors
    /// Those that lose the connection.
    pub fn call_value(&mut self, request: impl Request) -> Result<Value> {
        self.connection()?.call_value(request)
    }

    /// Sends all requests of `pipeline` and gives their replies.
    ///
    /// # Errors
    /// Those that lose the connection.
    pub fn run(&mut self, pipeline: &Pipeline) -> Result<Vec<std::result::Result<Value, ServerError>>> {
        self.connection()?.run(pipeline)
    }

    /// Has all requests of `pipeline` executed as one transaction: see [`Connection::run_atomic`].
    ///
    /// # Errors
    /// As there.
    pub fn run_atomic(&mut self, pipeline: &Pipeline) -> Result<Replies> {
        self.connection()?.run_atomic(pipeline)
    }

    /// Changes keys by what they hold, as one: see [`Connection::transaction`].
    ///
    /// # Errors
    /// As there.
    pub fn transaction<K: AsRef<[u8]>, E: From<Error>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
        prepare: impl FnMut(&mut Connection, &mut Pipeline) -> std::result::Result<(), E>,
    ) -> std::result::Result<Replies, E> {
        self.connection()?.transaction(keys, prepare)
    }

    /// The connection, made anew if it was lost. What was said on the old one (`SELECT`, `MULTI`, a
    /// subscription) is gone, except what the [`Config`] says.
    ///
    /// # Errors
    /// Those of [`Connection::open`], after the last attempt.
    pub fn connection(&mut self) -> Result<&mut Connection> {
        let suspect = self.last_used.elapsed() > SUSPECT_AFTER;
        self.last_used = Instant::now();
        let kept = self.connection.take().and_then(|connection| {
            let alive = connection.is_usable() && (!suspect || connection.is_alive());
            alive.then_some(connection)
        });
        let connection = match kept {
            Some(connection) => connection,
            None => self.reconnect()?,
        };
        Ok(self.connection.insert(connection))
    }

    fn reconnect(&self) -> Result<Connection> {
        for delay in self.backoff.delays() {
            match Connection::open(&self.config) {
                // A refusal (a wrong password) does not get better by asking again.
                Err(error) if error.is_connection_lost() => std::thread::sleep(delay),
                other => return other,
            }
        }
        Connection::open(&self.config)
    }
}
