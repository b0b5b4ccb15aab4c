//! A copy of a folder from its files. Table files never change, so they are linked, or copied where that cannot be or is not
//! wanted; the log's files are copied up to where their chunks end. In either case each is read once and held to its
//! checksum.
//!
//! Why it is whole, though nobody waits for it: first the log's files are pinned, so that none is used again; then
//! the tables, whose position is at or behind the start of those files; then what was committed is written out, and only
//! now the ends of the files are looked at. So the log goes at least as far as the newest record in the tables, which was
//! written before they were published. What the copy states as its end is what was found in it.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use lsm_tree::checksum::ChecksummedWriter;

use super::cold::{Cold as _, PinnedFile, PinnedTables};
use super::disk::Disk;
use super::engine::Engine;
use super::folders::{LOG_FOLDER, TABLES_FOLDER, log_folder, open_tables, sync_folders};
use super::recover::{self, Version};
use crate::store::format::{End, EndFile};
use crate::store::{BackupKind, StoreError};

/// Bytes that are read in one go.
const PIECE_BYTES: usize = 1 << 20;
/// Of the copy, while it is looked at.
const BLOCK_CACHE_BYTES: u64 = 1 << 20;

/// The files of a folder that nobody writes to.
pub(super) struct AtRest {
    pub(super) tables: PinnedTables,
    /// Those of the log, and where the chunks of each end.
    pub(super) log: Vec<(String, u64)>,
}

/// Copies a folder that is written to; the end of the copy. `write_out` hands what is committed to the system.
pub(super) fn copy_in_use(
    engine: &Engine,
    from: &Path,
    to: &Path,
    kind: BackupKind,
    write_out: impl FnOnce() -> Result<(), StoreError>,
) -> Result<End, StoreError> {
    let log = engine.log.pin();
    let tables = engine.cold.pin()?;
    write_out()?;
    copy_log(&*engine.disk, &log.segments(), to)?;
    drop(log);
    let linked = tables.copy(&from.join(TABLES_FOLDER), &to.join(TABLES_FOLDER), kind)?;
    drop(tables);
    end_of(to, linked)
}

/// Copies a folder that nobody writes to; the end of the copy.
pub(super) fn copy_at_rest(
    disk: &dyn Disk,
    files: &AtRest,
    from: &Path,
    to: &Path,
    kind: BackupKind,
) -> Result<End, StoreError> {
    copy_log(disk, &files.log, to)?;
    end_of(to, files.tables.copy(&from.join(TABLES_FOLDER), &to.join(TABLES_FOLDER), kind)?)
}

/// Writes everything that is there into tables of the present version.
pub(super) fn merge(engine: &Engine, to: &Path) -> Result<End, StoreError> {
    let tables = open_tables(&to.join(TABLES_FOLDER), BLOCK_CACHE_BYTES)?;
    engine.merge_into(&tables)?;
    drop(tables);
    log_folder(to)?;
    end_of(to, Vec::new())
}

fn copy_log(from: &dyn Disk, segments: &[(String, u64)], to: &Path) -> Result<(), StoreError> {
    recover::copy_segments(from, &log_folder(to)?, segments)
}

/// What is in the copy, not what should be; `known` are files whose checksums are known.
fn end_of(copy: &Path, known: Vec<EndFile>) -> Result<End, StoreError> {
    // This removes what making it has left, if anything.
    let tables = open_tables(&copy.join(TABLES_FOLDER), BLOCK_CACHE_BYTES)?;
    let log = log_folder(copy)?;
    let reading = recover::read(&log, Version::Two, tables.position()?, &mut |_, _| Ok(()))?;
    reading.judge(false)?;
    sync_folders(copy)?;
    let log = reading.files.iter().map(|file| format!("{LOG_FOLDER}/{}", file.name));
    let tables = tables.files().into_iter().map(|name| format!("{TABLES_FOLDER}/{name}"));
    End::of_copy(copy, log.chain(tables).collect(), known, reading.position.seq, &reading.position.counters)
}

impl PinnedTables {
    /// Puts them into another folder, synced but for the names; which and how large they are.
    pub(super) fn copy(&self, from: &Path, to: &Path, kind: BackupKind) -> Result<Vec<EndFile>, StoreError> {
        make_folder(to)?;
        for folder in self.folders() {
            make_folder(&to.join(folder))?;
        }
        let (mut kind, mut files) = (kind, Vec::new());
        for file in &self.files {
            let (file, how) = file.copy(from, to, kind)?;
            if files.is_empty() {
                // Where the first cannot have a name in both folders, none can, and none is read for it.
                kind = how;
            }
            files.push(file);
        }
        for (name, list) in &self.lists {
            let target = to.join(name);
            let written = crate::sys::private(File::options().write(true).create_new(true))
                .open(&target)
                .and_then(|mut file| file.write_all(list).and_then(|()| file.sync_all()));
            written.map_err(|e| cannot("write", &target, e))?;
        }
        Ok(files)
    }
}

impl PinnedFile {
    /// What it is in the copy, and how it came there. One that is linked is read before: no damaged file gets a second name.
    fn copy(&self, from: &Path, to: &Path, kind: BackupKind) -> Result<(EndFile, BackupKind), StoreError> {
        let (source, target) = (from.join(&self.name), to.join(&self.name));
        let mut output = match kind {
            BackupKind::Linked => None,
            BackupKind::Full => {
                let opened = crate::sys::private(File::options().write(true).create_new(true)).open(&target);
                Some(opened.map_err(|e| cannot("make", &target, e))?)
            }
        };
        let mut input = File::open(&source).map_err(|e| cannot("read", &source, e))?;
        let mut piece = vec![0; PIECE_BYTES];
        let (mut bytes, mut crc, mut whole) = (0, 0, ChecksummedWriter::new(io::sink()));
        loop {
            let read = match input.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => &piece[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(cannot("read", &source, error)),
            };
            bytes += read.len() as u64;
            crc = crc32c::crc32c_append(crc, read);
            whole.write_all(read).map_err(|e| cannot("read", &source, e))?;
            if let Some(output) = &mut output {
                output.write_all(read).map_err(|e| cannot("write", &target, e))?;
            }
        }
        if let Some(output) = output {
            output.sync_all().map_err(|e| cannot("sync", &target, e))?;
        }
        let name = format!("{TABLES_FOLDER}/{}", self.name);
        if whole.checksum().into_u128() != self.checksum {
            let what = "its bytes are not those that were written".to_owned();
            return Err(StoreError::Corrupt { place: name, what });
        }
        if kind == BackupKind::Linked && fs::hard_link(&source, &target).is_err() {
            // It may have as many names as it can.
            return self.copy(from, to, BackupKind::Full);
        }
        Ok((EndFile { name, bytes, crc: Some(crc) }, kind))
    }
}

/// Unless it is there.
fn make_folder(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    crate::sys::make_private_folder(folder).map_err(|e| cannot("make", folder, e))
}

fn cannot(what: &str, path: &Path, error: io::Error) -> StoreError {
    StoreError::io(format!("cannot {what} {}", path.display()), error)
}
