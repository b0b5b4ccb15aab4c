//! The language of commands: how arguments are read, and how replies and errors are written. Knows no data.

pub(crate) mod deadline;
pub(crate) mod error;
pub(crate) mod packed;
pub(crate) mod parse;
pub(crate) mod reply;
pub(crate) mod syntax;
pub(crate) mod walk;
