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
//! | to | use |
//! |---|---|
//! | ask one thing after another, with reconnecting | [`Client`] |
//! | ask many things in one round trip | [`Pipeline`], with any of the others |
//! | have several requests executed as one, also by what keys hold | [`Connection::run_atomic`], [`Connection::transaction`] |
//! | share connections between threads | [`Pool`] |
//! | listen to published messages | [`Subscriber`] |
//! | decide everything yourself | [`Connection`] |
//!
//! Floors, imports only downward: `error command from_value backoff` (pure) -> `config` -> `connection` ->
//! `pipeline subscriber transaction` -> `client pool`. Beside them, for Modb's own programs only: `terminal`.

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
