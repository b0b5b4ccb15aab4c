//! The tree's file that says which version of its list of tables holds, as the tree writes it: the number comes first.
//!
//! The tree replaces it last, and syncs the folder after that. Where it had no descriptor left for the folder, the disk has a
//! version that memory has not: nothing is wrong with the disk, so the file is put back as it was. A sync that failed is another
//! matter, and nobody knows its outcome.
//!
//! Invariant: what is put back is the file of the very version that memory has, and it is synced before anything else is
//! removed or written.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tree's name for it.
pub(super) const LIST_FILE: &str = "current";

/// The name under which it is written anew.
const PUT_BACK: &str = "current.back";

/// What became of the last writing of table files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It is known.
    #[default]
    None,
    /// It failed, and may have been published.
    Failed,
    /// The same, for want of descriptors.
    ShortOfDescriptors,
}

/// The file, and what it was when it last said what memory says.
pub(super) struct ListFile {
    path: PathBuf,
    known: Mutex<Option<(u64, Vec<u8>)>>,
    doubt: Mutex<Doubt>,
}

impl ListFile {
    pub(super) fn new(folder: &Path) -> Self {
        Self { path: folder.join(LIST_FILE), known: Mutex::default(), doubt: Mutex::default() }
    }

    pub(super) fn doubt(&self) -> Doubt {
        *lock(&self.doubt)
    }

    pub(super) fn set_doubt(&self, doubt: Doubt) {
        *lock(&self.doubt) = doubt;
    }

    /// The version that the tree would be opened with now, if it was ever written.
    pub(super) fn version(&self) -> io::Result<Option<u64>> {
        Ok(self.read()?.and_then(|list| list.first_chunk().map(|number| u64::from_le_bytes(*number))))
    }

    /// Keeps what it is, if it says this version and that is not known yet.
    pub(super) fn note(&self, version: u64) -> io::Result<()> {
        if lock(&self.known).as_ref().is_some_and(|(known, _)| *known == version) {
            return Ok(());
        }
        if let Some(list) = self.read()?.filter(|list| list.starts_with(&version.to_le_bytes())) {
            *lock(&self.known) = Some((version, list));
        }
        Ok(())
    }

    /// Has the disk say this version, durably. `false`: it says another one, and what it was is not known.
    pub(super) fn put_back(&self, version: u64) -> io::Result<bool> {
        let folder = self.path.parent().unwrap_or(&self.path);
        if self.version()? != Some(version) {
            let known = lock(&self.known);
            let Some((_, list)) = known.as_ref().filter(|(known, _)| *known == version) else {
                return Ok(false);
            };
            let anew = folder.join(PUT_BACK);
            let mut file = File::create(&anew)?;
            file.write_all(list)?;
            file.sync_all()?;
            drop(file);
            fs::rename(&anew, &self.path)?;
        }
        crate::sys::sync_folder(folder)?;
        Ok(true)
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(&self.path) {
            Ok(list) => Ok(Some(list)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::log::cold::Cold as _;
    use crate::store::log::lsm::LsmCold;
    use crate::store::log::writer::Position;
    use crate::store::{ErrorClass, StoreError};

    fn ingest(cold: &LsmCold, seq: u64, key: &'static str) -> Result<(), StoreError> {
        let position = Position { seq, counters: [].into() };
        let mut records = [Ok((Bytes::from(key), Some(Bytes::from("value"))))].into_iter();
        cold.ingest(&position, &mut records, &mut || Ok(()))
    }

    /// With the tree that writes the file: its next version is written over what the failed one left.
    #[test]
    fn a_version_that_was_published_for_want_of_a_descriptor_gives_way_to_the_one_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
        ingest(&cold, 1, "a").unwrap();
        let path = dir.path().join(LIST_FILE);
        let replace = || {
            let mut list = fs::read(&path).unwrap();
            let next = u64::from_le_bytes(*list.first_chunk().unwrap()) + 1;
            list[..8].copy_from_slice(&next.to_le_bytes());
            fs::write(&path, list).unwrap();
            fs::write(dir.path().join(format!("v{next}")), "half a list").unwrap();
        };
        for (seq, key) in [(2, "b"), (3, "c")] {
            replace();
            cold.small.list_file.set_doubt(Doubt::ShortOfDescriptors);
            ingest(&cold, seq, key).unwrap();
            assert_eq!(cold.small.list_file.doubt(), Doubt::None);
        }
        drop(cold);
        let cold = LsmCold::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(cold.position().unwrap().seq, 3);
        for key in ["a", "b", "c"] {
            assert!(cold.get(key.as_bytes()).unwrap().is_some(), "{key}");
        }
        // A sync that failed is another matter.
        replace();
        cold.small.list_file.set_doubt(Doubt::Failed);
        assert_eq!(ingest(&cold, 4, "d").unwrap_err().class(), ErrorClass::Poison);
    }

    #[test]
    fn what_was_replaced_is_put_back_as_it_was_and_nothing_else_ever() {
        let dir = tempfile::tempdir().unwrap();
        let list = |version: u64| [&version.to_le_bytes()[..], b"rest"].concat();
        let path = dir.path().join(LIST_FILE);
        let file = ListFile::new(dir.path());
        assert_eq!(file.version().unwrap(), None);
        fs::write(&path, list(7)).unwrap();
        file.note(8).unwrap();
        fs::write(&path, list(8)).unwrap();
        assert!(!file.put_back(7).unwrap(), "what 7 was is not known");
        fs::write(&path, list(7)).unwrap();
        file.note(7).unwrap();
        assert!(file.put_back(7).unwrap());
        fs::write(&path, list(8)).unwrap();
        assert!(!file.put_back(6).unwrap() && file.version().unwrap() == Some(8));
        assert!(file.put_back(7).unwrap());
        assert_eq!(fs::read(&path).unwrap(), list(7));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
