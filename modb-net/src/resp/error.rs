//! How input can break the protocol. Pure.

use thiserror::Error;

/// A request that is not RESP. The connection cannot go on after it: the boundaries of requests are lost.
///
/// Its text is what Redis answers, to be sent behind `ERR `, before the connection is closed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An inline command longer than [`super::Limits::max_inline_bytes`].
    #[error("Protocol error: too big inline request")]
    TooBigInline,
    /// A quote that is not closed, or closed in the middle of a word.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// The line of the number of arguments does not end.
    #[error("Protocol error: too big mbulk count string")]
    TooBigMultibulkCount,
    /// The number of arguments is not a number, or over [`super::Limits::max_elements`].
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// More arguments than a client may send before it has authenticated.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// The line of the length of an argument does not end.
    #[error("Protocol error: too big bulk count string")]
    TooBigBulkCount,
    /// An argument begins with another byte.
    #[error("Protocol error: expected '$', got '{}'", printable(*.0))]
    ExpectedBulk(u8),
    /// The length of an argument is not a number, negative, or over [`super::Limits::max_bulk_bytes`];
    /// or the request as a whole would be 4 GiB or longer.
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// A longer argument than a client may send before it has authenticated.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// The system has no memory for the places of so many arguments.
    #[error("Protocol error: there is no memory for so many arguments")]
    NoMemory,
}

/// The byte as it may stand in the line of an error: one that would break the line is a space.
fn printable(byte: u8) -> char {
    match byte {
        b'\r' | b'\n' => ' ',
        other => char::from(other),
    }
}

/// A reply that is not RESP, or larger than the client wants. The connection cannot go on after it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyError {
    /// A byte that begins no type of RESP2 or RESP3.
    #[error("unknown reply type {:?}", char::from(*.0))]
    UnknownType(u8),
    /// A number, length or boolean that is none.
    #[error("malformed number or length in a reply")]
    MalformedNumber,
    /// A string or a line that is not closed by CR LF.
    #[error("reply without a line end where one must be")]
    MissingLineEnd,
    /// A verbatim string without its three-letter format.
    #[error("verbatim string without a format")]
    MalformedVerbatim,
    /// A line longer than [`super::ReplyLimits::max_line_bytes`].
    #[error("reply line too long")]
    LineTooLong,
    /// A string longer than [`super::ReplyLimits::max_bulk_bytes`].
    #[error("reply string too long")]
    BulkTooLong,
    /// An aggregate of more than [`super::ReplyLimits::max_elements`].
    #[error("reply with too many elements")]
    TooManyElements,
    /// Nesting deeper than [`super::ReplyLimits::max_depth`].
    #[error("reply nested too deep")]
    TooDeep,
    /// A push message inside another reply.
    #[error("push message inside a reply")]
    NestedPush,
}
