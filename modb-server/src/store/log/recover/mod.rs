//! Reading the log after the process or the power ended, in whatever state that left it.
//!
//! Every file is read once, in pieces: chunks from its start on, and behind the end of those for chunks that something
//! cut off. The commits after the tables' position are replayed while their numbers go on without a gap. Where they
//! stop, one of two things is true, and the chunks themselves say which, since each names the last commit that was
//! synced when it was written:
//! - the next commit was never synced: a torn end. What lies behind it was not synced either; it is cut off.
//! - the next commit was synced: damage. The store is not opened, unless the caller accepts the loss; nothing is
//!   dropped silently.
//!
//! Reading changes nothing: [`read`] says what is there, [`Reading::judge`] what that means, and only a start for writing
//! goes on to `repair`. What a later version wrote is refused and left alone in every case.
//!
//! Names of numbers: `_seq` is a commit, `_at` a place in a file, `_bytes` a size.

mod file;
mod pieces;
pub(super) mod repair;

use self::file::{Contents, cannot_read};
pub(super) use self::file::{LogFile, Version};
use self::pieces::Pieces;
use super::chunk::Header;
use super::commit::{self, Logged, Unreadable};
use super::disk::Disk;
use super::writer::{self, Position};
use crate::store::{StoreError, Write};

/// Bytes that are copied in one go.
const COPY_BYTES: usize = 1 << 20;

/// What is done with a commit: the position after it, and its writes.
pub(super) type Replay<'a> = dyn FnMut(&Position, Vec<Logged>) -> Result<(), StoreError> + 'a;

/// What the log holds.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) files: Vec<LogFile>,
    /// The last commit that is there, with all before it, and the counters after it.
    pub(super) position: Position,
    /// The last commit that was synced, as far as anybody says.
    pub(super) synced_seq: u64,
    /// The last commit of which anything is there.
    pub(super) seen_seq: u64,
}

/// Reads all of it and replays what comes after `flushed`, the tables' position, commit by commit.
pub(super) fn read(
    disk: &dyn Disk,
    version: Version,
    flushed: Position,
    replay: &mut Replay,
) -> Result<Reading, StoreError> {
    let mut names = disk.list().map_err(|e| StoreError::io("cannot list the log's files", e))?;
    names.retain(|name| writer::is_log_file(name));
    let mut files =
        names.into_iter().map(|name| LogFile::look(disk, name, version)).collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(|file| file.first_seq);
    let flushed_seq = flushed.seq;
    let mut position = flushed;
    for file in &mut files {
        let name = file.name.clone();
        file.read(disk, u64::MAX, flushed_seq, &mut |header, chunk| {
            replay_chunk(&name, header, chunk, &mut position, replay)
        })?;
    }
    let synced_seq = files.iter().map(|file| file.synced_seq).max().unwrap_or(0);
    let seen_seq = files.iter().map(|file| file.stray_seq.max(file.next_seq - 1)).max().unwrap_or(0);
    Ok(Reading { files, position, synced_seq, seen_seq })
}

/// Nothing is done with what comes after a gap.
fn replay_chunk(
    name: &str,
    header: Header,
    chunk: &[u8],
    position: &mut Position,
    replay: &mut Replay,
) -> Result<(), StoreError> {
    if header.first_seq > position.seq + 1 || header.next_seq() <= position.seq + 1 {
        return Ok(());
    }
    let mut body = header.body(chunk);
    for seq in header.first_seq..header.next_seq() {
        let writes = commit::decode(&mut body).map_err(|error| unreadable(name, seq, error))?;
        if seq <= position.seq {
            continue;
        }
        for write in &writes {
            if let Logged::Whole(Write::Add(counter, by)) = write {
                position.add(*counter, *by);
            }
        }
        position.seq = seq;
        replay(position, writes)?;
    }
    if body.is_empty() { Ok(()) } else { Err(unreadable(name, position.seq, Unreadable::Malformed)) }
}

fn unreadable(name: &str, seq: u64, error: Unreadable) -> StoreError {
    let place = name.to_owned();
    match error {
        Unreadable::Newer(tag) => {
            StoreError::Newer { place, what: format!("commit {seq} has a write {tag}") }
        }
        Unreadable::Malformed => {
            StoreError::Corrupt { place, what: format!("commit {seq} is not what its checksum vouches for") }
        }
    }
}

impl Reading {
    /// The files with commits after `flushed_seq`, and where their chunks end.
    pub(super) fn live(&self, flushed_seq: u64) -> Vec<(String, u64)> {
        let live = self.files.iter().filter(|file| file.is_live(flushed_seq, self.position.seq));
        live.map(|file| (file.name.clone(), file.end_at)).collect()
    }

    /// Whether what is there is all that was safely on the disk.
    pub(super) fn judge(&self, accept_data_loss: bool) -> Result<(), StoreError> {
        match self.damage() {
            Some((place, what)) if accept_data_loss => {
                tracing::error!(%place, %what, "opened with data loss, as asked");
                Ok(())
            }
            Some((place, what)) => Err(StoreError::Corrupt { place, what }),
            None => Ok(()),
        }
    }

    /// Where, and what.
    fn damage(&self) -> Option<(String, String)> {
        let last_seq = self.position.seq;
        if let Some(file) = self.files.iter().find(|file| file.contents == Contents::HeadLost) {
            let what = format!(
                "its first {} bytes are damaged or missing, and with them what tells its commits from other bytes; \
                 the last commit found elsewhere is {last_seq}",
                super::file_head::HEAD_BYTES
            );
            return Some((file.name.clone(), what));
        }
        if self.synced_seq <= last_seq {
            return None;
        }
        // The file whose commits end where they should go on; a first chunk that is damaged leaves none to name.
        let ends_there = |file: &&LogFile| file.next_seq == last_seq + 1 && file.next_seq > file.first_seq;
        let place = self
            .files
            .iter()
            .find(ends_there)
            .map_or_else(|| "log".to_owned(), |file| format!("{} at byte {}", file.name, file.end_at));
        let what = format!(
            "the commits after {last_seq} are damaged or missing, at least up to {} they were safely on the disk; \
             {} commits lie behind the damage",
            self.synced_seq,
            self.seen_seq.saturating_sub(self.synced_seq.max(last_seq))
        );
        Some((place, what))
    }
}

/// Verifies that the commits after `flushed_seq` up to `upto_seq` are all there and whole, in the given parts of files.
pub(super) fn verify(
    disk: &dyn Disk,
    segments: &[(String, u64)],
    flushed_seq: u64,
    upto_seq: u64,
) -> Result<(), StoreError> {
    let mut position = Position { seq: flushed_seq, ..Position::default() };
    for (name, used_bytes) in segments {
        let mut file = LogFile::look(disk, name.clone(), Version::Two)?;
        file.read(disk, *used_bytes, flushed_seq, &mut |header, chunk| {
            replay_chunk(name, header, chunk, &mut position, &mut |_, _| Ok(()))
        })?;
        if file.end_at != *used_bytes || file.next_seq - 1 > position.seq {
            return Err(StoreError::Corrupt {
                place: format!("{name} at byte {}", file.end_at),
                what: format!("the commits after {} are damaged", position.seq),
            });
        }
    }
    if position.seq < upto_seq {
        let what = format!("the commits after {} are missing, the last is {upto_seq}", position.seq);
        return Err(StoreError::Corrupt { place: "log".to_owned(), what });
    }
    Ok(())
}

/// Copies the used parts of segments into another disk, synced.
pub(super) fn copy_segments(
    from: &dyn Disk,
    to: &dyn Disk,
    segments: &[(String, u64)],
) -> Result<(), StoreError> {
    for (name, used_bytes) in segments {
        let read = |e| cannot_read(name, e);
        let failed = |e| StoreError::io(format!("cannot copy {name}"), e);
        let mut pieces = Pieces::new(from.read(name).map_err(read)?, *used_bytes).map_err(read)?;
        let file = to.open(name).map_err(failed)?;
        let mut at = 0;
        while at < *used_bytes {
            let piece = pieces.get(at, COPY_BYTES).map_err(read)?;
            if piece.is_empty() {
                let what = "it ends before its commits do".to_owned();
                return Err(StoreError::Corrupt { place: name.clone(), what });
            }
            file.write_at(at, piece).map_err(failed)?;
            at += piece.len() as u64;
        }
        file.sync().map_err(failed)?;
    }
    to.sync_names().map_err(|e| StoreError::io("cannot sync the copy of the log", e))
}
