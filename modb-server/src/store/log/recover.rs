//! Reading the log after the process or the power ended, in whatever state that left it.
//!
//! Every file is read for chunks from its start on, and behind the end of those for chunks that something cut off.
//! The commits after the cold store's position are replayed while their numbers go on without a gap. Where they
//! stop, one of two things is true, and the chunks themselves say which, since each names the last commit that was
//! synced when it was written:
//! - the next commit was never synced: a torn end. What lies behind it was not synced either; it is cut off.
//! - the next commit was synced: damage. The store is not opened, unless the caller accepts the loss; nothing is
//!   dropped silently.
//!
//! Invariant: after recovery no file holds a chunk with a number above the last one replayed, so numbers are given
//! out again without meeting their past selves.

use std::collections::VecDeque;
use std::sync::Arc;

use super::chunk::{self, ALIGN_BYTES, HEADER_BYTES, Header};
use super::disk::Disk;
use super::writer::{Found, Position, Segment, ZEROS};
use crate::store::{StoreError, Write};

/// The chunks of one file.
struct Scanned {
    name: String,
    /// The numbers from the file's start on, without a gap; equal if there are none.
    first_seq: u64,
    next_seq: u64,
    /// Where those end.
    end: usize,
    file_bytes: usize,
    /// The last commit that any chunk of the file says was synced.
    synced_seq: u64,
    /// The greatest number in chunks that are cut off from the start.
    stray_seq: u64,
}

/// Replays what the log holds after `cold`, commit by commit, and says what it found.
pub(crate) fn recover(
    disk: &dyn Disk,
    cold: Position,
    accept_data_loss: bool,
    replay: &mut dyn FnMut(u64, Vec<Write>) -> Result<(), StoreError>,
) -> Result<Found, StoreError> {
    let mut scanned = Vec::new();
    let mut names = disk.list().map_err(|e| StoreError::io("cannot list the log's files", e))?;
    names.retain(|name| name.starts_with("log-"));
    for name in names {
        let bytes = read(disk, &name)?;
        scanned.push(scan(name, &bytes, cold.seq));
    }
    scanned.sort_by_key(|file| file.first_seq);
    let flushed = cold.seq;
    let mut position = cold;
    for file in &scanned {
        if file.next_seq > position.seq + 1 && file.first_seq <= position.seq + 1 {
            replay_file(disk, file, &mut position, replay)?;
        }
    }
    let synced_seq = scanned.iter().map(|file| file.synced_seq).max().unwrap_or(0);
    let last_seen = scanned.iter().map(|file| file.stray_seq.max(file.next_seq - 1)).max().unwrap_or(0);
    if synced_seq > position.seq {
        report_damage(&scanned, position.seq, synced_seq, last_seen, accept_data_loss)?;
    }
    if last_seen > position.seq {
        tracing::warn!(
            last_commit = position.seq,
            cut_off = last_seen - position.seq,
            "the log's end was torn; what was never synced is cut off"
        );
        for file in &scanned {
            erase_after(disk, file, position.seq)?;
        }
    }
    let mut found = Found { live: VecDeque::new(), free: Vec::new(), position };
    for file in scanned {
        let last_seq = file.next_seq - 1;
        if file.first_seq < file.next_seq && last_seq > flushed && last_seq <= found.position.seq {
            let opened =
                disk.open(&file.name).map_err(|e| StoreError::io(format!("cannot open {}", file.name), e))?;
            found.live.push_back(Segment { name: file.name, file: opened, bytes: file.end as u64, last_seq });
        } else {
            found.free.push(file.name);
        }
    }
    Ok(found)
}

/// Verifies that the commits after `flushed` up to `upto` are all there and whole, in the given parts of files.
pub(crate) fn verify(
    disk: &dyn Disk,
    segments: &[(String, u64)],
    flushed: u64,
    upto: u64,
) -> Result<(), StoreError> {
    let mut last = flushed;
    for (name, used) in segments {
        let mut bytes = read(disk, name)?;
        bytes.truncate(usize::try_from(*used).unwrap_or(usize::MAX));
        let file = scan(name.clone(), &bytes, flushed);
        if file.end != bytes.len() || file.first_seq > last + 1 {
            return Err(damage_at(&file, last));
        }
        replay_file(disk, &file, &mut Position { seq: last, ..Position::default() }, &mut |_, _| Ok(()))?;
        last = last.max(file.next_seq - 1);
    }
    if last < upto {
        let what = format!("the commits after {last} are missing, the last is {upto}");
        return Err(StoreError::Corrupt { place: "log".to_owned(), what });
    }
    Ok(())
}

fn read(disk: &dyn Disk, name: &str) -> Result<Vec<u8>, StoreError> {
    disk.read(name).map_err(|e| StoreError::io(format!("cannot read {name}"), e))
}

/// Finds the chunks of a file; of those that are cut off, the ones after `flushed`.
fn scan(name: String, bytes: &[u8], flushed: u64) -> Scanned {
    let first_seq = Header::read(bytes).map_or(1, |header| header.first_seq);
    let mut file = Scanned {
        name,
        first_seq,
        next_seq: first_seq,
        end: 0,
        file_bytes: bytes.len(),
        synced_seq: 0,
        stray_seq: 0,
    };
    while let Some(header) = Header::read(&bytes[file.end..]) {
        if header.first_seq != file.next_seq {
            break;
        }
        file.next_seq = header.next_seq();
        file.synced_seq = file.synced_seq.max(header.synced_seq);
        file.end = (file.end + header.chunk_bytes()).min(bytes.len());
    }
    // Chunks of the file's earlier use lie here as well: their numbers are lower.
    let above = flushed.max(file.next_seq - 1);
    let mut at = file.end;
    while at + HEADER_BYTES <= bytes.len() {
        // No chunk begins with as many zeros as half a header, and a prepared file is full of them.
        if bytes[at..].starts_with(&ZEROS) {
            at += ZEROS.len();
            continue;
        }
        let plausible = Header::peek(&bytes[at..]).is_some_and(|header| {
            header.first_seq > above && header.first_seq - above <= bytes.len() as u64 + LONGEST_GAP
        });
        match plausible.then(|| Header::read(&bytes[at..])).flatten() {
            Some(header) => {
                file.stray_seq = file.stray_seq.max(header.next_seq() - 1).max(header.first_seq);
                file.synced_seq = file.synced_seq.max(header.synced_seq);
                at += header.chunk_bytes();
            }
            None => at += ALIGN_BYTES,
        }
    }
    file
}

/// How many commits a cut-off chunk may be ahead of the last good one: far more than a log ever holds, few enough
/// that arbitrary bytes are rarely taken for a header that is worth a checksum.
const LONGEST_GAP: u64 = 1 << 40;

fn replay_file(
    disk: &dyn Disk,
    file: &Scanned,
    position: &mut Position,
    replay: &mut dyn FnMut(u64, Vec<Write>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let bytes = read(disk, &file.name)?;
    let mut at = 0;
    while at < file.end {
        let chunk = &bytes[at..];
        let Some(header) = Header::read(chunk) else { return Err(damage_at(file, position.seq)) };
        at += header.chunk_bytes();
        if header.next_seq() <= position.seq + 1 {
            continue;
        }
        let Some(commits) = chunk::decode_commits(chunk, header) else {
            return Err(damage_at(file, position.seq));
        };
        for (seq, writes) in (header.first_seq..).zip(commits) {
            if seq <= position.seq {
                continue;
            }
            for write in &writes {
                if let Write::Add(counter, by) = write {
                    let value = position.counters.entry(*counter).or_default();
                    *value = value.wrapping_add(*by);
                }
            }
            position.seq = seq;
            replay(seq, writes)?;
        }
    }
    Ok(())
}

fn damage_at(file: &Scanned, last: u64) -> StoreError {
    StoreError::Corrupt {
        place: format!("{} at byte {}", file.name, file.end),
        what: format!("the commits after {last} are damaged"),
    }
}

fn report_damage(
    scanned: &[Scanned],
    last: u64,
    synced_seq: u64,
    last_seen: u64,
    accept_data_loss: bool,
) -> Result<(), StoreError> {
    // The file whose commits end where they should go on; a first chunk that is damaged leaves none to name.
    let place = scanned
        .iter()
        .find(|file| file.next_seq == last + 1 && file.end > 0)
        .map_or_else(|| "log".to_owned(), |file| format!("{} at byte {}", file.name, file.end));
    let what = format!(
        "the commits after {last} are damaged or missing, at least up to {synced_seq} they were safely on the disk; \
         {} commits lie behind the damage",
        last_seen.saturating_sub(synced_seq.max(last))
    );
    if accept_data_loss {
        tracing::error!(%place, %what, "opened with data loss, as asked");
        return Ok(());
    }
    Err(StoreError::Corrupt { place, what })
}

/// Zeroes the part of a file that holds, or may hold, chunks above `last`.
fn erase_after(disk: &dyn Disk, file: &Scanned, last: u64) -> Result<(), StoreError> {
    let from = if file.next_seq - 1 > last {
        0
    } else if file.stray_seq > last {
        file.end
    } else {
        return Ok(());
    };
    let failed = |e| StoreError::io(format!("cannot cut off the end of {}", file.name), e);
    let opened = disk.open(&file.name).map_err(failed)?;
    let mut at = from;
    while at < file.file_bytes {
        let bytes = ZEROS.len().min(file.file_bytes - at);
        opened.write_at(at as u64, &ZEROS[..bytes]).map_err(failed)?;
        at += bytes;
    }
    opened.sync().map_err(failed)
}

/// Copies the used parts of segments into another disk, synced.
pub(crate) fn copy_segments(
    from: &dyn Disk,
    to: &dyn Disk,
    segments: &[(String, u64)],
) -> Result<(), StoreError> {
    for (name, used) in segments {
        let mut bytes = read(from, name)?;
        bytes.truncate(usize::try_from(*used).unwrap_or(usize::MAX));
        let failed = |e| StoreError::io(format!("cannot copy {name}"), e);
        let file: Arc<_> = to.open(name).map_err(failed)?;
        file.write_at(0, &bytes).and_then(|()| file.sync()).map_err(failed)?;
    }
    to.sync_names().map_err(|e| StoreError::io("cannot sync the copy of the log", e))
}
