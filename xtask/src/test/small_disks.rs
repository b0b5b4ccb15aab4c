//! Disks that are soon full, for tests that cannot mount one themselves: those of the store, and those that run as Windows
//! programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Result;
use crate::process;
use crate::workspace;

/// For the scenarios: as many want one at the same time (`SmallDisk` in `tests/src/sys/`), of this size in bytes
/// (`SMALL_DISK_BYTES` in `tests/src/sys/mod.rs`).
pub(super) const FOR_SCENARIOS: (usize, u64) = (3, 384 << 20);

/// For the store's test, which fills it in small writes: the least that it makes do with.
pub(super) const FOR_STORE: (usize, u64) = (1, 64 << 20);

/// File systems in memory, numbered, in a folder. Unmounted when dropped.
pub(super) struct SmallDisks {
    folder: PathBuf,
    count: usize,
}

impl SmallDisks {
    /// `None` if this user may not mount.
    pub(super) fn mount((count, bytes): (usize, u64)) -> Result<Option<Self>> {
        let folder = workspace::target_dir().join(format!("small-disks-{}", std::process::id()));
        let disks = Self { folder, count };
        for disk in disks.each() {
            workspace::make_folder(&disk)?;
            let mut mount = process::command("mount");
            mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(&disk);
            if process::answer(&mut mount).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(disks))
    }

    /// One of them, for a test of this system, which runs while no other does.
    pub(super) fn first(&self) -> Option<PathBuf> {
        self.each().next()
    }

    /// The same, for a test under Wine: its drive Z is this system's root.
    pub(super) fn first_under_wine(&self) -> Option<PathBuf> {
        self.first().map(|folder| under_wine(&folder).into())
    }

    /// Tells tests under Wine where they all are.
    pub(super) fn hand_to(&self, tests: &mut Command) {
        tests.env("MODB_TEST_SMALL_DISKS", under_wine(&self.folder));
    }

    fn each(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (0..self.count).map(|number| self.folder.join(number.to_string()))
    }
}

impl Drop for SmallDisks {
    fn drop(&mut self) {
        for disk in self.each().filter(|disk| is_mounted(disk)) {
            // Lazily: a server that was just killed may still hold a file for a moment.
            let _ = process::answer(process::command("umount").arg("-l").arg(disk));
        }
        // Mount points only: what could not be unmounted is not removed either.
        self.each().chain([self.folder.clone()]).for_each(|folder| drop(std::fs::remove_dir(folder)));
    }
}

fn is_mounted(folder: &Path) -> bool {
    process::answer(process::command("mountpoint").arg("-q").arg(folder)).is_some()
}

fn under_wine(folder: &Path) -> String {
    format!("Z:{}", folder.to_string_lossy().replace('/', "\\"))
}
