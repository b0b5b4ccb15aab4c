//! Disks that are soon full, for scenarios that run as Windows programs: those cannot mount one, this system can.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Result;
use crate::process;
use crate::workspace;

/// As many scenarios want one at the same time (`SmallDisk` in `tests/src/sys/`).
const DISKS: usize = 3;

/// What such a scenario expects (`SMALL_DISK_BYTES` in `tests/src/sys/mod.rs`).
const BYTES: u64 = 384 << 20;

/// File systems in memory, numbered, in a folder. Unmounted when dropped.
pub(crate) struct SmallDisks {
    folder: PathBuf,
}

impl SmallDisks {
    /// `None` if this user may not mount.
    pub(crate) fn mount() -> Result<Option<Self>> {
        let folder = workspace::target_dir().join(format!("small-disks-{}", std::process::id()));
        let disks = Self { folder };
        for disk in disks.each() {
            workspace::make_folder(&disk)?;
            let mut mount = process::command("mount");
            mount.args(["-t", "tmpfs", "-o", &format!("size={BYTES}"), "tmpfs"]).arg(&disk);
            if process::answer(&mut mount).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(disks))
    }

    /// Tells tests under Wine where they are: its drive Z is this system's root.
    pub(crate) fn hand_to(&self, tests: &mut Command) {
        let folder = self.folder.to_string_lossy().replace('/', "\\");
        tests.env("MODB_TEST_SMALL_DISKS", format!("Z:{folder}"));
    }

    fn each(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (0..DISKS).map(|number| self.folder.join(number.to_string()))
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
