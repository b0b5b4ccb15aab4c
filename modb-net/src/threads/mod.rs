//! The threads: one that accepts and refuses, the workers that serve, and what starts and ends them.

pub(crate) mod accept;
mod last_look;
pub(crate) mod refuse;
pub(crate) mod runtime;
mod trial;
pub(crate) mod worker;
