//! The end of a folder, found out and held to: which files there are, how large, with what in them.
//!
//! Invariant: a folder that states its end is opened only with every file of it there, and with the commit and the counters
//! that it names; nothing that is missing is taken for never written.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::format::{End, EndFile};
use super::{Counter, StoreError};

/// Bytes that are read in one go.
const PIECE_BYTES: usize = 1 << 20;
/// Files up to this size have their checksum stated when a folder is closed; a larger one has its own.
const SMALL_BYTES: u64 = 64 << 10;

/// How closely files are held to what is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// They are there and have their size.
    Sizes,
    /// Their bytes are those that were stated, where a checksum was.
    Bytes,
}

impl End {
    /// Of a copy in `folder`, which needs the files `names`: each with its checksum. `known` are those that were read already.
    pub(crate) fn of_copy(
        folder: &Path,
        names: Vec<String>,
        known: Vec<EndFile>,
        commit: u64,
        counters: &HashMap<Counter, i64>,
    ) -> Result<Self, StoreError> {
        let mut known: HashMap<String, EndFile> =
            known.into_iter().map(|file| (file.name.clone(), file)).collect();
        let files = names.into_iter().map(|name| {
            if let Some(file) = known.remove(&name) {
                return Ok(file);
            }
            let (bytes, crc) = checksum(folder, &name)?;
            Ok(EndFile { name, bytes, crc: Some(crc) })
        });
        Ok(Self { commit, counters: not_zero(counters), files: files.collect::<Result<_, StoreError>>()? })
    }

    /// Of a folder that is closed: it needs the files `names`.
    pub(crate) fn of_closed(
        folder: &Path,
        names: Vec<String>,
        commit: u64,
        counters: &HashMap<Counter, i64>,
    ) -> Result<Self, StoreError> {
        let files = names.into_iter().map(|name| {
            let bytes = fs::metadata(folder.join(&name)).map_err(|e| cannot_read(&name, e))?.len();
            let crc = if bytes <= SMALL_BYTES { Some(checksum(folder, &name)?.1) } else { None };
            Ok(EndFile { name, bytes, crc })
        });
        Ok(Self { commit, counters: not_zero(counters), files: files.collect::<Result<_, StoreError>>()? })
    }

    /// Whether the files are there.
    pub(crate) fn check_files(&self, folder: &Path, depth: Depth) -> Result<(), StoreError> {
        self.files.iter().try_for_each(|file| {
            let found = match fs::metadata(folder.join(&file.name)) {
                Ok(found) => found.len(),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return Err(damaged(&file.name, "it is missing".to_owned()));
                }
                Err(e) => return Err(cannot_read(&file.name, e)),
            };
            if found != file.bytes {
                let what = format!("it has {found} bytes, {} were written", file.bytes);
                return Err(damaged(&file.name, what));
            }
            match depth {
                Depth::Bytes if file.crc.is_some() => file.check_crc(checksum(folder, &file.name)?.1),
                _ => Ok(()),
            }
        })
    }

    /// Whether what was found in the files is what was in them.
    pub(crate) fn check_contents(
        &self,
        commit: u64,
        counters: &HashMap<Counter, i64>,
    ) -> Result<(), StoreError> {
        if commit != self.commit {
            let what = format!("the last commit that is there is {commit}, it ended with {}", self.commit);
            return Err(damaged(self.last_log_file(), what));
        }
        let counters = not_zero(counters);
        if counters != self.counters {
            let what = "the counters are not those with which it ended".to_owned();
            return Err(damaged(self.last_log_file(), what));
        }
        Ok(())
    }

    /// Where the last commit must be, unless it is in the tables.
    fn last_log_file(&self) -> &str {
        let last = self.files.iter().rev().find(|file| file.name.starts_with("log/"));
        last.map_or("log", |file| &file.name)
    }
}

impl EndFile {
    /// Whether `found` is its checksum.
    pub(crate) fn check_crc(&self, found: u32) -> Result<(), StoreError> {
        match self.crc {
            Some(crc) if crc != found => {
                Err(damaged(&self.name, "its bytes are not those that were written".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

fn not_zero(counters: &HashMap<Counter, i64>) -> BTreeMap<Counter, i64> {
    counters.iter().filter(|(_, value)| **value != 0).map(|(counter, value)| (*counter, *value)).collect()
}

/// The size of a file and the CRC-32C of its bytes.
fn checksum(folder: &Path, name: &str) -> Result<(u64, u32), StoreError> {
    let failed = |e| cannot_read(name, e);
    let mut file = File::open(folder.join(name)).map_err(failed)?;
    let mut piece = vec![0; PIECE_BYTES];
    let (mut bytes, mut crc) = (0, 0);
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok((bytes, crc)),
            n => {
                crc = crc32c::crc32c_append(crc, &piece[..n]);
                bytes += n as u64;
            }
        }
    }
}

fn damaged(name: &str, what: String) -> StoreError {
    StoreError::Corrupt { place: name.to_owned(), what }
}

fn cannot_read(name: &str, error: io::Error) -> StoreError {
    StoreError::io(format!("cannot read {name}"), error)
}
