//! A client library for Modb, and for any other server that speaks RESP2 or RESP3.
//!
//! It blocks, needs no async runtime, starts no thread that outlives a call, and keeps nothing global.
//!
//! ```no_run
//! # fn main() -> Result<(), modb_client::Error> {
//! let mut client = modb_client::Client::open("modb://127.0.0.1:6379")?;
//! client.call::<()>(["SET", "greeting", "hello"])?;
//! let greeting: Option<String> = client.call(["GET", "greeting"])?;
//! assert_eq!(greeting.as_deref(), Some("hello"));
//! # Ok(())
//! # }
//! ```
//!
//! # To do this, use that
//!
//! | to | use |
//! |---|---|
//! | ask one thing after another, with reconnecting | [`Client`] |
//! | ask many things in one round trip | [`Pipeline`], with any of the others |
//! | have several requests executed as one, also by what keys hold | [`run_atomic`](Connection::run_atomic), [`transaction`](Connection::transaction) |
//! | share connections between threads | [`Pool`] |
//! | listen to published messages, by channel, pattern or shard channel | [`Subscriber`] |
//! | be told when keys change that one has read | [`Connection::next_push`], after `CLIENT TRACKING` |
//! | wait for something (`BLPOP`) | a [`Config`] without `read_timeout`, and any of them |
//! | send arguments that are not all strings | [`Command`] |
//! | decide everything yourself | [`Connection`] |
//!
//! # What to know
//!
//! - A request is an array of strings or bytes, or a [`Command`]. What `call` gives is what is asked for: text, bytes, numbers, options, lists, maps
//!   ([`FromValue`]); `()` is any reply but an error, and [`Value`] the reply as it came. It is the same in RESP2 and RESP3.
//! - [`Error::Server`] is the server's answer, and the connection goes on. After errors that lose the connection nobody knows whether the
//!   request was executed, so nothing is ever sent a second time: [`Client`] and [`Pool`] connect again for the next one.
//! - A reply is waited for 30 seconds and a connection 5, unless [`Config`] says otherwise, in a URL as `?read_timeout_ms=0`.
//! - A [`Subscriber`] that loses its connection says so and does not come back by itself: what was published meanwhile is missed.
//! - There is no TLS.
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `cli` | yes | what only the program `modb-client` needs; programs that use the library switch it off: `default-features = false` |
//! | `terminal` | with `cli` | what Modb's own programs share; no part of the API |
//
// Floors, imports only downward: `error command from_value backoff` (pure) -> `config` -> `connection` -> `pipeline subscriber transaction` ->
// `client pool`. Beside them, for Modb's own programs only: `terminal`.

// Printing macros panic when the output is full or has gone; a library prints nothing.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod backoff;
mod client;
mod command;
mod config;
mod connection;
mod error;
mod from_value;
mod pipeline;
mod pool;
mod subscriber;
#[cfg(feature = "terminal")]
#[doc(hidden)]
pub mod terminal;
mod transaction;

pub use backoff::Backoff;
pub use client::Client;
pub use command::{Command, Request, ToArg};
pub use config::Config;
pub use connection::Connection;
pub use error::{Error, Result, ServerError};
pub use from_value::FromValue;
pub use modb_net::resp::{Protocol, Value};
pub use pipeline::Pipeline;
pub use pool::{Pool, PooledConnection};
pub use subscriber::{Closer, Message, Messages, Subscriber};
pub use transaction::Replies;
