//! Why there is no socket pair: what was tried, and which step of it failed.

use std::fmt;
use std::io;

use super::Strategy;

/// Every strategy has failed.
#[derive(Debug, thiserror::Error)]
pub struct PairError {
    /// One per strategy, in the order in which they were tried.
    pub failed: Vec<StepError>,
}

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no socket pair")?;
        for (index, error) in self.failed.iter().enumerate() {
            write!(f, "{} {error}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

/// One strategy has failed.
#[derive(Debug, thiserror::Error)]
#[error("{strategy} failed to {step} ({what}): {cause}")]
pub struct StepError {
    /// Which strategy.
    pub strategy: Strategy,
    /// At which step.
    pub step: Step,
    /// What the step was tried with: an address, a path.
    pub what: String,
    /// Why.
    #[source]
    pub cause: Cause,
}

/// A step of making a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Making a socket.
    Create,
    /// Getting a nonce from the system.
    Random,
    /// Making the private directory.
    Directory,
    /// Binding to an address or path.
    Bind,
    /// Listening on it.
    Listen,
    /// Connecting to it.
    Connect,
    /// Accepting that connection.
    Accept,
    /// Exchanging the nonces.
    Verify,
    /// Setting options of the ends.
    Configure,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create a socket",
            Self::Random => "get random bytes",
            Self::Directory => "make a private directory",
            Self::Bind => "bind",
            Self::Listen => "listen",
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Verify => "verify the peer",
            Self::Configure => "set socket options",
        })
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The time was over.
    #[error("the deadline passed; {strangers} strangers were turned away, {refusals} attempts refused")]
    Deadline {
        /// How many others had connected and were turned away.
        strangers: u32,
        /// How often our own connection was refused, as by a full backlog.
        refusals: u32,
    },
    /// Whoever we are connected to is not us.
    #[error("the other end is a stranger")]
    Stranger,
    /// The path is longer than a socket address holds.
    #[error("the path is too long for a socket address")]
    PathTooLong,
}

/// For `map_err`: says where an error happened.
pub(super) fn at<E: Into<Cause>>(
    strategy: Strategy,
    step: Step,
    what: impl fmt::Display,
) -> impl FnOnce(E) -> StepError {
    move |cause| StepError { strategy, step, what: what.to_string(), cause: cause.into() }
}
