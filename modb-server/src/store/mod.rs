//! The seam to the engine: an ordered key-value store with atomic batches and numbered commits.
//!
//! A store knows bytes and nothing above: no type, no command, no connection. Engines are interchangeable;
//! one conformance suite runs against each.
//!
//! Invariants every engine keeps:
//! - `apply` is atomic and visible to every reader when it returns, and its `Seq` is greater than any before.
//! - What a crash leaves is a prefix of the commits, in the order of their `Seq`.
//! - `settle` never says that a commit is safe before it is as safe as the durability mode promises.
//! - After a failed write or sync nothing is acknowledged any more: the store is poisoned until reopened.
//!
//! Why no `snapshot()`: a command's reads are isolated by the stripes of its keys (see `data::stripes`), so no
//! caller needs an open view of the past, which engines pay for with every write. Scans go page by page.

mod batch;
mod end;
mod files;
#[cfg(feature = "fjall")]
mod fjall;
mod folder;
mod format;
mod glimpse;
mod group;
mod health;
mod key;
mod locking;
mod log;
mod memory;
mod open;
mod options;
mod patch;
mod place;
mod spare;
mod splices;
mod sync_time;
#[cfg(test)]
mod tests;
pub(crate) mod vast;
mod whose;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use modb_net::Seq;

pub use self::batch::{Batch, Counter, Write};
pub use self::files::{copy_folder, engine_of, folder_bytes};
pub use self::folder::NewFolder;
pub use self::glimpse::{GLIMPSE_BYTES, Glimpse};
pub use self::key::StoreKey;
#[cfg(feature = "cli")]
pub(crate) use self::log::LOG_FOLDER;
pub use self::open::open;
pub use self::options::{EngineKind, OpenOptions};
pub use self::patch::{Change, Patch};
pub(crate) use self::spare::list as spare_list;
pub use self::splices::Splices;

/// The longest key a store takes, in bytes: what the engines' file formats can hold in 16 bits. The shortest
/// is one byte.
pub const MAX_STORE_KEY_BYTES: usize = 65_535;

/// What a commit that was acknowledged survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Synced to the disk before the reply leaves: survives a power cut.
    Always,
    /// Written to the operating system before the reply leaves, synced each second: survives the end of the
    /// process; a power cut loses at most the last second.
    #[default]
    EverySecond,
    /// Written to the operating system before the reply leaves, synced when the system likes.
    Os,
}

/// What a backup does with files that never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackupKind {
    /// They get a second name, where the system has such names and the target is on the same disk: nearly no time and no
    /// space, and what harms the bytes on that disk harms both.
    #[default]
    Linked,
    /// They are copied.
    Full,
}

/// What a read found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Got<V = Bytes> {
    /// The value, if there is one.
    pub value: Option<V>,
    /// The commit that last wrote the key (also by deleting it), or [`Seq::ZERO`] if it is long since safe.
    pub seq: Seq,
}

/// What a read found that reads nothing large from the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Soon {
    /// What is there.
    Got(Got),
    /// There is such a record; its value is on the disk alone, and has so many bytes.
    Larger(usize),
}

/// A page of a scan.
#[derive(Clone, Debug, Default)]
pub struct Page<V = Bytes> {
    /// Records in ascending order of their keys.
    pub records: Vec<(Bytes, V)>,
    /// Where the next page begins, if there may be one.
    pub next: Option<Vec<u8>>,
}

/// Calls back when more commits have become safe. Must be cheap and never block: it wakes a worker.
pub type SettledHook = Arc<dyn Fn() + Send + Sync>;

/// What of a record is to be in the processor's caches, of which one leads to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// Where it is.
    Whereabouts,
    /// The record, if where it is was fetched before.
    Record,
}

/// By so many of its first bytes a key can be told from nearly all others, where [`is_told_by_its_beginning`].
pub const TELLING_BYTES: usize = 13;

/// Whether nearly no other key begins as this one does.
#[inline(always)]
pub fn is_told_by_its_beginning(key: &[u8]) -> bool {
    key.len() >= TELLING_BYTES && matches!(key[0], 0x10 | 0x11)
}

/// An ordered key-value store. All methods may be called from any thread.
///
/// What callers promise of the bytes of keys: in those that begin with a byte `>= 0x10` and are longer than 5 bytes, byte
/// 5 is uniformly distributed, so an engine may shard by it. Of those that begin with `0x10` or `0x11` hardly two have the same
/// [`TELLING_BYTES`], whatever clients do, so it may find them by a hash of these. No key begins with the byte `0x00` or `0xff`.
pub trait Store: Send + Sync + 'static {
    /// Reads one record.
    ///
    /// # Errors
    /// If the disk cannot be read or what it holds is corrupt.
    fn get(&self, key: &[u8]) -> Result<Got, StoreError>;

    /// Shows `see` a record where it lies, which is not copied, and says which commit wrote it, as [`Store::get`] does; `None`, and nothing is
    /// shown, if it does not lie in memory, or is not there. Who sees holds others up, so he must not take long.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn look(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<Option<Seq>, StoreError> {
        let _ = (key, see);
        Ok(None)
    }

    /// Whether a record that is asked for comes sooner if it was announced ([`Store::fetch`]): not where all of them are in the processor's
    /// caches anyway.
    fn is_worth_fetching_for(&self) -> bool {
        false
    }

    /// Announces that a record will be asked for whose key begins so, and is told by that ([`is_told_by_its_beginning`]). Waits for
    /// nothing, and changes nothing but how long that takes.
    fn fetch(&self, beginning: &[u8; TELLING_BYTES], fetch: Fetch) {
        let _ = (beginning, fetch);
    }

    /// How many records were fetched so.
    #[cfg(test)]
    fn fetched(&self) -> u64 {
        0
    }

    /// As [`Store::get`], for those who may not wait for the disk long, or have no memory for what comes from there before they have asked
    /// for it: a value of more than so many bytes is not read.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn get_soon(&self, key: &[u8], most_bytes: usize) -> Result<Soon, StoreError> {
        let _ = most_bytes;
        self.get(key).map(Soon::Got)
    }

    /// As [`Store::get`], for callers who need no more of the value than a glimpse: a large one is not read.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn glimpse(&self, key: &[u8]) -> Result<Got<Glimpse>, StoreError> {
        let Got { value, seq } = self.get(key)?;
        Ok(Got { value: value.map(|value| Glimpse::of(&value)), seq })
    }

    /// As [`Store::glimpse`], for callers to whom the first byte of a value may say enough, which `suffices` decides: an engine that
    /// has no more than that in memory need not look at the disk.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn glimpse_first(&self, key: &[u8], suffices: fn(u8) -> bool) -> Result<Got<Glimpse>, StoreError> {
        let _ = suffices;
        self.glimpse(key)
    }

    /// Reads up to `limit` records with `from <= key < to`.
    ///
    /// Records that are there throughout a series of pages are in one of them, exactly once.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Page, StoreError> {
        self.scan_some(from, to, limit, usize::MAX)
    }

    /// As [`Store::scan`], for callers that cannot wait long: deleted records that the engine still has to pass count as
    /// well, and the page ends when it has looked at `most_looked_at`. It may then hold none and still have a next.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn scan_some(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        most_looked_at: usize,
    ) -> Result<Page, StoreError>;

    /// As [`Store::scan_some`], for callers who need no more of the values than glimpses: large ones are not read.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn glimpse_some(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        most_looked_at: usize,
    ) -> Result<Page<Glimpse>, StoreError> {
        let Page { records, next } = self.scan_some(from, to, limit, most_looked_at)?;
        let records = records.into_iter().map(|(key, value)| (key, Glimpse::of(&value))).collect();
        Ok(Page { records, next })
    }

    /// The value of a counter, 0 if it was never added to.
    fn counter(&self, counter: Counter) -> i64;

    /// Commits a batch: atomic, visible at once, not yet safe.
    ///
    /// Callers keep two batches that touch the same record apart (by stripes); the store orders the rest. Sleeps as long as
    /// it is [crowded](Store::crowded_until).
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] if the store is poisoned or the disk nearly full, [`StoreError::ImpossibleKey`]
    /// if a key is; nothing was changed then. After any other error the store is poisoned.
    fn apply(&self, batch: Batch) -> Result<Seq, StoreError>;

    /// As [`Store::apply`], for a batch after which less is to be kept: it is also taken when the disk is nearly full, since it
    /// is what makes room.
    ///
    /// # Errors
    /// As [`Store::apply`], but for a disk that is nearly full.
    fn apply_freeing(&self, batch: Batch) -> Result<Seq, StoreError> {
        self.apply(batch)
    }

    /// Sleeps for a moment, and is to be asked again, if what was [freed](Store::apply_freeing) is to be flushed before there is more of it:
    /// who sweeps very many records asks, since nobody waits for him and each deletion takes memory until it is flushed.
    fn rest_from_sweeping(&self) -> bool {
        false
    }

    /// As [`Store::apply`], for one of the many batches in which something large is built beside the data, with puts alone: whoever does
    /// that waits until what he has written is paid for, and others do not wait for that.
    ///
    /// # Errors
    /// As [`Store::apply`].
    fn apply_beside(&self, batch: Batch) -> Result<Seq, StoreError> {
        self.apply(batch)
    }

    /// Until when no batch is to be applied, if memory or log are filled faster than they are emptied. Those who may not sleep
    /// ask before they take anything, ask again then, and apply [at once](Store::apply_at_once). `None` also where that
    /// would be in vain: the batch is refused then.
    fn crowded_until(&self) -> Option<Instant> {
        None
    }

    /// Sleeps as long as it is crowded: for those who hold nothing yet, and will sleep less in [`Store::apply`] then.
    fn wait_for_room(&self) {}

    /// As [`Store::apply`], or [`Store::apply_freeing`] if it `frees`, for those who may not sleep, or wait for room while they hold
    /// something. What the engine does not keep of the batch stays in it: to free very many records takes long.
    ///
    /// # Errors
    /// As [`Store::apply`].
    fn apply_at_once(&self, batch: &mut Batch, frees: bool) -> Result<Seq, StoreError> {
        let batch = std::mem::take(batch);
        if frees { self.apply_freeing(batch) } else { self.apply(batch) }
    }

    /// The end of a turn: starts, or does, what the durability mode promises for all commits so far, and says
    /// up to which commit replies may leave. Cheap when nothing is new. Never waits for a sync, or for room.
    ///
    /// # Errors
    /// The write failed, or has waited too long for space on the disk: commits after [`Store::settled`] have an unknown
    /// outcome.
    fn settle(&self) -> Result<Seq, StoreError>;

    /// Whether a worker whose replies wait for a sync had better do that itself, once it has nothing else to do
    /// ([`Store::lead`]), than [settle](Store::settle) now: syncs are quick here.
    fn offers_lead(&self) -> bool {
        false
    }

    /// Where replies wait for a sync: syncs on this thread, for all, unless somebody is at it. What is not safe after it, or has
    /// failed, the next [`Store::settle`] tells. Takes as long as the disk does, a millisecond at most where it was offered.
    fn lead(&self) {}

    /// Up to which commit replies may leave.
    fn settled(&self) -> Seq;

    /// The last commit that anything read so far may have come from.
    fn committed(&self) -> Seq;

    /// `hook` is called from another thread whenever [`Store::settled`] grows without a call of `settle`,
    /// and when the store is poisoned.
    fn on_settled(&self, hook: SettledHook);

    /// Waits until everything committed is synced to the disk, whatever the mode.
    ///
    /// # Errors
    /// If the sync fails; the store is poisoned then.
    fn sync(&self) -> Result<(), StoreError>;

    /// Removes all records with `from <= key < to` that are there now; for records that nothing can reach any
    /// more. Not atomic: it reads page by page and commits many small batches, so call it from a thread that
    /// may take long, never from a worker. Cut short by an error or a crash it has removed some; call it again.
    ///
    /// # Errors
    /// As [`Store::apply`] and [`Store::get`].
    fn sweep(&self, from: &[u8], to: &[u8]) -> Result<(), StoreError>;

    /// Writes a consistent copy into the empty or new folder `target`, while the store goes on serving. The
    /// copy holds every commit made before the call, is synced, and is opened as any data folder is. An engine that has nothing
    /// to link copies.
    ///
    /// # Errors
    /// If the target cannot be written or the source cannot be read.
    fn backup(&self, target: &Path, kind: BackupKind) -> Result<(), StoreError>;

    /// Reads everything and verifies every invariant the engine has.
    ///
    /// # Errors
    /// The first damage found.
    fn check(&self) -> Result<(), StoreError>;

    /// Gives back the space of what was overwritten and removed.
    ///
    /// # Errors
    /// As [`Store::apply`].
    fn compact(&self) -> Result<(), StoreError>;

    /// Why the store takes no writes, if it does not.
    fn read_only_reason(&self) -> Option<String>;

    /// Names, which begin with `store_`, and numbers for `INFO`.
    fn stats(&self) -> Vec<(&'static str, String)>;

    /// Syncs and closes. Further calls fail with [`StoreError::Closed`].
    ///
    /// # Errors
    /// If the last sync fails.
    fn close(&self) -> Result<(), StoreError>;
}

/// Above every key.
#[cfg(feature = "fjall")]
const AFTER_ALL_KEYS: &[u8] = &[0xff];

/// [`Store::sweep`] for engines with nothing better.
fn sweep_by_pages(store: &dyn Store, from: &[u8], to: &[u8], records: usize) -> Result<(), StoreError> {
    let mut from = from.to_vec();
    loop {
        let page = store.glimpse_some(&from, to, records, usize::MAX)?;
        let writes: Vec<Write> = page.records.into_iter().map(|(key, _)| Write::Delete(key.into())).collect();
        if !writes.is_empty() {
            store.apply_freeing(Batch { writes })?;
            store.settle()?;
        }
        let Some(next) = page.next else { return Ok(()) };
        from = next;
    }
}

/// What a store can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder belongs to another process, or to this one.
    #[error("the data folder {folder} is used by {}: name another one, or end what uses it", user(.process))]
    Locked {
        /// The folder.
        folder: std::path::PathBuf,
        /// The process, where the system lets its lock file be read.
        process: Option<u32>,
    },
    /// A folder that was to be filled holds something.
    #[error("{folder} is no data folder and not empty, it holds {holds}: name an empty folder, or a new one")]
    NotEmpty {
        /// The folder.
        folder: std::path::PathBuf,
        /// The first name found in it.
        holds: String,
    },
    /// A folder that should hold data of Modb does not.
    #[error("{folder} is no data folder: {why}")]
    NoData {
        /// The folder.
        folder: std::path::PathBuf,
        /// What is there.
        why: String,
    },
    /// Something else than a folder is in its place.
    #[error("cannot use {path} as a folder: {why}")]
    NoFolder {
        /// Where the folder was to be, or one above it.
        path: std::path::PathBuf,
        /// What is there.
        why: String,
    },
    /// The folder holds something this version cannot read.
    #[error("the data folder {folder} has format {found:?}, expected {expected:?}{}", advice(.found))]
    Format {
        /// The folder.
        folder: std::path::PathBuf,
        /// The format found.
        found: String,
        /// The format this version reads and writes.
        expected: String,
    },
    /// A later version of Modb wrote it. It is no damage, and it is left alone.
    #[error("{place} was written by a newer version of Modb: {what}")]
    Newer {
        /// The file or folder.
        place: String,
        /// What is not known here.
        what: String,
    },
    /// The disk holds something other than what was written.
    #[error("corrupt data in {place}: {what}")]
    Corrupt {
        /// The file, with the offset where known.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// A key is empty, longer than [`MAX_STORE_KEY_BYTES`], or begins with the byte 0x00 or 0xff.
    #[error(
        "a record's key of {0} bytes: the store takes 1 to {MAX_STORE_KEY_BYTES}, beginning with neither 0x00 nor 0xff"
    )]
    ImpossibleKey(usize),
    /// No write is taken any more, for this reason.
    #[error("{0}")]
    ReadOnly(String),
    /// The engine cannot do this.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A write or a sync failed, and nobody knows what the disk holds now.
    #[error("{what}: {source}")]
    OutcomeUnknown {
        /// What was being done.
        what: String,
        /// The system's own error.
        #[source]
        source: std::io::Error,
    },
    /// Something belongs to another user.
    #[error("{what}: {source}: {advice}")]
    Denied {
        /// What was being done.
        what: String,
        /// The system's own error.
        #[source]
        source: std::io::Error,
        /// Whose it is and what to do.
        advice: String,
    },
    /// The operating system said no, and nothing was changed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's own error.
        #[source]
        source: std::io::Error,
    },
    /// The engine's own error.
    #[error("storage engine: {0}")]
    Engine(String),
}

/// Who uses a folder.
/// What can be done about a folder of another format, as the end of a sentence.
fn advice(found: &str) -> String {
    let engine =
        found.strip_prefix("modb ").and_then(|words| words.split(' ').nth(1)?.parse::<EngineKind>().ok());
    match engine {
        Some(engine) => format!(": another storage engine wrote it; open it with store {}", engine.name()),
        None => ": Modb did not write it, or it is damaged; is it the right folder?".to_owned(),
    }
}

fn user(process: &Option<u32>) -> String {
    match *process {
        None => "another process, or already by this one".to_owned(),
        Some(id) if id == std::process::id() => {
            "this process already: it opens once and clones the handle".to_owned()
        }
        Some(id) => format!("another process ({id})"),
    }
}

/// What an error means for whoever met it. Errors say it from where they arise; nobody guesses it from a kind later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Nothing was changed, and the same may succeed later: space, descriptors, memory or a thread were missing.
    TryAgain,
    /// What the disk holds is not what was written.
    Damage,
    /// What the disk holds is unknown: nothing may be acknowledged any more.
    Poison,
    /// It was asked for what cannot be, or not now; nothing is wrong.
    Refused,
}

impl StoreError {
    /// What it means.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Io { .. } => ErrorClass::TryAgain,
            Self::Corrupt { .. } => ErrorClass::Damage,
            Self::OutcomeUnknown { .. } | Self::Engine(_) => ErrorClass::Poison,
            Self::Locked { .. }
            | Self::NotEmpty { .. }
            | Self::NoData { .. }
            | Self::NoFolder { .. }
            | Self::Format { .. }
            | Self::ImpossibleKey(_)
            | Self::ReadOnly(_)
            | Self::Unsupported(_)
            | Self::Newer { .. }
            | Self::Closed
            | Self::Denied { .. } => ErrorClass::Refused,
        }
    }

    /// Whether all that was missing is a descriptor.
    pub(crate) fn is_for_want_of_descriptors(&self) -> bool {
        matches!(self, Self::Io { source, .. } if crate::sys::is_for_want_of_descriptors(source))
    }

    /// Whether all that was missing is memory.
    pub(crate) fn is_for_want_of_memory(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::OutOfMemory)
    }

    /// Nobody knows what `what` has changed.
    pub(crate) fn unknown(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::OutcomeUnknown { what: what.into(), source }
    }

    /// Whether what is on the disk is damaged, and not only out of reach.
    pub fn is_damage(&self) -> bool {
        self.class() == ErrorClass::Damage
    }

    /// The system refused while `what` was being done.
    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}
