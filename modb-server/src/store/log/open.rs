//! From a data folder to an engine: which of its files are opened, and as what. What is done with their contents is for
//! `start`.
//!
//! Invariant: until all is known to be well nothing in the folder is changed, not even what a crash left there. The tables are
//! read through a [`View`] until then, since the tree tidies up when it is opened.

use std::sync::Arc;

use super::cold::Cold;
use super::copy::AtRest;
use super::disk::{Disk, RealDisk};
use super::engine::{Engine, Tuning};
use super::folders::{LOG_FOLDER, TABLES_FOLDER, log_folder, open_tables, sync_folders};
use super::recover::Version;
use super::start::{self, Before, Owner, Parts, Tables};
use super::view::View;
use crate::store::StoreError;
use crate::store::end::Depth;
use crate::store::folder::Folder;
use crate::store::options::{EngineKind, OpenOptions};

/// A folder that is open.
pub(super) struct Opened {
    pub(super) engine: Engine,
    pub(super) folder: Folder,
    pub(super) use_of_files: UseOfFiles,
}

/// What may be done with the folder.
pub(super) enum UseOfFiles {
    Write,
    /// Nothing but to look.
    Look {
        /// What there is; not of a version that is no longer written.
        files: Option<AtRest>,
        /// What the tables are looked at through, if need be.
        _view: Option<View>,
    },
}

/// For writing.
pub(super) fn start(
    options: &OpenOptions,
    block_cache_bytes: u64,
    tuning: Tuning,
) -> Result<Opened, StoreError> {
    let folder = Folder::take(&options.folder, EngineKind::Log)?;
    let (tables, view) = see_tables(&folder, options, block_cache_bytes)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::look(folder.path().join(LOG_FOLDER)));
    let as_they_are = view.is_none().then(|| Arc::clone(&tables));
    let mut owner = FolderOwner { folder: &folder, as_they_are, block_cache_bytes };
    let parts = Parts { disk, tables: Tables::Seen(tables), tuning };
    let engine = start::start(parts, &Before::of(folder.found()), options.accept_data_loss, &mut owner)
        .map_err(|error| named(&folder, error))?;
    Ok(Opened { engine, folder, use_of_files: UseOfFiles::Write })
}

/// For reading.
pub(super) fn look(
    options: &OpenOptions,
    block_cache_bytes: u64,
    tuning: Tuning,
) -> Result<Opened, StoreError> {
    let folder = Folder::look(&options.folder, EngineKind::Log)?;
    let (tables, view) = see_tables(&folder, options, block_cache_bytes)?;
    // What is written through a view is in the view alone.
    let pinned = tables.pin()?;
    let tables = if view.is_some() { Tables::Own(tables) } else { Tables::Seen(tables) };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::look(folder.path().join(LOG_FOLDER)));
    let parts = Parts { disk, tables, tuning };
    let before = Before::of(folder.found());
    let (engine, log) =
        start::look(parts, &before, options.accept_data_loss).map_err(|error| named(&folder, error))?;
    let files = (before.version == Version::Two).then_some(AtRest { tables: pinned, log });
    Ok(Opened { engine, folder, use_of_files: UseOfFiles::Look { files, _view: view } })
}

/// The tables, through a view if that can be made.
fn see_tables(
    folder: &Folder,
    options: &OpenOptions,
    block_cache_bytes: u64,
) -> Result<(Arc<dyn Cold>, Option<View>), StoreError> {
    check_files(folder, Depth::Sizes, options.accept_data_loss)?;
    let tables = folder.path().join(TABLES_FOLDER);
    let view = View::of(&tables, folder.path()).inspect_err(|error| {
        tracing::debug!(%error, "the tables are opened as they are");
    });
    let view = view.ok();
    let seen = open_tables(view.as_ref().map_or(&tables, |view| view.folder()), block_cache_bytes)?;
    Ok((Arc::new(seen), view))
}

/// A folder that may be written to once its contents are known to be well.
struct FolderOwner<'a> {
    folder: &'a Folder,
    /// The tables, if they had to be opened before.
    as_they_are: Option<Arc<dyn Cold>>,
    block_cache_bytes: u64,
}

impl Owner for FolderOwner<'_> {
    fn mark_in_use(&mut self) -> Result<(), StoreError> {
        self.folder.mark_in_use()
    }

    fn take_tables(&mut self) -> Result<Arc<dyn Cold>, StoreError> {
        let folder = self.folder.path();
        let tables = folder.join(TABLES_FOLDER);
        let cold = match self.as_they_are.take() {
            Some(cold) => cold,
            None => Arc::new(open_tables(&tables, self.block_cache_bytes)?),
        };
        // The process that published the tables may have ended before it synced their names.
        sync_folders(&tables)?;
        log_folder(folder)?;
        Ok(cold)
    }
}

/// Holds the folder to the files that it states, if it does.
pub(super) fn check_files(folder: &Folder, depth: Depth, accept_data_loss: bool) -> Result<(), StoreError> {
    let Some(end) = &folder.found().end else { return Ok(()) };
    match end.check_files(folder.path(), depth) {
        Err(error @ StoreError::Corrupt { .. }) if accept_data_loss => {
            tracing::error!(%error, "opened with data loss, as asked");
            Ok(())
        }
        checked => checked,
    }
}

/// The error that says which file of the folder is damaged, where its checksum says so and the log cannot.
fn named(folder: &Folder, error: StoreError) -> StoreError {
    match (&error, &folder.found().end) {
        (StoreError::Corrupt { .. }, Some(end)) => match end.check_files(folder.path(), Depth::Bytes) {
            Err(named @ StoreError::Corrupt { .. }) => named,
            _ => error,
        },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use bytes::Bytes;

    use super::*;
    use crate::store::log::LogStore;
    use crate::store::{Batch, Store, Write};

    fn files_of(folder: &Path, files: &mut BTreeMap<std::path::PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files_of(&path, files);
            } else if !path.ends_with("LOCK") {
                files.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }

    /// A folder with a table file, a log and what a crash left beside the tables.
    fn folder_after_a_kill() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let store = LogStore::open(&OpenOptions::new(dir.path())).unwrap();
        for value in ["one", "two"] {
            let put = Write::Put("a".into(), Bytes::from(value));
            store.apply(Batch { writes: vec![put] }).unwrap();
            store.settle().unwrap();
            store.sync().unwrap();
            if value == "one" {
                store.compact().unwrap();
            }
        }
        store.close().unwrap();
        drop(store);
        fs::write(dir.path().join("FORMAT"), "modb 3 log\n").unwrap();
        fs::write(dir.path().join("tables").join("tables").join("999"), "half a table").unwrap();
        fs::write(dir.path().join("tables").join("v999"), "half a list").unwrap();
        dir
    }

    #[test]
    fn a_damaged_list_of_tables_is_an_error_and_no_panic() {
        let dir = folder_after_a_kill();
        let tables = dir.path().join("tables");
        let current = fs::read(tables.join("current")).unwrap();
        let version = u64::from_le_bytes(*current.first_chunk().unwrap());
        let list = tables.join(format!("v{version}"));
        let whole = fs::read(&list).unwrap();
        for damaged in [vec![0; whole.len()], whole[..whole.len() / 2].to_vec()] {
            fs::write(&list, damaged).unwrap();
            assert!(LogStore::open(&OpenOptions::new(dir.path())).is_err());
            fs::write(&list, &whole).unwrap();
        }
        assert!(LogStore::open(&OpenOptions::new(dir.path())).is_ok());
    }

    #[test]
    fn a_start_that_is_refused_changes_nothing_and_one_that_is_not_tidies_up() {
        let dir = folder_after_a_kill();
        let options = OpenOptions::new(dir.path());
        let log = dir.path().join("log").join("log-000001");
        let whole = fs::read(&log).unwrap();
        let mut damaged = whole.clone();
        damaged[9] ^= 1;
        fs::write(&log, damaged).unwrap();
        let mut before = BTreeMap::new();
        files_of(dir.path(), &mut before);
        for passive in [false, true] {
            let refused = LogStore::open(&OpenOptions { passive, ..options.clone() }).map(drop);
            assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
            let mut after = BTreeMap::new();
            files_of(dir.path(), &mut after);
            assert!(after == before, "{:?} of {:?}", after.keys(), before.keys());
        }
        fs::write(&log, whole).unwrap();
        let store = LogStore::open(&options).unwrap();
        assert_eq!(store.get(b"a").unwrap().value, Some(Bytes::from("two")));
        drop(store);
        let mut after = BTreeMap::new();
        files_of(dir.path(), &mut after);
        assert!(!after.keys().any(|name| name.ends_with("999") || name.ends_with("v999")));
    }
}
