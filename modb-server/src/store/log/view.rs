//! The folder of the tables, to be opened by who may change nothing: links to its files, in a folder of their own.
//!
//! The tree tidies up when it is opened, and removes what a crash left. Here it removes links. What is written to the tree
//! is in the view alone, and gone with it: the log of a folder that is only looked at, if memory does not hold it.
//!
//! It stands in the system's folder for what passes, or else beside the folder: on Windows a link to another disk needs a right
//! that few have, one on the same disk needs none. Where neither goes the tables are opened as they are; then nothing but
//! such remains is changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Is removed when it is dropped.
pub(super) struct View {
    folder: PathBuf,
}

impl View {
    /// One of the tables in `folder`.
    pub(super) fn of(tables: &Path, folder: &Path) -> io::Result<Self> {
        let beside = std::path::absolute(folder)?.parent().map(Path::to_path_buf);
        Self::within_first_of([Some(crate::sys::scratch_folder()), beside].into_iter().flatten(), tables)
    }

    fn within_first_of(places: impl IntoIterator<Item = PathBuf>, tables: &Path) -> io::Result<Self> {
        let none = Err(io::Error::other("there is no place for it"));
        places.into_iter().fold(none, |view, place| view.or_else(|_| Self::within(&place, tables)))
    }

    fn within(place: &Path, tables: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        let folder = place.join(format!("modb-look-{:016x}", u64::from_le_bytes(random)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_made_where_it_can_be_and_takes_only_links_with_it() {
        let around = tempfile::tempdir().unwrap();
        let tables = around.path().join("folder").join("tables");
        fs::create_dir_all(tables.join("tables")).unwrap();
        fs::write(tables.join("tables").join("7"), "whole").unwrap();
        let places = [around.path().join("missing"), around.path().to_path_buf()];
        let view = View::within_first_of(places, &tables).unwrap();
        let seen = view.folder().join("tables").join("7");
        assert_eq!(
            (view.folder().parent(), fs::read(&seen).unwrap()),
            (Some(around.path()), b"whole".to_vec())
        );
        fs::remove_file(&seen).unwrap();
        drop(view);
        assert_eq!(fs::read(tables.join("tables").join("7")).unwrap(), b"whole");
        assert_eq!(fs::read_dir(around.path()).unwrap().count(), 1, "nothing is left of it");
    }
}
