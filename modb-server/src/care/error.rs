//! What care of a folder can fail with, and which of it means damage.

use std::path::PathBuf;

use crate::store::StoreError;

/// Why a task was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CareError {
    /// The folder or a file in it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine ended in a panic while it read the folder.
    #[error("corrupt data: the engine could not go on: {0}")]
    Panicked(String),
    /// One folder lies in the other.
    #[error("{inner} lies in {outer}: choose another folder")]
    Inside {
        /// The target.
        inner: PathBuf,
        /// The source.
        outer: PathBuf,
    },
    /// The folder is in use, and the server that would have it does not answer.
    #[error(
        "the data folder {folder} is used by another process, and no server answers at {addr} ({why}); give its --bind, --port and --requirepass"
    )]
    NoServer {
        /// The folder.
        folder: PathBuf,
        /// Where a server was looked for.
        addr: String,
        /// What happened there.
        why: String,
    },
    /// The server that answers has another folder.
    #[error("the data folder {folder} is used by another process; the server at {addr} serves {served}")]
    OtherServer {
        /// The folder.
        folder: PathBuf,
        /// The server.
        addr: String,
        /// Its folder.
        served: String,
    },
    /// The server said no, or the task failed there.
    #[error("the server says: {0}{advice}", advice = advice(.0))]
    Refused(String),
    /// A service has options of its own behind it.
    #[error("'service' stands before all options: modb-server service install [OPTIONS]")]
    NotFirst,
}

/// What to do, as the end of a sentence.
fn advice(said: &str) -> &'static str {
    if said.starts_with("NOAUTH") || said.starts_with("WRONGPASS") { " Give its --requirepass." } else { "" }
}

impl CareError {
    /// Whether the data is damaged, and not only out of reach.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Panicked(_) => true,
            Self::Store(error) => error.is_damage(),
            _ => false,
        }
    }
}
