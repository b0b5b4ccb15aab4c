//! What a start for writing does to the files that [`super::read`] read, before anything is acknowledged.
//!
//! Invariants: afterwards no file holds a chunk with a number above the last one replayed, so numbers are given out again
//! without meeting their past selves, and what was replayed is on the disk, not only in the system's memory: a process whose
//! sync failed leaves pages there that look written and are not. So whatever no chunk says was synced is
//! written again; syncing alone would find nothing to do.

use std::collections::VecDeque;

use super::Reading;
use super::file::{Contents, LogFile, cannot_read, chunk_at};
use super::pieces::Pieces;
use crate::store::StoreError;
use crate::store::log::chunk::Seal;
use crate::store::log::disk::ZEROS;
use crate::store::log::disk::{Disk, DiskFile};
use crate::store::log::file_head;
use crate::store::log::writer::{Found, Segment};

/// How much is written again at once.
const REWRITE_BYTES: usize = 1 << 20;

/// Makes the files fit for use, and says which is which; all after `flushed_seq` is in use. `all_is_synced` says that a
/// clean end vouches for what no chunk does.
pub(in crate::store::log) fn repair(
    disk: &dyn Disk,
    reading: Reading,
    flushed_seq: u64,
    all_is_synced: bool,
) -> Result<Found, StoreError> {
    let last_seq = reading.position.seq;
    if reading.seen_seq > last_seq {
        tracing::warn!(
            last_commit = last_seq,
            cut_off = reading.seen_seq - last_seq,
            "the log's end was torn; what was never synced is cut off"
        );
    }
    let mut found = Found { live: VecDeque::new(), free: Vec::new(), position: reading.position };
    for file in reading.files {
        cut_off(disk, &file, last_seq)?;
        if !file.is_live(flushed_seq, last_seq) {
            found.free.push(file.name);
            continue;
        }
        let opened =
            disk.open(&file.name).map_err(|e| StoreError::io(format!("cannot open {}", file.name), e))?;
        if !all_is_synced {
            write_again(disk, &file, reading.synced_seq, &*opened)?;
        }
        found.live.push_back(Segment {
            name: file.name,
            file: opened,
            end_at: file.end_at,
            last_seq: file.next_seq - 1,
        });
    }
    Ok(found)
}

/// Takes away whatever could pass for a commit after `last_seq`, for good.
fn cut_off(disk: &dyn Disk, file: &LogFile, last_seq: u64) -> Result<(), StoreError> {
    let failed = |e| StoreError::io(format!("cannot cut off the end of {}", file.name), e);
    let keeps_commits = file.next_seq > file.first_seq && file.next_seq - 1 <= last_seq;
    let holds_later = file.next_seq - 1 > last_seq || file.stray_seq > last_seq;
    if keeps_commits && holds_later {
        let opened = disk.open(&file.name).map_err(failed)?;
        let mut at = file.end_at;
        while at < file.file_bytes {
            let bytes = (file.file_bytes - at).min(ZEROS.len() as u64);
            opened.write_at(at, &ZEROS[..bytes as usize]).map_err(failed)?;
            at += bytes;
        }
        opened.sync().map_err(failed)?;
    } else if holds_later || file.contents == Contents::HeadLost {
        // Under another seal its chunks are nobody's.
        let seal = Seal::random().map_err(failed)?;
        let opened = disk.open(&file.name).map_err(failed)?;
        opened.write_at(0, &file_head::encode(seal)).and_then(|()| opened.sync()).map_err(failed)?;
    }
    Ok(())
}

/// Writes those chunks once more of which nobody said that they were synced, as they were read. The next sync is then of
/// what is there.
fn write_again(
    disk: &dyn Disk,
    file: &LogFile,
    synced_seq: u64,
    into: &dyn DiskFile,
) -> Result<(), StoreError> {
    let Contents::Chunks { sealing, .. } = file.contents else { return Ok(()) };
    if file.next_seq - 1 <= synced_seq {
        return Ok(());
    }
    let known = file.marks.partition_point(|(_, first_seq)| *first_seq <= synced_seq + 1);
    let Some((mut at, _)) = file.marks.get(known.saturating_sub(1)).copied() else { return Ok(()) };
    let failed = |e| cannot_read(&file.name, e);
    let mut pieces = Pieces::new(disk.read(&file.name).map_err(failed)?, file.end_at).map_err(failed)?;
    let mut again = Vec::new();
    let mut again_at = at;
    while at < file.end_at {
        let header = chunk_at(&mut pieces, at, sealing).map_err(failed)?;
        let bytes = header.map_or(0, |header| header.chunk_bytes());
        let chunk = pieces.get(at, bytes).map_err(failed)?;
        // The system may have forgotten meanwhile what it had in memory only.
        if !header.is_some_and(|header| header.is_whole(chunk)) {
            let place = format!("{} at byte {at}", file.name);
            let what = "it can be read once and not twice".to_owned();
            return Err(StoreError::Corrupt { place, what });
        }
        again.extend_from_slice(chunk);
        at += bytes as u64;
        if again.len() >= REWRITE_BYTES || at >= file.end_at {
            into.write_at(again_at, &again)
                .map_err(|e| StoreError::io(format!("cannot write {} again", file.name), e))?;
            again.clear();
            again_at = at;
        }
    }
    Ok(())
}
