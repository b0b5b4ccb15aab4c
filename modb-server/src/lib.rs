//! Modb: the database, embedded or served over RESP.
//!
//! Floors, imports only downward: `store` (bytes) -> `data` (how types map to records) -> `command`
//! (parse and execute) -> `session` (one connection) -> `database`, `server` (a database with a door to the
//! network), `care` (check, backup, restore, compact). `config`, `settled` (who waits for commits) and `sys` are at the bottom,
//! beside `store`, as are `log` and `output` of the program; `program` is what its `main` does.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

#[cfg(feature = "cli")]
pub mod care;
pub mod command;
pub mod config;
pub mod data;
pub mod database;
pub mod embed;
mod farewell;
mod limits;
#[cfg(feature = "cli")]
pub mod log;
#[cfg(feature = "cli")]
pub mod output;
#[cfg(feature = "cli")]
pub mod program;
pub mod server;
pub mod session;
mod settled;
pub mod store;
pub mod sys;

pub use data::DataError;
pub use database::{Database, OpenError, Options};
pub use embed::{Keys, Keyspace, LocalClient};
pub use farewell::Farewell;
pub use modb_net::resp::Value;
pub use server::{ServeError, Server, Shutdown};

/// The examples of the README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
