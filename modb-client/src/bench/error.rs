//! Why a run could not begin, or could not tell its result.

use std::io;
use std::path::PathBuf;

/// What stops the load generator.
#[derive(Debug, thiserror::Error)]
pub(super) enum BenchError {
    /// The command line makes no sense.
    #[error("{0}\nmodb-client bench --help tells what it takes")]
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
