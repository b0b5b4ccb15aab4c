//! What a call of an embedding program can fail with, in words for its author.

use crate::command::CommandError;
use crate::data::{DataError, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::store::StoreError;
use crate::value::Value;

/// Why a call failed. Unless it says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key holds another type than the call is for.
    #[error("the key holds another type than the call is for")]
    WrongType,
    /// The key is longer than 65,500 bytes.
    #[error("the key is longer than {MAX_KEY_BYTES} bytes")]
    KeyTooLong,
    /// The value would be longer than 512 MiB.
    #[error("the value would be longer than {MAX_VALUE_BYTES} bytes")]
    ValueTooLong,
    /// The value is no 64-bit integer.
    #[error("the value is not a 64-bit integer")]
    NotAnInteger,
    /// The sum would leave the range of a 64-bit integer.
    #[error("the sum would leave the range of a 64-bit integer")]
    Overflow,
    /// The score is no number (NaN), or would become none.
    #[error("the score is not a number")]
    NotANumber,
    /// There is no element of that index.
    #[error("there is no element of that index")]
    OutOfRange,
    /// There is no keyspace of that index; [`Options::databases`](crate::Options::databases) says how many there are.
    #[error("there is no keyspace {index}, they are numbered from 0 to {}", .count - 1)]
    NoSuchKeyspace {
        /// What was asked for.
        index: u32,
        /// How many there are.
        count: u32,
    },
    /// A closure of [`update`](crate::Keyspace::update) used a key that `update` was not given.
    #[error("the key {key:?} was not named when update was called, so it is not kept apart from others")]
    KeyNotNamed {
        /// The key.
        key: Value,
    },
    /// The call came from inside a closure of [`update`](crate::Keyspace::update) of the same database on the same thread,
    /// and could wait for the closure for ever. The closure's own argument reads and writes the keys.
    #[error("called from inside a closure of update of the same database: use the closure's argument")]
    InsideUpdate,
    /// A closure of [`update`](crate::Keyspace::update) has kept this call waiting for 10 seconds.
    #[error("a closure of update on {thread} has kept {keys:?} for more than 10 seconds")]
    UpdateTooSlow {
        /// The keys that the closure was given.
        keys: Vec<Value>,
        /// The thread that it runs on.
        thread: String,
    },
    /// The database was closed, by [`close`](crate::Database::close) of this handle or another.
    #[error("the database is closed")]
    Closed,
    /// A [`Subscription`](crate::Subscription) was not read fast enough: more would have waited in it than the option
    /// `client-output-buffer-limit` allows, so what was published since did not come there. Subscribe again to hear more.
    #[error("the subscription was cut off: more than client-output-buffer-limit allows waited to be read")]
    CutOff,
    /// This process is a fork of the one that opened the database, and has none of its threads.
    #[error("the database was opened by the process that this one is a fork of")]
    Forked,
    /// No write is taken, for this reason: the disk is nearly full, or failed, or the database was opened for reading only.
    #[error("no write is taken: {0}")]
    ReadOnly(String),
    /// A record is not what the format says.
    #[error("corrupt record: {0}")]
    Corrupt(&'static str),
    /// The store failed. After [`StoreError::OutcomeUnknown`] nobody knows whether the change will be there.
    #[error(transparent)]
    Store(StoreError),
    /// What cannot be done for another reason.
    #[error("{0}")]
    Other(String),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => Self::Closed,
            StoreError::ReadOnly(reason) => Self::ReadOnly(reason),
            error => Self::Store(error),
        }
    }
}

#[doc(hidden)]
impl From<DataError> for Error {
    fn from(error: DataError) -> Self {
        match error {
            DataError::WrongType => Self::WrongType,
            DataError::KeyTooLong => Self::KeyTooLong,
            DataError::ValueTooLong => Self::ValueTooLong,
            DataError::NotAnInteger => Self::NotAnInteger,
            DataError::Overflow => Self::Overflow,
            DataError::Corrupt(what) => Self::Corrupt(what),
            DataError::Store(error) => (*error).into(),
            // Words for clients.
            other => Self::Other(other.to_string().trim_start_matches("ERR ").to_owned()),
        }
    }
}

#[doc(hidden)]
impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Data(error) => error.into(),
            CommandError::Closed => Self::Closed,
            // Words for clients.
            other => Self::Other(other.to_string().trim_start_matches("ERR ").to_owned()),
        }
    }
}
