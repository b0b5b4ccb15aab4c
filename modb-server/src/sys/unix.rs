//! Unix: `statvfs`, and folders that are synced through a descriptor.

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
