//! What has come of a command that was executed.

use crate::command::language::error::CommandError;
use crate::command::language::reply::Reply;
use crate::data::Committed;

/// The outcome of a command.
#[derive(Debug)]
pub struct Outcome {
    /// What to answer.
    pub reply: Result<Reply, CommandError>,
    /// What the reply has to wait for.
    pub committed: Committed,
}
