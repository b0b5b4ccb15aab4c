//! A disk that loses power, and a cold store in memory beside it, for the crash tests.
//!
//! What it does worse than most disks: of everything not synced, any part may be there after the cut, sector by
//! sector, in any combination; names as well. What was synced is there, unless [`SimDisk::lie_about_syncs`] was
//! called. The cold store keeps what the real one promises: an ingestion is there as a whole or not at all.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::cold::{Cold, PinnedTables};
use super::disk::{Disk, DiskFile, DiskReader};
use super::merge::{Merge, Record};
use super::writer::Position;
use crate::store::StoreError;
use crate::store::locking::lock;

const SECTOR_BYTES: usize = 512;
/// What other threads get done between the last sync of an ingestion and its being there: enough to fill a segment or two
/// of the log.
const CALLS_BEFORE_PUBLISHING: usize = 40;

/// splitmix64: the same seed, the same run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[derive(Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    now: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    calls: u64,
    power_ends_at: Option<u64>,
    fails_at: Option<u64>,
    next_sync_fails: bool,
    removals_fail: bool,
    used_again: u64,
    syncs_lie: bool,
    capacity: Option<usize>,
}

/// The disk; clones are the same one.
#[derive(Clone, Default)]
pub(super) struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// Every call from the `n`th on fails.
    pub(super) fn end_power_at(&self, n: u64) {
        lock(&self.0).power_ends_at = Some(n);
    }

    pub(super) fn power_is_off(&self) -> bool {
        let state = lock(&self.0);
        state.power_ends_at.is_some_and(|n| state.calls >= n)
    }

    /// The `n`th call fails, those after it do not.
    pub(super) fn fail_at(&self, n: u64) {
        lock(&self.0).fails_at = Some(n);
    }

    /// Syncs succeed and do nothing.
    pub(super) fn lie_about_syncs(&self) {
        lock(&self.0).syncs_lie = true;
    }

    /// From now on syncs do nothing, or what they should.
    pub(super) fn lie_about_syncs_if(&self, lie: bool) {
        lock(&self.0).syncs_lie = lie;
    }

    /// Writes fail once the files hold this much.
    pub(super) fn set_capacity(&self, bytes: Option<usize>) {
        lock(&self.0).capacity = bytes;
    }

    pub(super) fn used_bytes(&self) -> usize {
        lock(&self.0).used_bytes()
    }

    /// Changes one bit of what is durably there.
    pub(super) fn flip_bit(&self, name: &str, at: usize, bit: u8) {
        let mut state = lock(&self.0);
        let inode = state.names[name];
        state.inodes[inode].now[at] ^= 1 << bit;
        state.inodes[inode].durable = state.inodes[inode].now.clone();
    }

    /// What the next process finds after a power cut now.
    pub(super) fn after_power_cut(&self, random: &mut Random) -> Self {
        let state = lock(&self.0);
        let mut names = state.durable_names.clone();
        for (name, inode) in &state.names {
            if random.below(2) == 0 {
                names.insert(name.clone(), *inode);
            }
        }
        names.retain(|name, _| state.names.contains_key(name) || random.below(2) == 0);
        let inodes = state.inodes.iter().map(|inode| inode.after_power_cut(random)).collect();
        let (durable_names, used_again) = (names.clone(), state.used_again);
        Self(Arc::new(Mutex::new(State { inodes, durable_names, names, used_again, ..State::default() })))
    }

    /// What the next process finds after a kill now: everything written, and none of it any more durable than before.
    pub(super) fn after_kill(&self) -> Self {
        let state = lock(&self.0);
        Self(Arc::new(Mutex::new(State {
            inodes: state.inodes.clone(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            used_again: state.used_again,
            ..State::default()
        })))
    }

    /// The same from a disk that got everything written before; for what has nothing to do with power.
    pub(super) fn after_kill_and_sync(&self) -> Self {
        let next = self.after_kill();
        let mut state = lock(&next.0);
        state.durable_names = state.names.clone();
        state.inodes.iter_mut().for_each(Inode::apply_pending);
        drop(state);
        next
    }

    /// The next sync of a file fails, and the system then takes what it had to write for written, as Linux does.
    pub(super) fn fail_next_sync(&self) {
        lock(&self.0).next_sync_fails = true;
    }

    /// Calls of any kind so far.
    pub(super) fn calls(&self) -> u64 {
        lock(&self.0).calls
    }

    /// The names of the files.
    pub(super) fn file_names(&self) -> Vec<String> {
        lock(&self.0).names.keys().cloned().collect()
    }

    /// What is in a file now.
    pub(super) fn contents(&self, name: &str) -> Vec<u8> {
        let state = lock(&self.0);
        state.inodes[state.names[name]].now.clone()
    }

    pub(super) fn contents_of_all(&self) -> Vec<(String, Vec<u8>)> {
        self.file_names().into_iter().map(|name| (name.clone(), self.contents(&name))).collect()
    }

    /// Replaces a file by a rename, as `FORMAT` is: what is in it is synced before, and its name after.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.call()?;
        let mut state = lock(&self.0);
        state.call()?;
        let (durable, now) = (bytes.to_vec(), bytes.to_vec());
        state.inodes.push(Inode { durable, now, pending: Vec::new() });
        let inode = state.inodes.len() - 1;
        state.names.insert(name.to_owned(), inode);
        drop(state);
        self.sync_names()
    }

    /// Files that were there and were written to from their start again.
    pub(super) fn used_again(&self) -> u64 {
        lock(&self.0).used_again
    }

    /// No file can be deleted.
    pub(super) fn refuse_removals(&self) {
        lock(&self.0).removals_fail = true;
    }

    /// Puts these bytes into a file, durably.
    pub(super) fn set_contents(&self, name: &str, bytes: Vec<u8>) {
        let mut state = lock(&self.0);
        let inode = match state.names.get(name) {
            Some(inode) => *inode,
            None => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.names.insert(name.to_owned(), inode);
                state.durable_names.insert(name.to_owned(), inode);
                inode
            }
        };
        state.inodes[inode] = Inode { durable: bytes.clone(), now: bytes, pending: Vec::new() };
    }

    fn call(&self) -> io::Result<()> {
        lock(&self.0).call()
    }
}

impl State {
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        if self.power_ends_at.is_some_and(|n| self.calls >= n) || self.fails_at == Some(self.calls) {
            return Err(io::Error::other("the simulated disk failed"));
        }
        Ok(())
    }

    fn used_bytes(&self) -> usize {
        self.names.values().map(|inode| self.inodes[*inode].now.len()).sum()
    }
}

impl Inode {
    /// Only what was written since the last sync goes to the disk: the system writes no page that it takes for written.
    fn apply_pending(&mut self) {
        for (at, data) in std::mem::take(&mut self.pending) {
            put(&mut self.durable, at, &data);
        }
    }

    fn after_power_cut(&self, random: &mut Random) -> Self {
        let mut bytes = self.durable.clone();
        // Nothing, everything, or any part of what was not synced.
        let luck = random.below(4);
        for (at, data) in &self.pending {
            for (n, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                if luck == 1 || luck > 1 && random.below(2) == 0 {
                    put(&mut bytes, at + n * SECTOR_BYTES, sector);
                }
            }
        }
        Self { durable: bytes.clone(), now: bytes, pending: Vec::new() }
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.call()?;
        Ok(lock(&self.0).names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = lock(&self.0);
        state.call()?;
        let inode = match state.names.get(name) {
            Some(inode) => *inode,
            None => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.names.insert(name.to_owned(), inode);
                inode
            }
        };
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn DiskReader>> {
        self.call()?;
        let state = lock(&self.0);
        let inode = state.names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(SimFile { disk: self.clone(), inode: *inode }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.call()?;
        if state.removals_fail {
            return Err(ErrorKind::PermissionDenied.into());
        }
        state.names.remove(name).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.call()?;
        if !state.syncs_lie {
            state.durable_names = state.names.clone();
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = lock(&self.0);
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used_bytes()) as u64))
    }
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.disk.0);
        let failed = state.call();
        let at = usize::try_from(offset).expect("small");
        let used = state.used_bytes() - state.inodes[self.inode].now.len();
        let room = state.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(used + at));
        let fits = bytes.len().min(room);
        state.used_again += u64::from(at == 0 && state.inodes[self.inode].now.iter().any(|byte| *byte != 0));
        let inode = &mut state.inodes[self.inode];
        put(&mut inode.now, at, &bytes[..fits]);
        // Also what failed may have reached the disk.
        inode.pending.push((at, bytes[..fits].to_vec()));
        failed?;
        if fits < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = lock(&self.disk.0);
        state.call()?;
        if std::mem::take(&mut state.next_sync_fails) {
            state.inodes[self.inode].pending.clear();
            return Err(io::Error::other("the simulated disk lost something"));
        }
        if !state.syncs_lie {
            state.inodes[self.inode].apply_pending();
        }
        Ok(())
    }
}

impl DiskReader for SimFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(lock(&self.disk.0).inodes[self.inode].now.len() as u64)
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = lock(&self.disk.0);
        let now = &state.inodes[self.inode].now;
        let from = usize::try_from(offset).expect("small").min(now.len());
        let bytes = into.len().min(now.len() - from);
        into[..bytes].copy_from_slice(&now[from..from + bytes]);
        Ok(bytes)
    }
}

/// A cold store in memory, on the power of a disk.
pub(super) struct SimCold {
    disk: SimDisk,
    kept: Mutex<(BTreeMap<Bytes, Bytes>, Position)>,
    /// Called between the records of an ingestion, and before it is published: what other threads do meanwhile.
    meanwhile: Mutex<Option<Meanwhile>>,
    /// The next ingestion finds that its disk is full when all but publishing is done.
    full: AtomicBool,
    /// What becomes of a step of a compaction.
    step: Mutex<Option<Step>>,
}

type Meanwhile = Box<dyn FnMut() + Send>;
type Step = Box<dyn FnMut() -> Result<bool, StoreError> + Send>;

impl SimCold {
    pub(super) fn new(disk: SimDisk) -> Self {
        Self::with(disk, (BTreeMap::new(), Position::default()))
    }

    /// What the next process finds, on the next process's disk.
    pub(super) fn on(&self, disk: SimDisk) -> Self {
        Self::with(disk, lock(&self.kept).clone())
    }

    fn with(disk: SimDisk, kept: (BTreeMap<Bytes, Bytes>, Position)) -> Self {
        let (kept, full) = (Mutex::new(kept), AtomicBool::default());
        Self { disk, kept, meanwhile: Mutex::default(), full, step: Mutex::default() }
    }

    /// Lets the next ingestion fail for want of space.
    pub(super) fn refuse_next(&self) {
        self.full.store(true, Ordering::Relaxed);
    }

    /// Lets `f` happen while each ingestion from now on is under way.
    pub(super) fn meanwhile(&self, f: impl FnMut() + Send + 'static) {
        *lock(&self.meanwhile) = Some(Box::new(f));
    }

    /// Lets `f` say what becomes of each step of a compaction from now on.
    pub(super) fn compact_with(&self, f: impl FnMut() -> Result<bool, StoreError> + Send + 'static) {
        *lock(&self.step) = Some(Box::new(f));
    }
}

impl Cold for SimCold {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(lock(&self.kept).0.get(key).cloned())
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Merge {
        let mut records = Vec::new();
        if from < to {
            let kept = lock(&self.kept);
            let range = kept.0.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
            records.extend(range.map(|(key, value)| Ok((key.clone(), Some(value.clone())))));
        }
        Merge::new(vec![Box::new(records.into_iter())])
    }

    fn position(&self) -> Result<Position, StoreError> {
        Ok(lock(&self.kept).1.clone())
    }

    fn ingest(
        &self,
        position: &Position,
        records: &mut dyn Iterator<Item = Result<Record, StoreError>>,
        before_publish: &mut dyn FnMut() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut taken: Vec<Record> = Vec::new();
        for record in records {
            taken.push(record?);
            if let Some(meanwhile) = &mut *lock(&self.meanwhile) {
                meanwhile();
            }
        }
        let records = taken;
        assert!(records.windows(2).all(|pair| pair[0].0 < pair[1].0), "a run is sorted");
        before_publish()?;
        for _ in 0..CALLS_BEFORE_PUBLISHING {
            if let Some(meanwhile) = &mut *lock(&self.meanwhile) {
                meanwhile();
            }
        }
        if self.full.swap(false, Ordering::Relaxed) {
            return Err(StoreError::io("ingest", ErrorKind::StorageFull.into()));
        }
        self.disk.call().map_err(|e| StoreError::io("ingest", e))?;
        let mut kept = lock(&self.kept);
        for (key, value) in records {
            match value {
                Some(value) => kept.0.insert(key, value),
                None => kept.0.remove(&key),
            };
        }
        kept.1 = position.clone();
        Ok(())
    }

    fn compact_step(&self) -> Result<bool, StoreError> {
        lock(&self.step).as_mut().map_or(Ok(false), |step| step())
    }

    fn compact_all(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn runs(&self) -> usize {
        0
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    fn files(&self) -> Vec<String> {
        Vec::new()
    }

    fn pin(&self) -> Result<PinnedTables, StoreError> {
        Err(StoreError::Unsupported("there are no files"))
    }
}
