//! Modb: the database, embedded or served over RESP.
//!
//! Floors, imports only downward: `store` (bytes) -> `data` (how types map to records) -> `command`
//! (parse and execute) -> `session` (one connection) -> `database`, `server` (a database with a door to the
//! network). `config` and `sys` are at the bottom, beside `store`.

pub mod command;
pub mod config;
pub mod data;
pub mod database;
pub mod server;
pub mod session;
pub mod store;
pub mod sys;

pub use database::{Database, OpenError, Options};
pub use server::{ServeError, Server, Shutdown};
