//! The language of commands: how arguments are read, and how replies and errors are written. Knows no data,
//! but for the view of them that what waits is given ([`until`]).

pub(crate) mod counted;
pub(crate) mod deadline;
pub(crate) mod error;
pub(crate) mod feed;
pub(crate) mod packed;
pub(crate) mod parse;
pub(crate) mod reply;
pub(crate) mod syntax;
pub(crate) mod until;
pub(crate) mod walk;
