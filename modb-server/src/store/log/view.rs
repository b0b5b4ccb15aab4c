//! The folder of the tables, to be opened by who may change nothing: links to its files, in a folder of their own.
//!
//! The tree tidies up when it is opened, and removes what a crash left. Here it removes links. What is written to the tree
//! is in the view alone, and gone with it: the log of a folder that is only looked at, if memory does not hold it. Where the
//! system allows no links the tables are opened as they are; then nothing but such remains is changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Is removed when it is dropped.
pub(super) struct View {
    folder: PathBuf,
}

impl View {
    pub(super) fn of(tables: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        let name = format!("modb-look-{:016x}", u64::from_le_bytes(random));
        let folder = crate::sys::scratch_folder().join(name);
        crate::sys::make_private_folder(&folder)?;
        let view = Self { folder };
        if tables.is_dir() {
            link_all(&std::path::absolute(tables)?, &view.folder)?;
        }
        Ok(view)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let link = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&link)?;
            link_all(&entry.path(), &link)?;
        } else {
            crate::sys::link_file(&entry.path(), &link)?;
        }
    }
    Ok(())
}
