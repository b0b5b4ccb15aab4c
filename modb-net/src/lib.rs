//! `modb-net` moves bytes between sockets and a [`Service`].
//!
//! It knows no command, no storage engine, and no protocol outside [`resp`], which is a module that
//! servers and clients call and nothing else in this crate uses.
//!
//! Floors, imports only downward: `limits buf resp deadline token` (pure) -> `sys socketpair poll notify`
//! (the OS) -> `service conn` (one connection) -> `core handoff hub` (many) -> `worker accept runtime` (threads).

mod accept;
pub mod buf;
mod conn;
mod core;
mod deadline;
mod handoff;
mod hub;
pub mod limits;
pub mod notify;
pub mod poll;
pub mod resp;
pub mod runtime;
pub mod service;
pub mod socketpair;
mod sys;
pub mod token;
mod worker;

pub use handoff::{Handoff, UnknownHandoff};
pub use limits::Limits;
pub use runtime::{Builder, Server, ServerError, WorkerContext};
pub use service::{
    AcceptorStats, CloseReason, Connections, Flow, In, Opening, Out, Peer, Release, Seq, Service, Turn,
    Undelivered, WorkerStats, Workers,
};
pub use sys::raise_descriptor_limit;
pub use token::Token;
