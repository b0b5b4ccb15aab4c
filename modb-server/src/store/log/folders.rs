//! What lies in a data folder: the log's files and the tree's, each in a folder of its own.
//!
//! Invariant: what the tree asserts of its own list of tables is an error here, and no panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::disk::RealDisk;
use super::lsm::LsmCold;
use crate::store::StoreError;
use crate::store::group::words_of;

/// Below the data folder.
pub(crate) const LOG_FOLDER: &str = "log";
pub(super) const TABLES_FOLDER: &str = "tables";

/// The tree in a folder.
pub(super) fn open_tables(folder: &Path, cache_bytes: u64) -> Result<LsmCold, StoreError> {
    // Nothing is shared yet: what a panic leaves half done is gone with it.
    let opened = catch_unwind(AssertUnwindSafe(|| LsmCold::open(folder, cache_bytes)));
    // The tree asserts some of what it reads of its own list of tables.
    let opened = opened.unwrap_or_else(|panic| {
        Err(StoreError::Corrupt { place: folder.display().to_string(), what: words_of(&*panic).to_owned() })
    });
    opened.map_err(|error| match error {
        StoreError::Io { what, source } => StoreError::io(format!("{what} in {}", folder.display()), source),
        other => other,
    })
}

/// The log's folder, made if it is missing.
pub(super) fn log_folder(folder: &Path) -> Result<RealDisk, StoreError> {
    RealDisk::open(folder.join(LOG_FOLDER)).map_err(|e| StoreError::io("cannot make the log's folder", e))
}

/// Syncs the names in a folder and in those below it.
pub(super) fn sync_folders(folder: &Path) -> Result<(), StoreError> {
    let failed = |e| StoreError::io(format!("cannot sync {}", folder.display()), e);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    crate::sys::sync_folder(folder).map_err(failed)
}
