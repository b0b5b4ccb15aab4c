//! One file of the log: its head, its chunks from the start on, and those behind that something cut off.

use std::io;

use super::pieces::Pieces;
use crate::store::StoreError;
use crate::store::log::chunk::{ALIGN_BYTES, HEADER_BYTES, Header, Sealing};
use crate::store::log::disk::ZEROS;
use crate::store::log::disk::{Disk, DiskReader};
use crate::store::log::file_head::{FileHead, HEAD_BYTES};

/// The versions of the log that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Without heads and seals.
    One,
    Two,
}

/// How much of a file without seals is looked through for chunks that are cut off, in sizes of the file: bytes that a
/// client chose can look like chunks within chunks there.
const LONGEST_SEARCH: u64 = 8;
/// Chunks are remembered this far apart, so that those that are not known to be synced can be found again.
const MARK_BYTES: u64 = 64 << 10;

/// What is known of a file of the log.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) name: String,
    pub(super) contents: Contents,
    /// The commits from the file's start on, without a gap; equal if there are none.
    pub(super) first_seq: u64,
    pub(super) next_seq: u64,
    /// Where their chunks end.
    pub(super) end_at: u64,
    pub(super) file_bytes: u64,
    /// The last commit that any chunk of the file says was synced.
    pub(super) synced_seq: u64,
    /// The last commit in chunks that are cut off from the start.
    pub(super) stray_seq: u64,
    /// Where a chunk begins, and its first commit; ascending.
    pub(super) marks: Vec<(u64, u64)>,
}

/// What a file's first bytes say about the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    Chunks {
        sealing: Sealing,
        begin_at: u64,
    },
    Nothing,
    /// There may be chunks that nobody can tell from other bytes.
    HeadLost,
}

/// What is done with a chunk: its header, and all of it.
pub(super) type Take<'a> = dyn FnMut(Header, &[u8]) -> Result<(), StoreError> + 'a;

impl LogFile {
    /// Looks at the file's first bytes.
    pub(super) fn look(disk: &dyn Disk, name: String, version: Version) -> Result<Self, StoreError> {
        let failed = |e| cannot_read(&name, e);
        let mut reader = disk.read(&name).map_err(failed)?;
        let file_bytes = reader.bytes().map_err(failed)?;
        let mut first = [0; HEAD_BYTES + HEADER_BYTES];
        let there = reader.read_at(0, &mut first).map_err(failed)?;
        let first = &first[..there];
        let contents = match (version, FileHead::read(first)) {
            (Version::One, _) => Contents::Chunks { sealing: Sealing::None, begin_at: 0 },
            (_, FileHead::Sealed(seal)) => {
                Contents::Chunks { sealing: Sealing::With(seal), begin_at: HEAD_BYTES as u64 }
            }
            (_, FileHead::Newer(version)) => {
                return Err(StoreError::Newer { place: name, what: format!("a log of version {version}") });
            }
            (_, FileHead::Lost) => Contents::HeadLost,
            (_, FileHead::Blank) if is_blank(reader).map_err(failed)? => Contents::Nothing,
            (_, FileHead::Blank) => Contents::HeadLost,
        };
        // Not known to be true before the chunk was read, and good enough to say which file is read first.
        let header = match contents {
            Contents::Chunks { sealing, begin_at } => {
                first.get(begin_at as usize..).and_then(|chunk| Header::read(chunk, sealing))
            }
            Contents::Nothing | Contents::HeadLost => None,
        };
        let first_seq = header.map_or(1, |header| header.first_seq);
        Ok(Self {
            name,
            contents,
            first_seq,
            next_seq: first_seq,
            end_at: 0,
            file_bytes,
            synced_seq: 0,
            stray_seq: 0,
            marks: Vec::new(),
        })
    }

    /// Reads the file, up to `end_at`: `take` gets the chunks from the start on. Behind them those with commits after `flushed`
    /// are looked for.
    pub(super) fn read(
        &mut self,
        disk: &dyn Disk,
        end_at: u64,
        flushed: u64,
        take: &mut Take,
    ) -> Result<(), StoreError> {
        let Contents::Chunks { sealing, begin_at } = self.contents else { return Ok(()) };
        let name = self.name.clone();
        let failed = |e| cannot_read(&name, e);
        let mut pieces = Pieces::new(disk.read(&name).map_err(failed)?, end_at).map_err(failed)?;
        self.end_at = begin_at.min(pieces.end_at());
        let mut next_mark_at = 0;
        while let Some(header) = chunk_at(&mut pieces, self.end_at, sealing).map_err(failed)? {
            if header.first_seq != self.next_seq {
                break;
            }
            let chunk = pieces.get(self.end_at, header.chunk_bytes()).map_err(failed)?;
            if !header.is_whole(chunk) {
                break;
            }
            take(header, chunk)?;
            if self.end_at >= next_mark_at {
                self.marks.push((self.end_at, self.next_seq));
                next_mark_at = self.end_at + MARK_BYTES;
            }
            self.next_seq = header.next_seq();
            self.synced_seq = self.synced_seq.max(header.synced_seq);
            self.end_at = (self.end_at + header.chunk_bytes() as u64).min(pieces.end_at());
        }
        if self.next_seq == self.first_seq {
            (self.first_seq, self.next_seq) = (1, 1);
        }
        self.look_for_strays(&mut pieces, sealing, flushed).map_err(failed)
    }

    /// Whether it has commits after `flushed_seq`, and none after `last_seq`.
    pub(super) fn is_live(&self, flushed_seq: u64, last_seq: u64) -> bool {
        self.next_seq > self.first_seq && (flushed_seq + 1..=last_seq).contains(&(self.next_seq - 1))
    }

    fn look_for_strays(&mut self, pieces: &mut Pieces, sealing: Sealing, flushed: u64) -> io::Result<()> {
        let above = flushed.max(self.next_seq - 1);
        // No log holds more commits than bytes.
        let newest = above.saturating_add(self.file_bytes);
        let mut left = self.file_bytes.saturating_mul(LONGEST_SEARCH);
        let mut at = self.end_at;
        while at < pieces.end_at() {
            let window = pieces.get(at, ZEROS.len() + HEADER_BYTES)?;
            if window.len() >= ZEROS.len() && window[..ZEROS.len()] == ZEROS {
                at += ZEROS.len() as u64;
                continue;
            }
            let plausible = |header: &Header| {
                header.first_seq > above && (sealing != Sealing::None || header.first_seq <= newest)
            };
            let found = (0..window.len().min(ZEROS.len())).step_by(ALIGN_BYTES).find(|from| {
                Header::read(&window[*from..], sealing).is_some_and(|header| plausible(&header))
            });
            let Some(from) = found else {
                at += ZEROS.len() as u64;
                continue;
            };
            at += from as u64;
            if let Some(header) = chunk_at(pieces, at, sealing)? {
                let bytes = header.chunk_bytes();
                if header.is_whole(pieces.get(at, bytes)?) {
                    self.stray_seq = self.stray_seq.max(header.next_seq() - 1).max(header.first_seq);
                    self.synced_seq = self.synced_seq.max(header.synced_seq);
                    at += bytes as u64;
                    continue;
                }
                if sealing == Sealing::None {
                    left = left.saturating_sub(bytes as u64);
                    if left == 0 {
                        return Ok(());
                    }
                }
            }
            at += ALIGN_BYTES as u64;
        }
        Ok(())
    }
}

/// The header of a chunk that is there in full, by its length, if not by its checksum.
pub(super) fn chunk_at(pieces: &mut Pieces, at: u64, sealing: Sealing) -> io::Result<Option<Header>> {
    let end_at = pieces.end_at();
    let header = Header::read(pieces.get(at, HEADER_BYTES)?, sealing);
    Ok(header.filter(|header| at + (header.chunk_bytes() - ALIGN_BYTES) as u64 <= end_at))
}

fn is_blank(reader: Box<dyn DiskReader>) -> io::Result<bool> {
    let mut pieces = Pieces::new(reader, u64::MAX)?;
    let mut at = 0;
    loop {
        match pieces.get(at, ZEROS.len())? {
            [] => return Ok(true),
            piece if ZEROS.starts_with(piece) => at += piece.len() as u64,
            _ => return Ok(false),
        }
    }
}

pub(super) fn cannot_read(name: &str, error: io::Error) -> StoreError {
    StoreError::io(format!("cannot read {name}"), error)
}
