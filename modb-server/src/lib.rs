//! Modb: an embedded key-value database with a door to the network. A program opens it as a library; any Redis client can be
//! let in to the same data, while the program uses it.
//!
//! ```
//! use std::time::Duration;
//!
//! use modb_server::{Database, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Database::temporary()?; // or `open("data")`
//!
//! // Keys and values are bytes; what is read prints as text.
//! database.set("user:1", "Ann")?;
//! database.set_for("code:1", "4711", Duration::from_secs(300))?;
//! assert_eq!(database.get("user:1")?, Some("Ann".into()));
//!
//! // Several keys as one commit, of which nobody sees a part.
//! database.update(&["stock", "sold"], |keys| {
//!     keys.increment("stock", -1)?;
//!     keys.increment("sold", 1)
//! })?;
//!
//! // The same data for every Redis client, until the server is dropped.
//! let server = Server::bind(&database, "127.0.0.1:0".parse()?)?;
//! println!("redis-cli -p {} GET user:1", server.local_addrs()[0].port());
//! # Ok(())
//! # }
//! ```
//!
//! # To do this, call that
//!
//! | to | call |
//! |---|---|
//! | open a folder, making it if it is missing | [`Database::open`] |
//! | open one with options: durability, memory, reading only | [`Options::new`], ..., [`Options::open`] |
//! | have a database for a test or a cache | [`Database::temporary`], [`Database::in_memory`] |
//! | read | [`get`](Keyspace::get), [`get_many`](Keyspace::get_many), [`exists`](Keyspace::exists), [`ttl`](Keyspace::ttl) |
//! | write | [`set`](Keyspace::set), [`set_for`](Keyspace::set_for), [`append`](Keyspace::append), [`delete`](Keyspace::delete), [`expire`](Keyspace::expire), [`clear`](Keyspace::clear) |
//! | write only if | [`set_if_absent`](Keyspace::set_if_absent), [`compare_and_set`](Keyspace::compare_and_set) |
//! | count | [`increment`](Keyspace::increment) |
//! | keep fields with values under one key | [`hash`](Keyspace::hash) |
//! | have a queue, a stack, the latest of something | [`list`](Keyspace::list) |
//! | wait for a job, from any thread | [`pop_front_wait`](List::pop_front_wait), [`move_wait`](List::move_wait), [`pop_of_lists_wait`](Keyspace::pop_of_lists_wait), [`pop_first_wait`](SortedSet::pop_first_wait) |
//! | know who belongs to something | [`set_at`](Keyspace::set_at) |
//! | rank by a score, find what is due | [`sorted_set`](Keyspace::sorted_set) |
//! | keep many keys in order under one, with ranges and ranks | [`map`](Keyspace::map) |
//! | tell others, threads and clients alike | [`publish`](Database::publish) |
//! | hear what they tell, and what is done to keys | [`subscribe`](Database::subscribe), [`subscribe_matching`](Database::subscribe_matching) |
//! | read and change several keys as one | [`update`](Keyspace::update) |
//! | go through all keys, count them | [`keys`](Keyspace::keys), [`len`](Keyspace::len) |
//! | keep several sets of keys apart | [`Database::keyspace`] |
//! | use it from several threads | clone the [`Database`] or [`Keyspace`] |
//! | execute any other command of Redis | [`Database::client`] |
//! | let Redis clients in | [`Server::bind`] |
//! | have it on the disk now | [`Database::sync`], or [`Durability::Always`] for every write |
//! | copy it while it is used | [`Database::backup`] |
//! | end | drop all handles, or [`Database::close`], which says what went wrong |
//!
//! # What to know
//!
//! - Every call returns when what it wrote is as safe as the [`Durability`] of the database promises. After a crash there is a
//!   prefix of what was written, in order.
//! - Calls block; there is no async runtime. What can wait for what is said at [`Keyspace`].
//! - Keys are in no order. A key has up to 65,500 bytes, a value up to 512 MiB.
//! - A folder is open once. Other processes get in through the [`Server`], or read it while nobody writes
//!   ([`Options::read_only`]).
//! - No global state, no signal handlers, no threads but its own, all of which have ended when it is closed.
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `cli` | yes | what only the program `modb-server` needs; programs that embed Modb switch it off: `default-features = false` |
//! | `serde` | no | [`Value`] can be serialized and deserialized |
//! | `fjall` | no | a second storage engine, for this crate's own tests and benchmarks |
//
// Floors, imports only downward: `store` (bytes) -> `data` (how types map to records) -> `command` (parse and execute) ->
// `session` (one connection) -> `database`, `server` (a database with a door to the network), `care` (check, backup, restore,
// compact). `config`, `settled` (who waits for commits) and `sys` are at the bottom, beside `store`, as are `log` and `output` of
// the program; `program` is what its `main` does.
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
mod glob;
mod handle;
mod limits;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod log;
#[doc(hidden)]
pub mod messages;
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
pub use embed::{
    Access, Elements, Entries, Fields, Hash, InUpdate, Keys, Keyspace, List, LocalClient, Map, Members,
    Message, Messages, Scored, Set, Side, SortedSet, Subscription, Ttl, Update,
};
pub use error::Error;
pub use farewell::Farewell;
pub use modb_net::resp::Value as Reply;
pub use server::{ServeError, Server, Shutdown};
pub use store::{Durability, ErrorClass, StoreError};
pub use value::Value;

/// The examples of the README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
