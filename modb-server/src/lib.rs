//! Modb: the database, embedded or served over RESP.
//!
//! Floors, imports only downward: `store` (bytes) -> `data` (how types map to records) -> `command`
//! (parse and execute) -> `session` (one connection) -> `database`, `server` (a database with a door to the
//! network), `care` (check, backup, restore, compact). `config`, `settled` (who waits for commits) and `sys` are at the bottom,
//! beside `store`, as are `log` and `output` of the program; `program` is what its `main` does.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

// What the program, the tests and the benches of this repository use. No part of the API: it may change with any version.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod care;
#[doc(hidden)]
pub mod command;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod data;
mod database;
mod embed;
mod error;
mod farewell;
mod handle;
mod limits;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod log;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod output;
mod present;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod program;
mod server;
#[doc(hidden)]
pub mod session;
mod settled;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod sys;
mod value;

pub use config::ConfigError;
pub use data::Kind;
pub use database::{Database, OpenError, Options};
pub use embed::{Keys, Keyspace, LocalClient, Ttl, Update};
pub use error::Error;
pub use farewell::Farewell;
pub use modb_net::resp::Value as Reply;
pub use server::{ServeError, Server, Shutdown};
pub use store::{Durability, StoreError};
pub use value::Value;

/// The examples of the README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
