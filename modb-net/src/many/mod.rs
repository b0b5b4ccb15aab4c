//! Many connections: those of one worker (`core`), how they get from thread to thread (`handoff`), and what the
//! threads of a server share (`hub`). Starts no thread and waits for nothing.

pub(crate) mod core;
pub(crate) mod handoff;
pub(crate) mod hub;
