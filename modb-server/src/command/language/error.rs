//! What a command answers when it cannot do what it was asked: the texts are Redis's own.

use std::borrow::Cow;

use modb_net::resp::Args;

use super::reply::Reply;
use super::until::Until;
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
    /// There is no room for its reply now: nothing was done, and it is to be executed again when there is.
    #[error("ERR no memory for the reply now")]
    NoRoom,
    /// What takes long, as waiting for the disk does, and is done by a thread, with the stripes of the command held; its reply
    /// is the command's. Nothing was written before.
    #[error("ERR it takes long")]
    InThread(Work),
    /// There is nothing for it to do yet: nothing was written, and its reply comes when there is.
    #[error("ERR it waits")]
    Waits(Box<Until>),
    /// It waited, and the database was closed.
    #[error("ERR the database is closed")]
    Closed,
    /// Any other text; begins with its code.
    #[error("{0}")]
    Text(Cow<'static, str>),
    /// A text that repeats an argument byte by byte, whatever it is.
    #[error("{}", .0.escape_ascii())]
    Echo(Vec<u8>),
}

impl CommandError {
    /// The reply, its code first.
    pub fn text(&self) -> Cow<'_, [u8]> {
        let text: Cow<'_, str> = match self {
            Self::Echo(bytes) => return bytes.into(),
            Self::Text(text) => text.as_ref().into(),
            // What clients of Redis know as "the server takes no writes now".
            Self::Data(DataError::Store(error)) if let StoreError::ReadOnly(why) = &**error => {
                format!("MISCONF {why}").into()
            }
            other => other.to_string().into(),
        };
        match text {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        }
    }
}

/// An error with a fixed text.
pub(crate) const fn err<T>(text: &'static str) -> Result<T, CommandError> {
    Err(CommandError::Text(Cow::Borrowed(text)))
}

/// An error that repeats `arg` between two texts. Line ends at its end are dropped, as Redis does.
pub(crate) fn echo(before: &str, arg: &[u8], after: &str) -> CommandError {
    let mut text = [before.as_bytes(), echoed(arg), after.as_bytes()].concat();
    while text.ends_with(b"\r") || text.ends_with(b"\n") {
        text.pop();
    }
    CommandError::Echo(text)
}

/// Longest part of an argument that an error repeats, in bytes, as in Redis.
const ECHOED_BYTES: usize = 128;

/// What an error repeats of an argument: any bytes, but no more after a zero, since Redis prints C strings.
fn echoed(arg: &[u8]) -> &[u8] {
    let arg = &arg[..arg.len().min(ECHOED_BYTES)];
    arg.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The number of arguments does not fit.
pub(crate) fn wrong_arity(name: &str) -> CommandError {
    format!("ERR wrong number of arguments for '{name}' command").into()
}

/// There is no such subcommand.
pub(crate) fn unknown_subcommand(command: &str, sub: &[u8]) -> CommandError {
    let command = command.to_ascii_uppercase();
    echo("ERR unknown subcommand '", sub, &format!("'. Try {command} HELP."))
}

/// There is no such command.
pub(crate) fn unknown_command(args: Args<'_>) -> CommandError {
    let mut text = [b"ERR unknown command '", echoed(&args[0]), b"', with args beginning with: "].concat();
    let mut written = 0;
    for arg in args.iter().skip(1) {
        if written >= ECHOED_BYTES {
            break;
        }
        let arg = echoed(arg);
        let word = [b"'", &arg[..arg.len().min(ECHOED_BYTES - written)], b"' "].concat();
        written += word.len();
        text.extend(word);
    }
    CommandError::Echo(text)
}

impl From<String> for CommandError {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// What a command leaves to a thread.
pub struct Work(Box<dyn FnOnce() -> Result<Reply, CommandError> + Send>);

impl Work {
    pub(crate) fn new(work: impl FnOnce() -> Result<Reply, CommandError> + Send + 'static) -> Self {
        Self(Box::new(work))
    }

    pub(crate) fn run(self) -> Result<Reply, CommandError> {
        (self.0)()
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}
