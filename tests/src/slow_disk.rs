//! A disk whose syncs take longer than this machine's: a library that a server is started with.

use std::fs;
use std::process::Command;
use std::time::Duration;

/// See the top of this file.
#[derive(Debug)]
pub struct SlowDisk {
    folder: tempfile::TempDir,
    sync: Duration,
}

impl SlowDisk {
    /// One whose syncs take so much longer, or why there is none here.
    ///
    /// # Errors
    /// What is missing.
    pub fn with_syncs_of(sync: Duration) -> Result<Self, String> {
        if std::env::consts::OS != "linux" {
            return Err("only Linux starts a program with a library of ours".to_owned());
        }
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let source = folder.path().join("slow_sync.c");
        fs::write(&source, include_str!("../../xtask/src/bench/slow_sync.c"))
            .map_err(|error| error.to_string())?;
        let disk = Self { folder, sync };
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O2", "-o"]).arg(disk.library()).arg(source).arg("-ldl");
        match compile.output() {
            Ok(output) if output.status.success() => Ok(disk),
            Ok(output) => Err(format!("cc: {}", String::from_utf8_lossy(&output.stderr))),
            Err(error) => Err(format!("needs a C compiler: {error}")),
        }
    }

    fn library(&self) -> std::path::PathBuf {
        self.folder.path().join("slow_sync.so")
    }

    /// A script for a shell that becomes the program of its arguments, on this disk.
    pub fn script(&self) -> String {
        let (ms, library) = (self.sync.as_millis(), self.library());
        format!("MODB_SYNC_DELAY_MS={ms} LD_PRELOAD='{}' exec \"$@\"", library.display())
    }
}
