//! What a command answers when it cannot do what it was asked: the texts are Redis's own.

use std::borrow::Cow;

use crate::data::DataError;
use crate::store::StoreError;

/// An error reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The data layer refused it.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An option or its place is wrong.
    #[error("ERR syntax error")]
    Syntax,
    /// An expiry that is zero, negative or out of range where it must not be.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    /// The key must exist.
    #[error("ERR no such key")]
    NoSuchKey,
    /// Any other text; begins with its code.
    #[error("{0}")]
    Text(Cow<'static, str>),
}

impl CommandError {
    /// The reply, its code first.
    pub fn text(&self) -> Cow<'static, str> {
        match self {
            Self::Text(text) => text.clone(),
            // What clients of Redis know as "the server takes no writes now".
            Self::Data(DataError::Store(StoreError::ReadOnly(why))) => format!("MISCONF {why}").into(),
            other => other.to_string().into(),
        }
    }
}

/// An error with a fixed text.
pub(super) const fn err<T>(text: &'static str) -> Result<T, CommandError> {
    Err(CommandError::Text(Cow::Borrowed(text)))
}

impl From<String> for CommandError {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}
