//! The files of the log that hold nothing of worth, and how one is made ready for its next use.
//!
//! Invariant: a file is ready once its head, with a seal that it never had before, is on the disk. Only then are chunks
//! written to it; see `file_head`. One that could not be made for want of space is removed, since each try would take some
//! of the space that is waited for.

use std::sync::Arc;

use crate::store::log::chunk::Seal;
use crate::store::log::disk::{Disk, DiskFile, ZEROS};
use crate::store::log::file_head;

/// Files that are kept for the next segments: about as many as a flush frees.
const SPARE_FILES: usize = 8;
/// Of these so many are made ready ahead of need, so that no turn waits for it.
const READY_FILES: usize = 2;
const PREFIX: &str = "log-";

/// Whether a file of this name is one of the log's.
pub(crate) fn is_log_file(name: &str) -> bool {
    number(name).is_some()
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// A file that chunks may be written to.
pub(super) struct Ready {
    pub(super) name: String,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) seal: Seal,
}

/// A name to make a file of.
pub(super) enum Raw {
    /// Of a file that is there, and was used before.
    Used(String),
    New(String),
}

impl Raw {
    /// Makes the file ready, synced, its name too. A new one is written through with zeros up to `zeroed_bytes`, so that its syncs
    /// change no metadata. On an error nothing of a new one is left.
    pub(super) fn prepare(&self, disk: &dyn Disk, zeroed_bytes: u64) -> std::io::Result<Ready> {
        let (Self::Used(name) | Self::New(name)) = self;
        let prepared = match self {
            Self::Used(_) => prepare(disk, name, 0),
            Self::New(_) => {
                prepare(disk, name, zeroed_bytes).and_then(|ready| disk.sync_names().map(|()| ready))
            }
        };
        if prepared.is_err()
            && let Self::New(_) = self
            && let Err(error) = disk.remove(name)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%name, %error, "a file that could not be made ready for the log stays behind");
        }
        prepared
    }
}

fn prepare(disk: &dyn Disk, name: &str, zeroed_bytes: u64) -> std::io::Result<Ready> {
    let seal = Seal::random()?;
    let file = disk.open(name)?;
    let mut at = 0;
    while at < zeroed_bytes {
        let bytes = (zeroed_bytes - at).min(ZEROS.len() as u64);
        file.write_at(at, &ZEROS[..bytes as usize])?;
        at += bytes;
    }
    file.write_at(0, &file_head::encode(seal))?;
    file.sync()?;
    Ok(Ready { name: name.to_owned(), file, seal })
}

/// See the top of this file.
pub(super) struct Pool {
    ready: Vec<Ready>,
    used: Vec<String>,
    /// To be deleted.
    surplus: Vec<String>,
    next_number: u64,
}

impl Pool {
    /// `taken` are the names of all files that are there, `used` of those with nothing of worth.
    pub(super) fn new<'a>(taken: impl Iterator<Item = &'a String>, used: Vec<String>) -> Self {
        let highest = taken
            .filter_map(|name| number(name))
            .max()
            .max(used.iter().filter_map(|name| number(name)).max());
        let next_number = highest.map_or(1, |n| n + 1);
        Self { ready: Vec::new(), used, surplus: Vec::new(), next_number }
    }

    pub(super) fn is_short(&self) -> bool {
        self.ready.len() < READY_FILES
    }

    pub(super) fn take_ready(&mut self) -> Option<Ready> {
        self.ready.pop()
    }

    pub(super) fn take_raw(&mut self) -> Raw {
        self.used.pop().map_or_else(
            || {
                let name = format!("{PREFIX}{:06}", self.next_number);
                self.next_number += 1;
                Raw::New(name)
            },
            Raw::Used,
        )
    }

    /// Gives a file back.
    pub(super) fn put_ready(&mut self, ready: Ready) {
        self.ready.push(ready);
    }

    /// Gives back what could not be made ready.
    pub(super) fn put_raw(&mut self, raw: Raw) {
        if let Raw::Used(name) = raw {
            self.used.push(name);
        }
    }

    /// Takes in a file whose use is over; one that is too large is not used again.
    pub(super) fn put_used(&mut self, name: String, is_too_large: bool) {
        if is_too_large || self.ready.len() + self.used.len() >= SPARE_FILES {
            self.surplus.push(name);
        } else {
            self.used.push(name);
        }
    }

    /// Takes those that are to be deleted; one that cannot be comes back.
    pub(super) fn take_surplus(&mut self) -> Vec<String> {
        std::mem::take(&mut self.surplus)
    }

    pub(super) fn put_surplus(&mut self, name: String) {
        self.surplus.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_log_gives_are_its_files() {
        for name in ["log-000001", "log-1000000", "log-1"] {
            assert!(is_log_file(name), "{name}");
        }
        for name in
            ["log-000001.bak", "log-", "log-x", "log-+1", "log", "xlog-000001", "log-99999999999999999999"]
        {
            assert!(!is_log_file(name), "{name}");
        }
    }
}
