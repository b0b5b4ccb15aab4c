//! The data folder: taken by one process at a time, and marked with what its files are.
//!
//! Invariants: the lock file is held from before the first file is read until the store is dropped; the format
//! record is written before the first record and never changed. The lock is the operating system's, so it ends with
//! the process, however that ends.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::place::{holds, make_folder, obstacle};

/// The version of the layout of the folder and of the records in it.
pub(crate) const FORMAT_VERSION: u32 = 1;

pub(crate) const LOCK_FILE: &str = "LOCK";
pub(crate) const FORMAT_FILE: &str = "FORMAT";
const NEW_FORMAT_FILE: &str = "FORMAT.new";

/// What a folder may hold that was never filled: a start that ended early.
const OF_AN_EARLY_END: [&str; 2] = [LOCK_FILE, NEW_FORMAT_FILE];

/// A data folder that this process holds.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Closing it gives the folder back.
    lock: File,
}

impl Folder {
    /// Makes the folder if it is missing, takes it and checks that `engine` may open it. One that is refused is left as it
    /// was.
    pub(crate) fn take(path: &Path, engine: &str) -> Result<Self, StoreError> {
        let expected = format_record(engine);
        // Before the lock, so that no lock file is left in a folder of somebody else's; and after it, since it counts then.
        check_format(path, &expected)?;
        let folder = Self::lock(path)?;
        if !check_format(path, &expected)? {
            folder.mark_as(&expected)?;
        }
        if let Some(mode) = crate::sys::open_to_others(path) {
            tracing::warn!(
                "the data folder {} is open to others (mode {mode:o}): with 'chmod 700' only its owner can read it",
                path.display()
            );
        }
        Ok(folder)
    }

    fn lock(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display();
        make_folder(path)?;
        let lock = crate::sys::private(File::options().create(true).truncate(false).read(true).write(true))
            .open(path.join(LOCK_FILE))
            .map_err(|e| StoreError::io(format!("cannot use the data folder {shown}"), e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(path, &lock)),
            Err(TryLockError::Error(e)) => {
                return Err(StoreError::io(format!("cannot lock the data folder {shown}"), e));
            }
        }
        // For whoever is refused. A disk that is full is no reason not to start.
        let _ = lock.set_len(0).and_then(|()| writeln!(&lock, "{}", std::process::id()));
        Ok(Self { path: path.to_path_buf(), lock })
    }

    /// Makes and takes a folder that holds nothing yet, for a copy: [`Folder::mark`] ends it, and until then
    /// nobody can take the folder for a whole one.
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        refuse_full(path, &OF_AN_EARLY_END)?;
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

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody has it any more.
        let _ = self.lock.set_len(0);
    }
}

/// Whether the folder has the format that is expected: `false` if it has none yet and may get one.
fn check_format(path: &Path, expected: &str) -> Result<bool, StoreError> {
    let file = path.join(FORMAT_FILE);
    let mut found = Vec::new();
    match File::open(&file).and_then(|f| f.take(256).read_to_end(&mut found)) {
        Ok(_) if found == expected.as_bytes() => Ok(true),
        Ok(_) => Err(StoreError::Format {
            folder: path.to_path_buf(),
            found: String::from_utf8_lossy(&found).trim().to_owned(),
            expected: expected.trim().to_owned(),
        }),
        // A folder that holds files of somebody else, or half a copy, is not ours to fill.
        Err(e) if e.kind() == ErrorKind::NotFound => refuse_full(path, &OF_AN_EARLY_END).map(|()| false),
        Err(e) => {
            Err(obstacle(path)
                .unwrap_or_else(|| StoreError::io(format!("cannot read {}", file.display()), e)))
        }
    }
}

/// Refuses a folder that holds something else than `ours`.
fn refuse_full(path: &Path, ours: &[&str]) -> Result<(), StoreError> {
    match holds(path, ours) {
        Ok(None) => Ok(()),
        Ok(Some(holds)) => Err(StoreError::NotEmpty { folder: path.to_path_buf(), holds }),
        Err(e) => {
            Err(obstacle(path)
                .unwrap_or_else(|| StoreError::io(format!("cannot list {}", path.display()), e)))
        }
    }
}

/// The error for a folder that another process has, as far as its lock file can be read.
pub(super) fn locked(folder: &Path, lock: &File) -> StoreError {
    let mut text = String::new();
    let read = lock.take(20).read_to_string(&mut text);
    let process = read.ok().and_then(|_| text.trim().parse().ok());
    StoreError::Locked { folder: folder.to_path_buf(), process }
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
        let refused = Folder::take(dir.path(), "x");
        assert!(matches!(refused, Err(StoreError::Locked { .. })), "{refused:?}");
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
        assert!(matches!(Folder::take(dir.path(), "x"), Err(StoreError::NotEmpty { .. })));
        assert!(!dir.path().join(LOCK_FILE).exists(), "not even a lock file is left there");
    }

    #[test]
    fn a_fresh_file_system_is_an_empty_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        drop(Folder::create(dir.path()).unwrap());
        drop(Folder::take(dir.path(), "x").unwrap());
    }

    #[test]
    fn an_unfinished_copy_is_not_taken_for_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let copy = Folder::create(dir.path()).unwrap();
        fs::write(dir.path().join("data"), "half").unwrap();
        drop(copy);
        assert!(matches!(Folder::take(dir.path(), "x"), Err(StoreError::NotEmpty { .. })));
        assert!(Folder::create(dir.path()).is_err(), "nor overwritten");
    }
}
