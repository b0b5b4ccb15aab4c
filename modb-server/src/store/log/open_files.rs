//! Which table files are open, so that a read needs no descriptor that is not there.
//!
//! A file is open from the moment at which it is published: as many as the store may have open, those first that reads look at first.
//! Where there are more, those stay open that were opened last. A read that has to open one, and finds no descriptor left, has another of
//! them closed and goes on; so whoever takes the last descriptor takes none from reads.
//!
//! The trees look for an open file in the table that they are given, and put there what they had to open. That table is never full; what
//! is in it is decided here.
//!
//! Invariants: no more than `most` stay open, beside those that are being read. While `all_open` is true each published file is open, and
//! a read pays one look at it. Who has opened a file is counted until it is known to be open, so nobody takes it for one that is in use by others.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use lsm_tree::{DescriptorTable, GlobalTableId};

use super::tree::{PublishedFile, name_of};
use super::tree_error::tree_error;
use crate::store::StoreError;
use crate::store::locking::lock;

/// Open table files, each of which is one descriptor: the part of what the process may have open, and the most.
const OPEN_FILES_PART: usize = 8;
const MAX_OPEN_FILES: usize = 128;
/// Fewer would be opened and closed for nearly each read.
const MIN_OPEN_FILES: usize = 16;
/// So long who finds no file to close waits for what others have opened meanwhile: many times what a read takes.
const PATIENCE: Duration = Duration::from_secs(1);
/// More files than a store ever has: what the trees' table could close by itself.
const NEVER_FULL: usize = 1 << 20;

/// See the top of this file.
pub(super) struct OpenFiles {
    table: Arc<DescriptorTable>,
    most: usize,
    all_open: AtomicBool,
    held: RwLock<Held>,
    /// Those who may have opened a file which is not among `held` yet.
    opening: AtomicUsize,
    /// Held by who closes a file to open another: who waits for it finds that one to close.
    exchanging: Mutex<()>,
    is_for_want_of_descriptors: fn(&io::Error) -> bool,
}

/// The files that are open, the first that was opened first. Those of tables that are gone may be among them.
#[derive(Default)]
struct Held {
    ids: HashSet<GlobalTableId>,
    order: VecDeque<GlobalTableId>,
}

impl Held {
    fn add(&mut self, id: GlobalTableId) {
        if self.ids.insert(id) {
            self.order.push_back(id);
        }
    }

    /// Takes out the first that may be closed.
    fn take(&mut self, may_be: impl Fn(&GlobalTableId) -> bool) -> Option<GlobalTableId> {
        let id = self.order.remove(self.order.iter().position(may_be)?)?;
        self.ids.remove(&id);
        Some(id)
    }

    /// Forgets those that were closed with their tables.
    fn forget(&mut self, table: &DescriptorTable) {
        self.order.retain(|id| table.access_for_table(id).is_some());
        self.ids = self.order.iter().copied().collect();
    }
}

/// One who is counted in `opening`.
struct Opening<'a>(&'a AtomicUsize);

impl<'a> Opening<'a> {
    fn begin(opening: &'a AtomicUsize) -> Self {
        opening.fetch_add(1, Ordering::AcqRel);
        Self(opening)
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl OpenFiles {
    /// For a process that may have so many descriptors.
    pub(super) fn new(descriptors: Option<usize>) -> Self {
        Self {
            table: Arc::new(DescriptorTable::new(NEVER_FULL)),
            most: most_open(descriptors),
            all_open: AtomicBool::new(false),
            held: RwLock::default(),
            opening: AtomicUsize::new(0),
            exchanging: Mutex::default(),
            is_for_want_of_descriptors: crate::sys::is_for_want_of_descriptors,
        }
    }

    /// How many may be open.
    #[cfg(test)]
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Where the trees look.
    pub(super) fn table(&self) -> Arc<DescriptorTable> {
        Arc::clone(&self.table)
    }

    /// Reads in a table file, which may have to be opened for that; `read` is tried again for as long as all that is missing is a
    /// descriptor, and there is one to be had.
    #[inline]
    pub(super) fn read<T>(
        &self,
        id: GlobalTableId,
        mut read: impl FnMut() -> lsm_tree::Result<T>,
    ) -> lsm_tree::Result<T> {
        if self.all_open.load(Ordering::Acquire) {
            let result = read();
            if !self.is_short(&result) {
                // Closed by others meanwhile, it was opened again.
                if !self.all_open.load(Ordering::Acquire) {
                    self.hold(id);
                }
                return result;
            }
        }
        self.open_and_read(id, read)
    }

    fn open_and_read<T>(
        &self,
        id: GlobalTableId,
        mut read: impl FnMut() -> lsm_tree::Result<T>,
    ) -> lsm_tree::Result<T> {
        let opening = Opening::begin(&self.opening);
        let result = read();
        if !self.is_short(&result) {
            self.hold(id);
            return result;
        }
        drop(opening);
        // Before he waits for those who look for one, too: together they take no longer.
        let begin = Instant::now();
        let _alone = lock(&self.exchanging);
        loop {
            let result = read();
            if !self.is_short(&result) {
                self.hold(id);
                return result;
            }
            // Asked for first: what they open is among those that can be closed once they are not counted.
            let others = self.opening.load(Ordering::Acquire) > 0;
            if !self.close_one() {
                // Those who read what is open come and go: where no file leaves a descriptor, as when the limit was lowered, there may always be one.
                if !others || begin.elapsed() >= PATIENCE {
                    return result;
                }
                std::thread::yield_now();
            }
        }
    }

    /// The file itself.
    pub(super) fn file(&self, id: GlobalTableId, path: &Path) -> lsm_tree::Result<Arc<File>> {
        self.read(id, || {
            if let Some(file) = self.table.access_for_table(&id) {
                return Ok(file);
            }
            let file = Arc::new(File::open(path)?);
            self.table.insert_for_table(id, Arc::clone(&file));
            Ok(file)
        })
    }

    fn is_short<T>(&self, result: &lsm_tree::Result<T>) -> bool {
        matches!(result, Err(lsm_tree::Error::Io(error)) if (self.is_for_want_of_descriptors)(error))
    }

    /// From now on other files are published than before; [`OpenFiles::publish`] says which.
    pub(super) fn expect(&self) {
        self.all_open.store(false, Ordering::Release);
    }

    /// Opens those that are not open, as far as there may be so many. One caller at a time. On an error reads do so as they need it.
    pub(super) fn publish(&self, published: &[PublishedFile]) -> Result<(), StoreError> {
        self.expect();
        self.write().forget(&self.table);
        let first = &published[..published.len().min(self.most)];
        let kept: HashSet<_> = first.iter().map(|(id, _)| *id).collect();
        for (id, path) in first {
            if self.hold(*id) {
                continue;
            }
            // No lock is held, so no read waits for the disk. It is counted as a read that opens is: it may take the last descriptor.
            let _opening = Opening::begin(&self.opening);
            let file = File::open(&**path).map_err(|e| tree_error(&name_of(path), e.into()))?;
            let mut held = self.write();
            self.close_beyond(self.most - 1, &mut held, |id| !kept.contains(id));
            self.table.insert_for_table(*id, Arc::new(file));
            held.add(*id);
        }
        let held = self.write();
        let all_open = published.iter().all(|(id, _)| held.ids.contains(id));
        self.all_open.store(all_open, Ordering::Release);
        Ok(())
    }

    /// Whether the file is open; then it is among those that can be closed.
    fn hold(&self, id: GlobalTableId) -> bool {
        if self.held().ids.contains(&id) {
            return true;
        }
        if self.table.access_for_table(&id).is_none() {
            return false;
        }
        let mut held = self.write();
        held.add(id);
        self.close_beyond(self.most, &mut held, |other| *other != id);
        true
    }

    fn close_beyond(&self, most: usize, held: &mut Held, may_be: impl Fn(&GlobalTableId) -> bool) {
        while held.ids.len() > most
            && let Some(id) = held.take(&may_be)
        {
            self.all_open.store(false, Ordering::Release);
            self.table.remove_for_table(&id);
        }
    }

    /// Closes a file of which the descriptor is one that can be had again; whether there was any.
    fn close_one(&self) -> bool {
        let mut held = self.write();
        let file = |id: &GlobalTableId| self.table.access_for_table(id);
        let closed = held.take(|id| file(id).is_some_and(|file| crate::sys::leaves_descriptor(&file)));
        let Some(id) = closed else { return false };
        self.all_open.store(false, Ordering::Release);
        self.table.remove_for_table(&id);
        true
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many table files are open at once, where the process may have so many descriptors in all. What is kept from connections
/// (`modb_net::share_descriptors`) is more than that and the log's files.
fn most_open(descriptors: Option<usize>) -> usize {
    let part = descriptors.map_or(MAX_OPEN_FILES, |descriptors| descriptors / OPEN_FILES_PART);
    part.clamp(MIN_OPEN_FILES, MAX_OPEN_FILES)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn id(n: u64) -> GlobalTableId {
        (0, n).into()
    }

    /// Files to be published, and the folder in which they lie.
    fn files(count: u64) -> (tempfile::TempDir, Vec<PublishedFile>) {
        let dir = tempfile::tempdir().unwrap();
        let files = (0..count).map(|n| {
            let path = dir.path().join(n.to_string());
            std::fs::write(&path, "table").unwrap();
            (id(n), Arc::new(path))
        });
        let files = files.collect();
        (dir, files)
    }

    fn open(files: &OpenFiles, published: &[PublishedFile]) -> Vec<usize> {
        (0..published.len()).filter(|n| files.table.access_for_table(&published[*n].0).is_some()).collect()
    }

    /// As the system says it.
    fn lack() -> lsm_tree::Error {
        io::Error::other("too many open files").into()
    }

    fn with_so_few(most: usize) -> OpenFiles {
        let is_for_want_of_descriptors = |error: &io::Error| error.kind() == io::ErrorKind::Other;
        OpenFiles { most, is_for_want_of_descriptors, ..OpenFiles::new(None) }
    }

    #[test]
    fn with_few_descriptors_few_table_files_are_open() {
        let of = |descriptors| most_open(Some(descriptors));
        assert_eq!([of(64), of(256), of(420), of(1024), of(1 << 20)], [16, 32, 52, 128, 128]);
        assert_eq!(most_open(None), MAX_OPEN_FILES);
    }

    #[test]
    fn what_is_published_is_open_all_of_it_where_there_may_be_so_many() {
        let (_dir, published) = files(MAX_OPEN_FILES as u64);
        let files = OpenFiles::new(None);
        files.publish(&published).unwrap();
        assert_eq!(open(&files, &published).len(), MAX_OPEN_FILES, "also where they are as many as may be");
        assert!(files.all_open.load(Ordering::Acquire));
    }

    #[test]
    fn of_more_than_may_be_open_the_first_are_and_then_who_was_read_last() {
        let (_dir, published) = files(20);
        let files = with_so_few(4);
        files.publish(&published[10..]).unwrap();
        files.publish(&published).unwrap();
        assert_eq!(open(&files, &published), [0, 1, 2, 3]);
        for n in [7, 9] {
            files.file(published[n].0, &published[n].1).unwrap();
        }
        assert_eq!(open(&files, &published), [2, 3, 7, 9]);
        // The trees close what they remove.
        files.table.remove_for_table(&id(7));
        files.publish(&published[..3]).unwrap();
        assert_eq!(open(&files, &published), [0, 1, 2, 9]);
    }

    #[test]
    fn what_cannot_be_opened_is_said_and_opened_when_it_is_published_again() {
        let (dir, published) = files(3);
        let files = OpenFiles::new(None);
        let (path, away) = (dir.path().join("1"), dir.path().join("away"));
        std::fs::rename(&path, &away).unwrap();
        assert!(files.publish(&published).is_err());
        assert!(!files.all_open.load(Ordering::Acquire));
        std::fs::rename(&away, &path).unwrap();
        files.publish(&published).unwrap();
        assert_eq!(open(&files, &published), [0, 1, 2]);
    }

    /// A system with so few descriptors that many threads read through one or two.
    #[test]
    fn reads_go_on_in_turn_through_the_last_descriptor() {
        const ROUNDS: u64 = 2_000;
        let (_dir, published) = files(8);
        for left in 1..3 {
            let files = with_so_few(8);
            files.publish(&published).unwrap();
            let (most, system, opens) = (AtomicUsize::new(8), Mutex::new(()), AtomicU64::new(0));
            let read = |n: usize| {
                let (id, path) = &published[n];
                files.read(*id, || {
                    if files.table.access_for_table(id).is_some() {
                        return Ok(());
                    }
                    opens.fetch_add(1, Ordering::Relaxed);
                    let _alone = lock(&system);
                    if open(&files, &published).len() >= most.load(Ordering::Acquire) {
                        return Err(lack());
                    }
                    files.table.insert_for_table(*id, Arc::new(File::open(&**path)?));
                    Ok(())
                })
            };
            (0..8).for_each(|n| read(n).unwrap());
            assert_eq!(opens.load(Ordering::Relaxed), 0, "no read opens what was published");
            // They are taken away from all but so few.
            while open(&files, &published).len() > left {
                assert!(files.close_one());
            }
            most.store(left, Ordering::Release);
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let read = &read;
                    scope.spawn(move || {
                        for round in 0..ROUNDS {
                            read(((round * 5 + thread * 3) % 8) as usize).unwrap();
                        }
                    });
                }
            });
            assert!(opens.load(Ordering::Relaxed) > ROUNDS, "hardly any read had to open one");
        }
    }

    #[test]
    fn who_finds_no_descriptor_and_has_none_to_give_is_told() {
        let files = with_so_few(4);
        let mut tries = 0;
        let read = files.read(id(0), || {
            tries += 1;
            Err::<(), _>(lack())
        });
        assert!(read.is_err() && tries == 2);
    }

    #[test]
    fn who_finds_none_to_close_does_not_wait_for_ever_for_others_who_read() {
        let files = with_so_few(4);
        let _reading = Opening::begin(&files.opening);
        let mut tries = 0_u64;
        assert!(
            files
                .read(id(0), || {
                    tries += 1;
                    Err::<(), _>(lack())
                })
                .is_err()
        );
        assert!(tries > 2, "it has waited, since what they open could be closed");
    }
}
