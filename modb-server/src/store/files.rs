//! A data folder seen as files, without opening it: which engine made it, how large it is, and a copy of one at rest.
//!
//! Invariant: a copy has its format record last, so that half a copy is never taken for a data folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::end::Depth;
use super::folder::{FORMAT_FILE, LOCK_FILE, NewFolder, read_format, share_lock};
use super::format::End;
use super::options::EngineKind;
use super::place::{is_of_the_file_system, what_is_there};
use super::whose::explained;

/// Bytes that are copied in one go.
const COPY_BYTES: usize = 1 << 20;

/// The engine that made `folder`, by its format record. Makes and changes nothing.
///
/// # Errors
/// If there is no such folder, or it is no data folder of this format.
pub fn engine_of(folder: &Path) -> Result<EngineKind, StoreError> {
    let (what, source) = match read_format(folder) {
        Ok(format) => return Ok(format.engine),
        Err(StoreError::Io { what, source }) => (what, source),
        Err(error) => return Err(error),
    };
    let why = match what_is_there(folder) {
        Some(why) => why,
        None if source.kind() != ErrorKind::NotFound => {
            return Err(explained(StoreError::Io { what, source }, folder));
        }
        None if folder.is_dir() => format!("it holds no data of Modb (no file {FORMAT_FILE})"),
        None => "there is no such folder".to_owned(),
    };
    Err(StoreError::NoData { folder: folder.to_path_buf(), why })
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

/// Copies the data folder `from`, which nobody uses, into `to`, which is empty or not there. Synced when it returns; what is
/// copied is what `from` says it ended with, if it does. The copy is gone again unless it is kept.
///
/// # Errors
/// If `from` is in use, damaged or no data folder, or `to` holds something; if a file cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> Result<NewFolder, StoreError> {
    engine_of(from)?;
    let _source = share_lock(from).map_err(|e| explained(e, from))?;
    let format = read_format(from)?;
    let mut target = NewFolder::create(to).map_err(|e| explained(e, to))?;
    match &format.end {
        Some(end) => {
            end.check_files(from, Depth::Sizes)?;
            copy_stated(end, from, to).map_err(|e| explained(e, from))?;
        }
        None => copy_files(from, to).map_err(|e| explained(e, from))?,
    }
    target.finish(&format)?;
    Ok(target)
}

fn copy_stated(end: &End, from: &Path, to: &Path) -> Result<(), StoreError> {
    let folders: BTreeSet<PathBuf> = end
        .files
        .iter()
        .flat_map(|file| Path::new(&file.name).ancestors().skip(1))
        .map(|folder| to.join(folder))
        .collect();
    for folder in folders.iter().filter(|folder| !folder.is_dir()) {
        crate::sys::make_private_folder(folder).map_err(|e| cannot("make", folder, e))?;
    }
    for file in &end.files {
        file.check_crc(copy_file(&from.join(&file.name), &to.join(&file.name))?)?;
    }
    folders
        .iter()
        .try_for_each(|folder| crate::sys::sync_folder(folder).map_err(|e| cannot("sync", folder, e)))
}

fn copy_files(from: &Path, to: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(from).map_err(|e| cannot("list", from, e))? {
        let entry = entry.map_err(|e| cannot("list", from, e))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let name = entry.file_name().to_string_lossy().into_owned();
        // And what may lie beside that, from a moment in which it was written.
        if name == LOCK_FILE || name.starts_with(FORMAT_FILE) || is_of_the_file_system(&entry.file_name()) {
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

/// The CRC-32C of its bytes.
fn copy_file(source: &Path, target: &Path) -> Result<u32, StoreError> {
    let mut input = File::open(source).map_err(|e| cannot("read", source, e))?;
    let mut output = crate::sys::private(File::options().write(true).create_new(true))
        .open(target)
        .map_err(|e| cannot("make", target, e))?;
    let mut bytes = vec![0; COPY_BYTES];
    let mut crc = 0;
    loop {
        let read = input.read(&mut bytes).map_err(|e| cannot("read", source, e))?;
        if read == 0 {
            return output.sync_all().map(|()| crc).map_err(|e| cannot("sync", target, e));
        }
        crc = crc32c::crc32c_append(crc, &bytes[..read]);
        output.write_all(&bytes[..read]).map_err(|e| cannot("write", target, e))?;
    }
}

fn cannot(what: &str, path: &Path, error: io::Error) -> StoreError {
    StoreError::io(format!("cannot {what} {}", path.display()), error)
}
