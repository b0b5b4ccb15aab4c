//! RESP2 and RESP3, the protocol of Redis: sans-I/O, incremental, bounded. Pure.
//!
//! A server decodes requests with [`RequestDecoder`] and writes replies with [`Encoder`]; a client writes
//! requests with [`encode_request`] and reads replies with [`ReplyDecoder`] (as [`Value`]s) or
//! [`ReplyCounter`] (only how many). Nothing here reads a socket or a clock.
//!
//! Invariants: input is looked at once, however slowly it comes; nothing is allocated from a length on the
//! wire before the bytes are there; no recursion on nesting; the text of every protocol error is Redis's own.
//!
//! Source: <https://redis.io/docs/latest/develop/reference/protocol-spec/> and, where it is silent,
//! what Redis 7.2 does.

mod encode;
mod error;
mod glance;
mod inline;
mod kept;
mod limits;
mod number;
mod reply;
mod request;
mod scan;
mod value;

#[cfg(test)]
mod tests;

pub use encode::{Deferred, Encoder, Protocol, encode_request};
pub use error::{ProtocolError, ReplyError};
pub use glance::{Glance, glance};
pub use inline::{UnbalancedQuotes, split_args};
pub use kept::KeptRequests;
pub use limits::{Limits, ReplyLimits};
pub use number::{Decimal, parse_i64, push_f64, push_i64, push_u64};
pub use reply::ReplyDecoder;
pub use request::{Args, ArgsIter, Decoded, RequestDecoder};
pub use scan::{Counted, ReplyCounter};
pub use value::Value;
