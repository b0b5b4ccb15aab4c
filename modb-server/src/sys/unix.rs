//! Unix: `statvfs`, folders that are synced through a descriptor, and `nice`, which on Linux is per thread.

use std::fs::File;
use std::io;
use std::path::Path;

pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let s = rustix::fs::statvfs(path)?;
    Ok(s.f_bavail.saturating_mul(s.f_frsize))
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(crate) fn lower_thread_priority() {
    // Elsewhere `nice` would slow down the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(BACKGROUND_NICE) {
        tracing::debug!(%error, "cannot lower a background thread's priority");
    }
}

/// Half the weight of a normal thread or less, yet enough to keep up on a busy machine.
#[cfg(target_os = "linux")]
const BACKGROUND_NICE: i32 = 5;

/// Tests that run a model under loom.
#[cfg(test)]
macro_rules! model_tests {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => { $( $(#[$attribute])* #[test] fn $name() $body )* };
}
#[cfg(test)]
pub(crate) use model_tests;
