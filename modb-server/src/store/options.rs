//! How a store is opened: which engine, where, with which promises and bounds. Pure.

use std::path::PathBuf;
use std::str::FromStr;

use super::Durability;

/// Which engine keeps the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// A log with group commit, recent records in memory, and an LSM tree behind them.
    #[default]
    Log,
    /// The LSM tree of the `fjall` crate, with the cargo feature `fjall`.
    Fjall,
    /// Everything in memory, nothing on disk: for tests and for caches that may forget.
    Memory,
}

impl EngineKind {
    /// The names of those that this build has.
    #[cfg(feature = "fjall")]
    pub const NAMES: &[&str] = &["log", "fjall", "memory"];
    /// The names of those that this build has.
    #[cfg(not(feature = "fjall"))]
    pub const NAMES: &[&str] = &["log", "memory"];

    /// The name in the configuration and in the folder's format record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Fjall => "fjall",
            Self::Memory => "memory",
        }
    }

    /// The version of the folders that it makes. It reads those of all earlier ones.
    pub(crate) fn format_version(self) -> u32 {
        match self {
            // 2: files of the log have a head, chunks a seal. 3: large values lie in tables of their own.
            Self::Log => 3,
            Self::Fjall | Self::Memory => 1,
        }
    }
}

impl FromStr for EngineKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "log" => Ok(Self::Log),
            "fjall" => Ok(Self::Fjall),
            "memory" => Ok(Self::Memory),
            _ => Err(format!("must be one of {}", Self::NAMES.join(", "))),
        }
    }
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The data folder; made if it is missing. Not used by [`EngineKind::Memory`].
    pub folder: PathBuf,
    /// The engine. A folder is only opened with the engine that made it.
    pub engine: EngineKind,
    /// What acknowledged commits survive.
    pub durability: Durability,
    /// Memory for records and file blocks, in MiB; what the engine needs besides is a small constant.
    pub cache_mb: u64,
    /// Writes are refused while the folder's disk has less free space than this, in bytes, and taken again
    /// once there is more.
    pub min_free_bytes: u64,
    /// Opens a damaged folder without the commits that are lost, instead of refusing.
    pub accept_data_loss: bool,
    /// For looking only: nothing in the folder is changed, not even what a crash left; writes are refused. The folder may be of
    /// an earlier version, and on a disk that cannot be written.
    pub passive: bool,
}

impl OpenOptions {
    /// The defaults, for `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            engine: EngineKind::default(),
            durability: Durability::default(),
            cache_mb: 256,
            // Room for what is in flight (a log segment, a compaction's output) after the last write was taken.
            min_free_bytes: 256 << 20,
            accept_data_loss: false,
            passive: false,
        }
    }
}
