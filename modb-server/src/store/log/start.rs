//! From what a folder holds to an engine: for writing, or only to look.
//!
//! The order is what keeps the promises. Everything is read first, and held to the end that the folder states, if it does;
//! then that statement is taken away, durably; then the torn end is cut off, what was perhaps never synced is written
//! again, and all of it is synced, names too, before a commit of it is acknowledged once more.
//!
//! A folder of version 1 is brought to version 2 here, and nowhere else: its log is replayed and flushed into the tables, its
//! files are removed, which hold nothing of worth then, and last the version is written. Whenever that is interrupted the
//! folder is still a whole one of version 1, or already one of version 2.
//!
//! Memory: a log that is larger than the memory allows is flushed on the way. Whoever only looks cannot, and holds it.

use std::sync::Arc;

use super::cold::Cold;
use super::commit::{self, Logged};
use super::disk::{self, Disk};
use super::engine::{Engine, Tuning, put_into};
use super::recover::{self, Reading, Version, repair};
use super::table::{Lookup, Table};
use super::writer::{Found, Log, Position};
use crate::store::format::{End, Format};
use crate::store::{StoreError, Write};

/// Sorted runs in the tables above which they are merged before more are added.
const MAX_RUNS: usize = 24;
/// At most this many times its bytes in the log are a record's in memory.
const MEMORY_PER_LOG: u64 = 8;

/// What an engine is made of.
pub(super) struct Parts {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) cold: Arc<dyn Cold>,
    pub(super) tuning: Tuning,
}

/// What the folder said of itself.
pub(super) struct Before {
    pub(super) version: Version,
    pub(super) end: Option<End>,
}

impl Before {
    pub(super) fn of(format: &Format) -> Self {
        let version = if format.version == 1 { Version::One } else { Version::Two };
        Self { version, end: format.end.clone() }
    }

    fn log_bytes(&self) -> u64 {
        let files = self.end.iter().flat_map(|end| &end.files);
        files.filter(|file| file.name.starts_with("log/")).map(|file| file.bytes).sum()
    }

    /// Whether everything is there.
    fn check(&self, reading: &Reading, accept_data_loss: bool) -> Result<(), StoreError> {
        reading.judge(accept_data_loss)?;
        let Some(end) = &self.end else { return Ok(()) };
        match end.check_contents(reading.position.seq, &reading.position.counters) {
            Err(error) if accept_data_loss => {
                tracing::error!(%error, "opened with data loss, as asked");
                Ok(())
            }
            checked => checked,
        }
    }
}

/// Opens for writing. `mark` makes the folder one of version 2 that states no end, durably.
pub(super) fn start(
    parts: Parts,
    before: &Before,
    accept_data_loss: bool,
    mark: &mut dyn FnMut() -> Result<(), StoreError>,
) -> Result<Engine, StoreError> {
    let Parts { disk, cold, tuning } = parts;
    let position = cold.position()?;
    let mut ended = before.end.is_some();
    if ended && before.log_bytes() > tuning.flush_bytes() as u64 / MEMORY_PER_LOG {
        // It may have to be flushed on the way, which changes files: first everything must be known to be there.
        let reading = recover::read(&*disk, before.version, position.clone(), &mut |_, _| Ok(()))?;
        before.check(&reading, accept_data_loss)?;
        mark()?;
        ended = false;
    }
    let mut replay = Replay::new(&*cold, tuning, position.seq);
    let reading = recover::read(&*disk, before.version, position, &mut |position, writes| {
        replay.commit(position, writes)?;
        if ended { Ok(()) } else { replay.make_room(position) }
    })?;
    before.check(&reading, accept_data_loss)?;
    let found = if before.version == Version::One {
        replay.flush(&reading.position)?;
        remove_files(&*disk, &reading)?;
        mark()?;
        Found { position: reading.position, ..Found::default() }
    } else {
        if ended {
            mark()?;
        }
        repair::repair(&*disk, reading, replay.flushed_seq, before.end.is_some())?
    };
    let Replay { table, flushed_seq, .. } = replay;
    let log = Log::new(Arc::clone(&disk), tuning.segment_bytes, found);
    // What a process left unsynced is acknowledged again by whoever reads it now.
    log.sync()?;
    Ok(Engine::new(log, table, cold, disk, tuning, flushed_seq))
}

/// Opens for reading: nothing is changed, and the engine must not be asked for anything that would.
pub(super) fn look(parts: Parts, before: &Before, accept_data_loss: bool) -> Result<Engine, StoreError> {
    let Parts { disk, cold, tuning } = parts;
    let position = cold.position()?;
    let replay = Replay::new(&*cold, tuning, position.seq);
    let reading = recover::read(&*disk, before.version, position, &mut |position, writes| {
        replay.commit(position, writes)
    })?;
    before.check(&reading, accept_data_loss)?;
    let Replay { table, flushed_seq, .. } = replay;
    let found = Found { position: reading.position, ..Found::default() };
    let log = Log::new(Arc::clone(&disk), tuning.segment_bytes, found);
    Ok(Engine::new(log, table, cold, disk, tuning, flushed_seq))
}

/// Their commits are in the tables, synced.
fn remove_files(disk: &dyn Disk, reading: &Reading) -> Result<(), StoreError> {
    for file in &reading.files {
        disk.remove(&file.name).map_err(|e| StoreError::io(format!("cannot delete {}", file.name), e))?;
    }
    disk.sync_names().map_err(|e| StoreError::io("cannot sync the log's folder", e))
}

/// Commits on their way from the log into the table.
struct Replay<'a> {
    cold: &'a dyn Cold,
    table: Table,
    tuning: Tuning,
    began_seq: u64,
    /// The position of the tables.
    flushed_seq: u64,
    /// The disk had no room for a flush: the rest stays in memory.
    is_full: bool,
}

impl<'a> Replay<'a> {
    fn new(cold: &'a dyn Cold, tuning: Tuning, flushed_seq: u64) -> Self {
        let table = Table::new(tuning.table_bytes);
        Self { cold, table, tuning, began_seq: flushed_seq, flushed_seq, is_full: false }
    }

    fn commit(&self, position: &Position, writes: Vec<Logged>) -> Result<(), StoreError> {
        for write in writes {
            let write = match write {
                Logged::Whole(write) => write,
                Logged::Patch(key, splices) => {
                    let before = match self.table.get(&key) {
                        Lookup::Found(value, _) => value,
                        // Put whole before a flush on the way.
                        Lookup::Unknown(_) if self.flushed_seq > self.began_seq => self.cold.get(&key)?,
                        Lookup::Unknown(_) => None,
                    };
                    let after = before.and_then(|before| commit::patched(&before, &splices));
                    let after = after.ok_or_else(|| StoreError::Corrupt {
                        place: "log".to_owned(),
                        what: format!(
                            "commit {} changes a record that is not there, or is shorter",
                            position.seq
                        ),
                    })?;
                    Write::Put(key, after)
                }
            };
            put_into(&self.table, position.seq, &[write]);
        }
        Ok(())
    }

    /// Flushes if there is more than memory allows.
    fn make_room(&mut self, position: &Position) -> Result<(), StoreError> {
        if self.is_full || self.table.dirty_bytes() <= self.tuning.flush_bytes() {
            return Ok(());
        }
        match self.flush(position) {
            Err(StoreError::Io { source, what }) if disk::is_full(&source) => {
                tracing::warn!(%what, "no room to flush while starting: the whole log is held in memory");
                self.is_full = true;
                self.table.flush_failed();
                Ok(())
            }
            flushed => flushed,
        }
    }

    /// Moves everything into the tables. Nothing of it is newer than `position`, so nothing need be synced before.
    fn flush(&mut self, position: &Position) -> Result<(), StoreError> {
        if position.seq == self.flushed_seq {
            return Ok(());
        }
        while self.cold.runs() > MAX_RUNS && self.cold.compact_step()? {}
        self.cold.ingest(position, &mut self.table.flush_run().map(Ok), &mut || Ok(()))?;
        self.flushed_seq = position.seq;
        self.table.flushed();
        Ok(())
    }
}
