//! The data folder: taken by one process at a time, and marked with what its files are.
//!
//! Invariants: the lock file is held from before the first file is read until the store is dropped; the format
//! record is written before the first record and never changed. The lock is the operating system's, so it ends with
//! the process, however that ends.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::StoreError;

/// The version of the layout of the folder and of the records in it.
pub(crate) const FORMAT_VERSION: u32 = 1;

pub(crate) const LOCK_FILE: &str = "LOCK";
pub(crate) const FORMAT_FILE: &str = "FORMAT";
const NEW_FORMAT_FILE: &str = "FORMAT.new";

/// A data folder that this process holds.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Closing it gives the folder back.
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is missing, takes it and checks that `engine` may open it.
    pub(crate) fn take(path: &Path, engine: &str) -> Result<Self, StoreError> {
        let folder = Self::lock(path)?;
        folder.check_format(engine)?;
        Ok(folder)
    }

    fn lock(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display();
        make_folder(path).map_err(|e| StoreError::io(format!("cannot make the data folder {shown}"), e))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK_FILE))
            .map_err(|e| StoreError::io(format!("cannot use the data folder {shown}"), e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(path.to_path_buf())),
            Err(TryLockError::Error(e)) => {
                return Err(StoreError::io(format!("cannot lock the data folder {shown}"), e));
            }
        }
        Ok(Self { path: path.to_path_buf(), _lock: lock })
    }

    /// Makes and takes a folder that holds nothing yet, for a copy: [`Folder::mark`] ends it, and until then
    /// nobody can take the folder for a whole one.
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        if let Some(entry) = fs::read_dir(path).ok().and_then(|mut entries| entries.next()) {
            let name = entry.map(|e| e.file_name().to_string_lossy().into_owned()).unwrap_or_default();
            let what = format!("{} is not empty, it holds {name}", path.display());
            return Err(StoreError::io(what, ErrorKind::AlreadyExists.into()));
        }
        Self::lock(path)
    }

    /// Says that the folder is whole and belongs to `engine`.
    pub(crate) fn mark(&self, engine: &str) -> Result<(), StoreError> {
        self.mark_as(&format_record(engine))
    }

    /// The same with the format record of the folder that this one is a copy of.
    pub(crate) fn mark_as(&self, record: &str) -> Result<(), StoreError> {
        self.write_format(&self.path.join(FORMAT_FILE), record)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn check_format(&self, engine: &str) -> Result<(), StoreError> {
        let expected = format_record(engine);
        let file = self.path.join(FORMAT_FILE);
        let mut found = Vec::new();
        match File::open(&file).and_then(|f| f.take(256).read_to_end(&mut found)) {
            Ok(_) if found == expected.as_bytes() => Ok(()),
            Ok(_) => Err(StoreError::Format {
                folder: self.path.clone(),
                found: String::from_utf8_lossy(&found).trim().to_owned(),
                expected: expected.trim().to_owned(),
            }),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                self.check_unused(&expected)?;
                self.write_format(&file, &expected)
            }
            Err(e) => Err(StoreError::io(format!("cannot read {}", file.display()), e)),
        }
    }

    /// A folder that holds files of somebody else, or half a copy, is not ours to fill.
    fn check_unused(&self, expected: &str) -> Result<(), StoreError> {
        let failed = |e| StoreError::io(format!("cannot list {}", self.path.display()), e);
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if name != LOCK_FILE && name != NEW_FORMAT_FILE {
                return Err(StoreError::Format {
                    folder: self.path.clone(),
                    found: format!("no format record, but {}", name.to_string_lossy()),
                    expected: expected.trim().to_owned(),
                });
            }
        }
        Ok(())
    }

    fn write_format(&self, file: &Path, content: &str) -> Result<(), StoreError> {
        let new = self.path.join(NEW_FORMAT_FILE);
        File::create(&new)
            .and_then(|mut f| {
                f.write_all(content.as_bytes())?;
                f.sync_all()
            })
            .and_then(|()| fs::rename(&new, file))
            .and_then(|()| crate::sys::sync_folder(&self.path))
            .map_err(|e| StoreError::io(format!("cannot write {}", file.display()), e))
    }
}

/// Makes a folder, and those above it that are missing, so that its name survives a power cut: whatever is synced in it
/// later is worth nothing without.
fn make_folder(path: &Path) -> io::Result<()> {
    // "" is the current folder, as the parent of a plain name.
    let above = |folder: &Path| match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
        parent => parent.map(Path::to_path_buf),
    };
    if path.is_dir() {
        // Perhaps made by a process that ended before its sync, perhaps by somebody whose folders we may not open.
        let synced = above(path).map_or(Ok(()), |parent| crate::sys::sync_folder(&parent));
        return synced.or_else(|e| if e.kind() == ErrorKind::PermissionDenied { Ok(()) } else { Err(e) });
    }
    let parent = above(path);
    if let Some(parent) = &parent {
        make_folder(parent)?;
    }
    fs::create_dir(path).or_else(|e| if path.is_dir() { Ok(()) } else { Err(e) })?;
    parent.map_or(Ok(()), |parent| crate::sys::sync_folder(&parent))
}

fn format_record(engine: &str) -> String {
    format!("modb {FORMAT_VERSION} {engine}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_free_again_after() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::take(dir.path(), "x").unwrap();
        assert!(matches!(Folder::take(dir.path(), "x"), Err(StoreError::Locked(_))));
        drop(first);
        Folder::take(dir.path(), "x").unwrap();
    }

    #[test]
    fn a_folder_of_another_engine_or_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(Folder::take(dir.path(), "x").unwrap());
        assert!(matches!(Folder::take(dir.path(), "y"), Err(StoreError::Format { .. })));
        fs::write(dir.path().join(FORMAT_FILE), "modb 99 x\n").unwrap();
        let error = Folder::take(dir.path(), "x").unwrap_err().to_string();
        assert!(error.contains("modb 99 x"), "{error}");
    }

    #[test]
    fn a_folder_with_foreign_files_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("holiday.jpg"), "x").unwrap();
        assert!(matches!(Folder::take(dir.path(), "x"), Err(StoreError::Format { .. })));
    }

    #[test]
    fn an_unfinished_copy_is_not_taken_for_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let copy = Folder::create(dir.path()).unwrap();
        fs::write(dir.path().join("data"), "half").unwrap();
        drop(copy);
        assert!(matches!(Folder::take(dir.path(), "x"), Err(StoreError::Format { .. })));
        assert!(Folder::create(dir.path()).is_err(), "nor overwritten");
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_one_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "x").unwrap();
        let error = Folder::take(&file, "x").unwrap_err().to_string();
        assert!(error.contains("data folder"), "{error}");
    }
}
