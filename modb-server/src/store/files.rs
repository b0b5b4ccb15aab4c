//! A data folder seen as files, without opening it: which engine made it, how large it is, and a copy of one at rest.
//!
//! Invariant: a copy has its format record last, so that half a copy is never taken for a data folder.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::folder::{FORMAT_FILE, Folder, LOCK_FILE, locked};
use super::options::EngineKind;
use super::place::{is_of_the_file_system, what_is_there};

/// Bytes that are copied in one go.
const COPY_BYTES: usize = 1 << 20;

/// The engine that made `folder`, by its format record. Makes and changes nothing.
///
/// # Errors
/// If there is no such folder, or it is no data folder of this format.
pub fn engine_of(folder: &Path) -> Result<EngineKind, StoreError> {
    let file = folder.join(FORMAT_FILE);
    let failed = |e: io::Error| {
        let why = match what_is_there(folder) {
            Some(why) => why,
            None if e.kind() != ErrorKind::NotFound => return cannot("read", &file, e),
            None if folder.is_dir() => format!("it holds no data of Modb (no file {FORMAT_FILE})"),
            None => "there is no such folder".to_owned(),
        };
        StoreError::NoData { folder: folder.to_path_buf(), why }
    };
    let mut found = Vec::new();
    File::open(&file).and_then(|f| f.take(256).read_to_end(&mut found)).map_err(failed)?;
    let found = String::from_utf8_lossy(&found).trim().to_owned();
    let engine = found.rsplit(' ').next().and_then(|name| name.parse().ok());
    engine.ok_or_else(|| StoreError::Format {
        folder: folder.to_path_buf(),
        found,
        expected: "that of a Modb data folder".to_owned(),
    })
}

/// The bytes of all files in and below `folder`. What appears or disappears meanwhile may or may not count.
pub fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => folder_bytes(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Copies the data folder `from`, which nobody uses, into `to`, which is empty or not there. Synced when it returns.
///
/// # Errors
/// If `from` is in use or no data folder, or `to` holds something; if a file cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> Result<(), StoreError> {
    engine_of(from)?;
    let _source = share_lock(from)?;
    let target = Folder::create(to)?;
    copy_files(from, to)?;
    target.mark_as(&fs::read_to_string(from.join(FORMAT_FILE)).map_err(|e| cannot("read", from, e))?)
}

/// Makes a data folder one that no server opens: for a copy that turned out to be damaged.
///
/// # Errors
/// If the format record cannot be removed.
pub fn unmark(folder: &Path) -> Result<(), StoreError> {
    fs::remove_file(folder.join(FORMAT_FILE)).map_err(|e| cannot("change", folder, e))
}

/// Keeps servers away from a folder that is only read; one that never had a lock file has no server.
fn share_lock(folder: &Path) -> Result<Option<File>, StoreError> {
    let file = match File::open(folder.join(LOCK_FILE)) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|e| cannot("read", folder, e))?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(locked(folder, &file)),
        Err(TryLockError::Error(e)) => Err(cannot("lock", folder, e)),
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(from).map_err(|e| cannot("list", from, e))? {
        let entry = entry.map_err(|e| cannot("list", from, e))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let name = entry.file_name();
        if name == LOCK_FILE || name == FORMAT_FILE || is_of_the_file_system(&name) {
            continue;
        }
        if entry.file_type().map_err(|e| cannot("read", &source, e))?.is_dir() {
            crate::sys::make_private_folder(&target).map_err(|e| cannot("make", &target, e))?;
            copy_files(&source, &target)?;
        } else {
            copy_file(&source, &target)?;
        }
    }
    crate::sys::sync_folder(to).map_err(|e| cannot("sync", to, e))
}

fn copy_file(source: &PathBuf, target: &PathBuf) -> Result<(), StoreError> {
    let mut input = File::open(source).map_err(|e| cannot("read", source, e))?;
    let mut output = crate::sys::private(File::options().write(true).create_new(true))
        .open(target)
        .map_err(|e| cannot("make", target, e))?;
    let mut bytes = vec![0; COPY_BYTES];
    loop {
        let read = input.read(&mut bytes).map_err(|e| cannot("read", source, e))?;
        if read == 0 {
            return output.sync_all().map_err(|e| cannot("sync", target, e));
        }
        output.write_all(&bytes[..read]).map_err(|e| cannot("write", target, e))?;
    }
}

fn cannot(what: &str, path: &Path, error: io::Error) -> StoreError {
    StoreError::io(format!("cannot {what} {}", path.display()), error)
}
