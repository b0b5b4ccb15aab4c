//! Why a run could not begin, or could not tell its result.

use std::io;
use std::path::PathBuf;

/// What stops the load generator.
#[derive(Debug, thiserror::Error)]
pub(super) enum BenchError {
    /// The command line makes no sense.
    #[error("{0}\nTry `modb-client bench --help`.")]
    Usage(String),
    /// The name of the server has no address.
    #[error("no address is known for {address}: {source}")]
    Resolve { address: String, source: io::Error },
    /// Nobody listens there, or too many connections were asked for.
    #[error("connection {number} to {address} failed: {source}")]
    Connect { address: String, number: usize, source: io::Error },
    /// The server said no to the password, the database or a first PING.
    #[error("{address} answers {reply:?}")]
    Refused { address: String, reply: String },
    /// What came back is another protocol.
    #[error("{address} does not speak {protocol}: {reason}")]
    Protocol { address: String, protocol: &'static str, reason: String },
    /// The key space could not be filled.
    #[error("filling the key space failed: {0}")]
    Preload(String),
    /// The poller failed.
    #[error("waiting for the sockets failed: {0}")]
    Poll(#[source] io::Error),
    /// Standard output takes no more.
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    /// The result could not be written.
    #[error("cannot write the result to {}: {source}", path.display())]
    WriteResult { path: PathBuf, source: io::Error },
}

impl BenchError {
    /// What to do about it, as the end of a sentence.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Resolve { .. } | Self::Connect { number: 1, .. } => "; -h and -p say which server",
            Self::Connect { .. } => "; -c says how many connections there are to be",
            Self::Refused { reply, .. } if reply.starts_with("NOAUTH") || reply.starts_with("WRONGPASS") => {
                "; -a and --user say who asks"
            }
            Self::Refused { reply, .. } if reply.contains("DB index") => "; -n says which database",
            Self::Protocol { .. } => "; --protocol says what it speaks",
            _ => "",
        }
    }
}
