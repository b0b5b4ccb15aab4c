//! The operating system: sockets, waiting for them, waking a thread. Knows no connection and no service.
//!
//! What differs between systems stands in `sys`; the rest is one text for all of them.

pub(crate) mod descriptors;
pub mod notify;
pub(crate) mod peer;
pub mod poll;
pub mod socketpair;
pub(crate) mod sys;
pub(crate) mod unix_listener;
