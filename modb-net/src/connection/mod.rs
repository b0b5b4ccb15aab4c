//! One connection: its seat, what it holds, how far it has come; and the seam to the service that answers it.
//! Knows no other connection and no thread.

pub(crate) mod budget;
pub(crate) mod conn;
pub(crate) mod counts;
pub(crate) mod io;
pub(crate) mod lane;
pub(crate) mod place;
pub(crate) mod reason;
pub(crate) mod seat;
pub(crate) mod service;
pub(crate) mod workers;
