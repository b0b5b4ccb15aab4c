//! The data folder: taken by one process at a time, and marked with what its files are.
//!
//! Invariants: the lock file is held from before the first file is read until the store is dropped; the format
//! record is written before the first record, and replaced as a whole or not at all. Who only looks shares the lock with
//! others who do, and changes nothing. The lock is the operating system's, so it ends with the process, however that ends.
//! A copy that is not finished is removed again, with the folders that were made for it.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::format::{End, Format, Unread};
use super::options::EngineKind;
use super::place::{holds, is_of_the_file_system, make_folder, obstacle};

pub(crate) const LOCK_FILE: &str = "LOCK";
pub(crate) const FORMAT_FILE: &str = "FORMAT";
const NEW_FORMAT_FILE: &str = "FORMAT.new";
/// What takes the place of a stated end where the disk has no room to write anything.
const SPARE_FORMAT_FILE: &str = "FORMAT.spare";
/// What a folder may hold that was never filled: a start that ended early.
const OF_AN_EARLY_END: [&str; 2] = [LOCK_FILE, NEW_FORMAT_FILE];
/// The longest `FORMAT` that is read: it names every file of a folder that ended.
const MAX_FORMAT_BYTES: u64 = 64 << 20;

/// A data folder that this process holds, alone or with others who only look.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    found: Format,
    lock: Hold,
}

/// How a folder is held.
#[derive(Debug)]
enum Hold {
    Alone(Lock),
    Shared { _lock: Option<Lock> },
}

/// A locked file. Dropping it unlocks it: that it is closed would not be enough, since a fork of this process has it open, too.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Folder {
    /// Makes the folder if it is missing, takes it and checks that `engine` may open it. One that is refused is left as it
    /// was.
    pub(crate) fn take(path: &Path, engine: EngineKind) -> Result<Self, StoreError> {
        // Before the lock, so that no lock file is left in a folder of somebody else's; and after it, since it counts then.
        check_format(path, engine)?;
        let lock = lock(path)?;
        let found = match check_format(path, engine)? {
            Some(found) => found,
            None => {
                let new = Format::of(engine, None);
                write_format(path, &new)?;
                new
            }
        };
        if let Some(mode) = crate::sys::open_to_others(path) {
            tracing::warn!(
                "the data folder {} is open to others (mode {mode:o}): with 'chmod 700' only its owner can read it",
                path.display()
            );
        }
        // The process that wrote it may have ended before it was synced.
        sync(path)?;
        Ok(Self { path: path.to_path_buf(), found, lock: Hold::Alone(lock) })
    }

    /// For reading only: makes nothing, and keeps out only those who write. A folder without a lock file has nobody.
    pub(crate) fn look(path: &Path, engine: EngineKind) -> Result<Self, StoreError> {
        let lock = share_lock(path)?;
        let found = read_format(path)?;
        check_engine(path, engine, &found)?;
        Ok(Self { path: path.to_path_buf(), found, lock: Hold::Shared { _lock: lock } })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it said when it was opened.
    pub(crate) fn found(&self) -> &Format {
        &self.found
    }

    /// States the end, durably; no write may follow.
    pub(crate) fn mark_ended(&self, end: End) -> Result<(), StoreError> {
        let engine = self.found.engine;
        write_file(&self.path, SPARE_FORMAT_FILE, &Format::of(engine, None))?;
        write_format(&self.path, &Format::of(engine, Some(end)))
    }

    /// Makes the folder one of the present version that states no end, durably; before the first write.
    pub(crate) fn mark_in_use(&self) -> Result<(), StoreError> {
        match write_format(&self.path, &Format::of(self.found.engine, None)) {
            Err(StoreError::Io { source, what })
                if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                // Reading goes on where nothing can be written. An earlier version's spare would not say what may be written.
                if self.found.version < self.found.engine.format_version() {
                    return Err(StoreError::Io { what, source });
                }
                rename(&self.path, SPARE_FORMAT_FILE).map_err(|_| StoreError::Io { what, source })
            }
            Err(error) => Err(error),
            Ok(()) => {
                let _ = fs::remove_file(self.path.join(SPARE_FORMAT_FILE));
                Ok(())
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Hold::Alone(lock) = &self.lock {
            // Nobody has it any more.
            let _ = lock.0.set_len(0);
        }
    }
}

/// A folder that a copy is made in. Nobody can take it for a data folder before `finish`, and unless
/// [`NewFolder::keep`] is called it is removed again.
#[derive(Debug)]
pub struct NewFolder {
    path: PathBuf,
    /// The folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
    lock: Option<Lock>,
    kept: bool,
}

impl NewFolder {
    /// Makes and takes a folder that holds nothing yet.
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        refuse_full(path)?;
        let missing =
            path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let made = missing.map(Path::to_path_buf).collect();
        let mut new = Self { path: path.to_path_buf(), made, lock: None, kept: false };
        new.lock = Some(lock(path)?);
        Ok(new)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Says that everything is in it, which makes it a data folder, and gives it back.
    pub(crate) fn finish(&mut self, format: &Format) -> Result<(), StoreError> {
        write_format(&self.path, format)?;
        self.lock = None;
        Ok(())
    }

    /// It stays, whatever it is.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // First what makes it a data folder.
        let _ = fs::remove_file(self.path.join(FORMAT_FILE));
        self.lock = None;
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if is_of_the_file_system(&entry.file_name()) {
                continue;
            }
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let path = entry.path();
            let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), %error, "part of a copy that failed stays behind");
            }
        }
        for folder in &self.made {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

fn lock(path: &Path) -> Result<Lock, StoreError> {
    let shown = path.display();
    make_folder(path)?;
    let lock = crate::sys::private(File::options().create(true).truncate(false).read(true).write(true))
        .open(path.join(LOCK_FILE))
        .map_err(|e| StoreError::io(format!("cannot use the data folder {shown}"), e))?;
    locked(path, &lock, lock.try_lock())?;
    // For whoever is refused. A disk that is full is no reason not to start.
    let _ = lock.set_len(0).and_then(|()| writeln!(&lock, "{}", std::process::id()));
    Ok(Lock(lock))
}

/// Keeps servers away from a folder that is only read; one that never had a lock file has no server.
pub(super) fn share_lock(path: &Path) -> Result<Option<Lock>, StoreError> {
    let lock = match File::open(path.join(LOCK_FILE)) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|e| StoreError::io(format!("cannot read {}", path.display()), e))?,
    };
    locked(path, &lock, lock.try_lock_shared())?;
    Ok(Some(Lock(lock)))
}

fn locked(path: &Path, lock: &File, result: Result<(), TryLockError>) -> Result<(), StoreError> {
    match result {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            // Who has it, as far as its lock file can be read.
            let mut text = String::new();
            let read = lock.take(20).read_to_string(&mut text);
            let process = read.ok().and_then(|_| text.trim().parse().ok());
            Err(StoreError::Locked { folder: path.to_path_buf(), process })
        }
        Err(TryLockError::Error(e)) => {
            Err(StoreError::io(format!("cannot lock the data folder {}", path.display()), e))
        }
    }
}

/// The format of the folder, if `engine` may open it: `None` if it has none yet and may get one.
fn check_format(path: &Path, engine: EngineKind) -> Result<Option<Format>, StoreError> {
    match read_format(path) {
        Ok(found) => check_engine(path, engine, &found).map(|()| Some(found)),
        // A folder that holds files of somebody else, or half a copy, is not ours to fill.
        Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            refuse_full(path).map(|()| None)
        }
        Err(StoreError::Io { what, source }) => {
            Err(obstacle(path).unwrap_or(StoreError::Io { what, source }))
        }
        Err(error) => Err(error),
    }
}

/// Refuses a folder that holds something.
fn refuse_full(path: &Path) -> Result<(), StoreError> {
    match holds(path, &OF_AN_EARLY_END) {
        Ok(None) => Ok(()),
        Ok(Some(holds)) => Err(StoreError::NotEmpty { folder: path.to_path_buf(), holds }),
        Err(e) => {
            Err(obstacle(path)
                .unwrap_or_else(|| StoreError::io(format!("cannot list {}", path.display()), e)))
        }
    }
}

/// What the folder says of itself.
pub(super) fn read_format(folder: &Path) -> Result<Format, StoreError> {
    let file = folder.join(FORMAT_FILE);
    let mut found = Vec::new();
    File::open(&file)
        .and_then(|f| f.take(MAX_FORMAT_BYTES).read_to_end(&mut found))
        .map_err(|e| StoreError::io(format!("cannot read {}", file.display()), e))?;
    Format::decode(&String::from_utf8_lossy(&found)).map_err(|unread| match unread {
        Unread::Newer(line) => StoreError::Newer {
            place: folder.display().to_string(),
            what: format!("its format is \"{line}\""),
        },
        Unread::Foreign(found) => StoreError::Format {
            folder: folder.to_path_buf(),
            found,
            expected: "that of a Modb data folder".to_owned(),
        },
        Unread::EndDamaged => StoreError::Corrupt {
            place: FORMAT_FILE.to_owned(),
            what: "it states with what the folder ended, but not as it was written".to_owned(),
        },
    })
}

fn write_format(folder: &Path, format: &Format) -> Result<(), StoreError> {
    write_file(folder, NEW_FORMAT_FILE, format)?;
    rename(folder, NEW_FORMAT_FILE)
        .map_err(|e| StoreError::io(format!("cannot write {}", folder.join(FORMAT_FILE).display()), e))
}

/// Writes a file beside `FORMAT`, synced.
fn write_file(folder: &Path, name: &str, format: &Format) -> Result<(), StoreError> {
    let file = folder.join(name);
    let written = File::create(&file).and_then(|mut f| {
        f.write_all(format.encode().as_bytes())?;
        f.sync_all()
    });
    written.map_err(|e| {
        let _ = fs::remove_file(&file);
        StoreError::io(format!("cannot write {}", file.display()), e)
    })
}

/// Makes the file `FORMAT`, durably.
fn rename(folder: &Path, name: &str) -> io::Result<()> {
    fs::rename(folder.join(name), folder.join(FORMAT_FILE))?;
    crate::sys::sync_folder(folder)
}

fn check_engine(folder: &Path, engine: EngineKind, found: &Format) -> Result<(), StoreError> {
    if found.engine == engine {
        return Ok(());
    }
    Err(StoreError::Format {
        folder: folder.to_path_buf(),
        found: found.first_line(),
        expected: Format::of(engine, None).first_line(),
    })
}

fn sync(folder: &Path) -> Result<(), StoreError> {
    crate::sys::sync_folder(folder)
        .map_err(|e| StoreError::io(format!("cannot sync {}", folder.display()), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path) -> Result<Folder, StoreError> {
        Folder::take(path, EngineKind::Log)
    }

    #[test]
    fn a_folder_is_taken_once_and_free_again_after() {
        let dir = tempfile::tempdir().unwrap();
        let first = take(dir.path()).unwrap();
        assert!(matches!(take(dir.path()), Err(StoreError::Locked { .. })));
        assert!(matches!(Folder::look(dir.path(), EngineKind::Log), Err(StoreError::Locked { .. })));
        drop(first);
        let looks = [(); 2].map(|()| Folder::look(dir.path(), EngineKind::Log).unwrap());
        assert!(matches!(take(dir.path()), Err(StoreError::Locked { .. })), "not while somebody looks");
        drop(looks);
        take(dir.path()).unwrap();
    }

    #[test]
    fn a_folder_of_another_engine_or_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(take(dir.path()).unwrap());
        let error = Folder::take(dir.path(), EngineKind::Fjall).unwrap_err().to_string();
        assert!(error.ends_with("open it with store log"), "{error}");
        fs::write(dir.path().join(FORMAT_FILE), "modb 99 log\n").unwrap();
        let error = take(dir.path()).unwrap_err().to_string();
        assert!(error.contains("modb 99 log") && error.contains("newer version"), "{error}");
        for foreign in ["papyrus\n".into(), [0xff, 7, 0x1b].repeat(80)] {
            fs::write(dir.path().join(FORMAT_FILE), foreign).unwrap();
            let error = take(dir.path()).unwrap_err();
            assert!(matches!(error, StoreError::Format { .. }), "{error}");
            let error = error.to_string();
            assert!(error.contains("did not write it") && !error.chars().any(char::is_control), "{error}");
        }
    }

    #[test]
    fn a_folder_with_foreign_files_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("holiday.jpg"), "x").unwrap();
        assert!(matches!(take(dir.path()), Err(StoreError::NotEmpty { .. })));
        assert!(!dir.path().join(LOCK_FILE).exists(), "not even a lock file is left there");
    }

    #[test]
    fn a_fresh_file_system_is_an_empty_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        drop(NewFolder::create(dir.path()).unwrap());
        assert!(dir.path().join("lost+found").is_dir(), "and it keeps what is its own");
        drop(take(dir.path()).unwrap());
    }

    #[test]
    fn an_unfinished_copy_is_not_taken_for_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let copy = NewFolder::create(dir.path()).unwrap();
        fs::write(dir.path().join("data"), "half").unwrap();
        copy.keep();
        assert!(matches!(take(dir.path()), Err(StoreError::NotEmpty { .. })));
        assert!(NewFolder::create(dir.path()).is_err(), "nor overwritten");
    }

    #[test]
    fn a_copy_that_is_not_kept_leaves_nothing_finished_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a").join("b");
        for finished in [false, true] {
            let mut copy = NewFolder::create(&inner).unwrap();
            fs::create_dir(inner.join("tables")).unwrap();
            fs::write(inner.join("tables").join("1"), "x").unwrap();
            if finished {
                copy.finish(&Format::of(EngineKind::Log, None)).unwrap();
            }
            drop(copy);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "the folders are gone as well");
        }
        fs::create_dir_all(&inner).unwrap();
        drop(NewFolder::create(&inner).unwrap());
        assert!(inner.is_dir(), "but not what was there before");
    }
}
