//! From what a folder holds to an engine: for writing, or only to look.
//!
//! The order is what keeps the promises. Everything is read first, and held to the end that the folder states, if it does: a
//! start that is refused has changed nothing. Then that statement is taken away, durably; then the torn end is cut off,
//! what was perhaps never synced is written again, and all of it is synced, names too, before a commit of it is
//! acknowledged once more.
//!
//! A folder of an earlier version is brought forward here, and nowhere else. The log of version 1 is replayed and flushed into the tables, its
//! files are removed, which hold nothing of worth then, and last the version is written. Whenever that is interrupted the
//! folder is still a whole one of version 1, or already one of the present. What version 2 has is no different now: only the version is written, before
//! anything that it did not know.
//!
//! Memory: a log that is larger than the memory allows is flushed on the way. A start that must do so reads the log once more
//! before, to know that it will not be refused.

use std::sync::Arc;

use bytes::Bytes;

use super::cold::Cold;
use super::commit::Logged;
use super::disk::{self, Disk};
use super::engine::{Engine, Tuning, put_into};
use super::recover::{self, Reading, Version, repair};
use super::table::{Lookup, Table};
use super::writer::{Found, Log, Position};
use crate::store::format::{End, Format};
use crate::store::{StoreError, Write};

/// What an engine is made of.
pub(super) struct Parts {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) tables: Tables,
    pub(super) tuning: Tuning,
}

/// The tables, and what may be done with them.
pub(super) enum Tables {
    /// To read them.
    Seen(Arc<dyn Cold>),
    /// To change them.
    Own(Arc<dyn Cold>),
}

impl Tables {
    fn cold(&self) -> &Arc<dyn Cold> {
        let (Self::Seen(cold) | Self::Own(cold)) = self;
        cold
    }
}

/// Who may change a folder, when it is time.
pub(super) trait Owner {
    /// Makes the folder one of the present version that states no end, durably.
    fn mark_in_use(&mut self) -> Result<(), StoreError>;

    /// The same tables, to be changed from now on, and the log's folder.
    fn take_tables(&mut self) -> Result<Arc<dyn Cold>, StoreError>;
}

/// What the folder said of itself.
pub(super) struct Before {
    /// Of its log.
    pub(super) version: Version,
    /// Its tables may hold what the version that it states does not know.
    pub(super) is_current: bool,
    pub(super) end: Option<End>,
}

impl Before {
    pub(super) fn of(format: &Format) -> Self {
        let version = if format.version == 1 { Version::One } else { Version::Two };
        let is_current = format.version == format.engine.format_version();
        Self { version, is_current, end: format.end.clone() }
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

/// Opens for writing.
pub(super) fn start(
    parts: Parts,
    before: &Before,
    accept_data_loss: bool,
    owner: &mut dyn Owner,
) -> Result<Engine, StoreError> {
    let Parts { disk, tables, tuning } = parts;
    let position = tables.cold().position()?;
    let read = |replay: &mut recover::Replay| recover::read(&*disk, before.version, position.clone(), replay);
    let check = |reading: &Reading| before.check(reading, accept_data_loss);
    let mut take = |reading: Option<&Reading>| {
        match reading {
            Some(reading) => check(reading)?,
            None => check(&read(&mut |_, _| Ok(()))?)?,
        }
        if before.version == Version::Two && (before.end.is_some() || !before.is_current) {
            owner.mark_in_use()?;
        }
        owner.take_tables()
    };
    let mut replay = Replay::new(tables, Some(&mut take), tuning, position.seq);
    let reading = read(&mut |position, writes| {
        replay.commit(position, writes)?;
        replay.make_room(position)
    })?;
    replay.own(Some(&reading))?;
    if before.version == Version::One {
        replay.flush(&reading.position)?;
    }
    let Replay { table, tables, flushed_seq, .. } = replay;
    let found = if before.version == Version::One {
        remove_files(&*disk, &reading)?;
        owner.mark_in_use()?;
        Found { position: reading.position, ..Found::default() }
    } else {
        repair::repair(&*disk, reading, flushed_seq, before.end.is_some())?
    };
    let log = Log::new(Arc::clone(&disk), tuning.segment_bytes, found);
    // What a process left unsynced is acknowledged again by whoever reads it now.
    log.sync()?;
    Ok(Engine::new(log, table, Arc::clone(tables.cold()), disk, tuning, flushed_seq))
}

/// Opens for reading: but for tables of its own nothing is changed, and the engine must not be asked for anything that would.
/// Also the files of the log that the tables, as they were, do not make up for.
pub(super) fn look(
    parts: Parts,
    before: &Before,
    accept_data_loss: bool,
) -> Result<(Engine, Vec<(String, u64)>), StoreError> {
    let Parts { disk, tables, tuning } = parts;
    let position = tables.cold().position()?;
    let began_seq = position.seq;
    let mut replay = Replay::new(tables, None, tuning, position.seq);
    let reading = recover::read(&*disk, before.version, position, &mut |position, writes| {
        replay.commit(position, writes)?;
        replay.make_room(position)
    })?;
    before.check(&reading, accept_data_loss)?;
    let live = reading.live(began_seq);
    let Replay { table, tables, flushed_seq, .. } = replay;
    let found = Found { position: reading.position, ..Found::default() };
    let log = Log::new(Arc::clone(&disk), tuning.segment_bytes, found);
    Ok((Engine::new(log, table, Arc::clone(tables.cold()), disk, tuning, flushed_seq), live))
}

/// Their commits are in the tables, synced.
fn remove_files(disk: &dyn Disk, reading: &Reading) -> Result<(), StoreError> {
    for file in &reading.files {
        disk.remove(&file.name).map_err(|e| StoreError::io(format!("cannot delete {}", file.name), e))?;
    }
    disk.sync_names().map_err(|e| StoreError::io("cannot sync the log's folder", e))
}

/// Gives the tables to be changed, once all is known to be well: from this reading, or from one of its own.
type Take<'a> = dyn FnMut(Option<&Reading>) -> Result<Arc<dyn Cold>, StoreError> + 'a;

/// Commits on their way from the log into the table.
struct Replay<'a> {
    tables: Tables,
    /// `None`: they stay as they are.
    take: Option<&'a mut Take<'a>>,
    table: Table,
    tuning: Tuning,
    /// The position of the tables.
    flushed_seq: u64,
    /// The disk had no room for a flush, or it may not be written to: the rest stays in memory.
    is_full: bool,
}

impl<'a> Replay<'a> {
    fn new(tables: Tables, take: Option<&'a mut Take<'a>>, tuning: Tuning, flushed_seq: u64) -> Self {
        let table = Table::new(tuning.table_bytes);
        Self { tables, take, table, tuning, flushed_seq, is_full: false }
    }

    fn commit(&self, position: &Position, writes: Vec<Logged>) -> Result<(), StoreError> {
        for write in writes {
            let write = match write {
                Logged::Whole(write) => write,
                Logged::Patch(key, difference) => {
                    let before = match self.table.get(&key) {
                        Lookup::Found(value, _) => value,
                        // Flushed on the way, by this start or by one that ended before it was through.
                        Lookup::Unknown(_) => self.tables.cold().get(&key)?,
                    };
                    let after = before.and_then(|before| difference.apply(&before));
                    let after = after.ok_or_else(|| StoreError::Corrupt {
                        place: "log".to_owned(),
                        what: format!("commit {} changes a record that is not there as it was", position.seq),
                    })?;
                    Write::Put(key, Bytes::from(after))
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
        if !self.own(None)? {
            tracing::debug!("the whole log is held in memory");
            self.is_full = true;
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

    /// From now on the tables may be changed; false if they never may.
    fn own(&mut self, reading: Option<&Reading>) -> Result<bool, StoreError> {
        match (&self.tables, &mut self.take) {
            (Tables::Own(_), _) => Ok(true),
            (Tables::Seen(_), None) => Ok(false),
            (Tables::Seen(_), Some(take)) => {
                self.tables = Tables::Own(take(reading)?);
                Ok(true)
            }
        }
    }

    /// Moves everything into the tables. Nothing of it is newer than `position`, so nothing need be synced before.
    fn flush(&mut self, position: &Position) -> Result<(), StoreError> {
        if position.seq == self.flushed_seq {
            return Ok(());
        }
        let cold = self.tables.cold();
        while cold.is_compaction_behind() && cold.compact_step()? {}
        cold.ingest(position, &mut self.table.flush_run().map(Ok), &mut || Ok(()))?;
        self.flushed_seq = position.seq;
        self.table.flushed();
        Ok(())
    }
}
