//! Modb: the database, embedded or served over RESP.
//!
//! Floors, imports only downward: `store` (bytes) -> `data` (how types map to records) -> `command`
//! (parse and execute) -> `session` (one connection) -> `server` (a database with a door to the network).

pub mod store;
mod sys;
