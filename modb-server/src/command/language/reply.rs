//! The reply of a command, as a tree that shares the memory of what it holds.
//!
//! A command returns its reply instead of writing it, because nothing may be written before its batch is
//! committed: only then is it known what the reply has to wait for, or that it must be an error.

use std::borrow::Cow;

use bytes::Bytes;
use modb_net::Limits;
use modb_net::resp::{Encoder, Protocol};

use crate::command::language::packed::Packed;

/// The most bytes of strings in one reply: a reply is made as a whole.
pub(crate) const MAX_REPLY_BYTES: usize = if cfg!(test) { 8 } else { 512 } << 20;

/// What an element of an array takes beside its bytes, about.
const HEAD_BYTES: usize = 8;

/// What a command answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// No reply at all (`CLIENT REPLY SKIP`).
    Nothing,
    /// `OK`.
    Ok,
    /// `QUEUED`.
    Queued,
    /// Another status.
    Status(&'static str),
    /// A whole number.
    Int(i64),
    /// A double.
    Double(f64),
    /// A double, as a string in either protocol.
    Score(f64),
    /// A double of more digits than one has, as it is written.
    Digits(String),
    /// A string of any bytes.
    Bulk(Bytes),
    /// A string that holds a number.
    BulkInt(i64),
    /// A string that is known at compile time, or was made for this reply.
    Text(Cow<'static, str>),
    /// Text for humans.
    Verbatim(String),
    /// No value.
    Null,
    /// No value, where there would be an array.
    NullArray,
    /// An array.
    Array(Vec<Reply>),
    /// A set.
    Set(Vec<Reply>),
    /// A map.
    Map(Vec<(Reply, Reply)>),
    /// Many strings.
    Packed(Packed),
    /// A message that answers no request.
    Push(Vec<Reply>),
    /// Several replies, one after another.
    Several(Vec<Reply>),
    /// An error inside an array; begins with its code.
    Error(Vec<u8>),
    /// What was answered before the protocol changed, inside an array.
    Spoken(Protocol, Box<Reply>),
}

impl Reply {
    /// A string, or no value.
    pub fn bulk_or_null(value: Option<Bytes>) -> Self {
        match value {
            Some(value) => Self::Bulk(value),
            None => Self::Null,
        }
    }

    /// A string made of a copy of `bytes`.
    pub fn copied(bytes: &[u8]) -> Self {
        Self::Bulk(Bytes::copy_from_slice(bytes))
    }

    /// A string known at compile time.
    pub const fn text(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// A string made for this reply.
    pub fn string(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    /// 1 or 0.
    pub fn flag(yes: bool) -> Self {
        Self::Int(i64::from(yes))
    }

    /// A number of things.
    pub fn count(n: usize) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }

    /// Whether it is so large that room for it is asked for first.
    #[inline]
    pub fn is_large(&self) -> bool {
        match self {
            Self::Bulk(bytes) => bytes.len() > Limits::SMALL_REPLY_BYTES,
            Self::Packed(strings) => strings.bytes() > Limits::SMALL_REPLY_BYTES,
            Self::Text(_)
            | Self::Verbatim(_)
            | Self::Array(_)
            | Self::Set(_)
            | Self::Map(_)
            | Self::Several(_) => self.bytes() > Limits::SMALL_REPLY_BYTES,
            _ => false,
        }
    }

    /// The text of an error inside an array.
    pub fn error(&self) -> Option<&[u8]> {
        match self {
            Self::Error(text) => Some(text),
            Self::Spoken(_, reply) => reply.error(),
            _ => None,
        }
    }

    /// Whether it is no reply to what was asked, and wanted also by those who want no replies.
    pub fn is_push(&self) -> bool {
        match self {
            Self::Push(_) => true,
            Self::Several(items) => items.iter().all(Self::is_push),
            _ => false,
        }
    }

    /// About how many bytes it takes when it is written; at least those of its strings.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bulk(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
            Self::Packed(strings) => strings.bytes(),
            Self::Verbatim(text) | Self::Digits(text) => text.len(),
            Self::Error(text) => text.len(),
            Self::Spoken(_, reply) => reply.bytes(),
            Self::Array(items) | Self::Set(items) | Self::Push(items) | Self::Several(items) => {
                items.iter().map(|item| HEAD_BYTES + item.bytes()).sum()
            }
            Self::Map(pairs) => {
                pairs.iter().map(|(key, value)| 2 * HEAD_BYTES + key.bytes() + value.bytes()).sum()
            }
            Self::Nothing
            | Self::Ok
            | Self::Queued
            | Self::Status(_)
            | Self::Int(_)
            | Self::Double(_)
            | Self::Score(_)
            | Self::BulkInt(_)
            | Self::Null
            | Self::NullArray => 0,
        }
    }

    /// Appends it to a connection's output.
    pub fn encode(&self, out: &mut Encoder<'_>) {
        match self {
            Self::Nothing => {}
            Self::Ok => out.ok(),
            Self::Queued => out.queued(),
            Self::Status(text) => out.simple(text),
            Self::Int(n) => out.integer(*n),
            Self::Double(n) => out.double(*n),
            Self::Digits(digits) => out.double_digits(digits),
            Self::Score(n) => out.bulk_double(*n),
            Self::Bulk(bytes) => out.bulk(bytes),
            Self::BulkInt(n) => out.bulk_integer(*n),
            Self::Text(text) => out.bulk(text.as_bytes()),
            Self::Verbatim(text) => out.verbatim(b"txt", text.as_bytes()),
            Self::Null => out.null(),
            Self::NullArray => out.null_array(),
            Self::Error(text) => out.error(text),
            Self::Spoken(protocol, reply) => {
                let now = out.protocol();
                out.speak(*protocol);
                reply.encode(out);
                out.speak(now);
            }
            Self::Array(items) => {
                out.array(items.len());
                items.iter().for_each(|item| item.encode(out));
            }
            Self::Packed(strings) => strings.encode(out),
            Self::Push(items) => {
                out.push(items.len());
                items.iter().for_each(|item| item.encode(out));
            }
            Self::Several(items) => items.iter().for_each(|item| item.encode(out)),
            Self::Set(items) => {
                out.set(items.len());
                items.iter().for_each(|item| item.encode(out));
            }
            Self::Map(pairs) => {
                out.map(pairs.len());
                for (key, value) in pairs {
                    key.encode(out);
                    value.encode(out);
                }
            }
        }
    }
}
