//! The buffers of one connection, and the pool of a worker that they come from. Pure.
//!
//! [`out`] carries the marks that hold replies back, [`input`] keeps what a session has not consumed, [`pool`] lends
//! memory to both, and [`tail`] is what a service writes with. Each file says what it keeps.

mod input;
mod out;
mod pool;
mod tail;

pub(crate) use input::InBuf;
pub(crate) use out::OutBuf;
pub(crate) use pool::Pool;
pub use tail::{Mark, Tail};
