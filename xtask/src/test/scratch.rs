//! The folder for temporary files that the tests of a step get, so that no run depends on what another left behind, and
//! none leaves anything itself.
//!
//! Wine takes a program's folder for temporary files from its own registry: there the tests keep to Wine's.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::failure::{Context as _, Result};

/// An empty folder. Removed with all that is in it when dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self> {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        // In the system's own, and short: the names of sockets that tests put there may have some hundred bytes.
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("modb-test-{}-{number}", std::process::id()));
        // What a killed process of the same number left.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).context(format_args!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }

    /// Tells the command, and all that it starts, by the names that Unix and Windows have for it.
    pub(super) fn hand_to(&self, command: &mut Command) {
        command.env("TMPDIR", &self.0).env("TMP", &self.0).env("TEMP", &self.0);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A server that was just killed may still hold a file for a moment: the system clears the rest away.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_empty_and_leaves_nothing() {
        let mut command = crate::process::command("nothing");
        let scratch = Scratch::new().expect("there is room");
        scratch.hand_to(&mut command);
        let folder = scratch.0.clone();
        assert!(
            command.get_envs().any(|(name, value)| name == "TMPDIR" && value == Some(folder.as_os_str()))
        );
        assert_eq!(std::fs::read_dir(&folder).expect("it is there").count(), 0);
        std::fs::write(folder.join("left"), "behind").expect("it can be written to");
        drop(scratch);
        assert!(!folder.exists());
    }
}
