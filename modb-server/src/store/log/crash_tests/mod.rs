//! Power cuts, kills, failing calls, full disks, flipped bits and older versions, on the simulated disk.
//!
//! After each, the store must hold exactly the first `k` commits for some `k`: all that were acknowledged as
//! durable and none that was never made, records and counters alike. A store whose disk only pretends to
//! sync must fail this, or the tests prove nothing.

mod copies;
mod damage;
mod kills;
mod memory;
mod patches;
mod power;
mod space;
mod threads;
mod versions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::cold::Cold;
use super::disk::Disk;
use super::engine::{Engine, Tuning};
use super::file_head::HEAD_BYTES;
use super::sim::{Random, SimCold, SimDisk};
use super::start::{self, Before, Owner, Parts, Tables};
use crate::store::format::{End, EndFile, Format};
use crate::store::group::Backing;
use crate::store::locking::lock;
use crate::store::{Batch, Change, Counter, EngineKind, Patch, Splices, StoreError, Write};

const TUNING: Tuning =
    Tuning { segment_bytes: HEAD_BYTES as u64 + 4096, log_bytes: 16 << 10, table_bytes: 1 << 20 };
const FORMAT: &str = "FORMAT";
const COUNTERS: u32 = 3;

/// One process's life with a store, and what must survive it.
struct Life {
    tuning: Tuning,
    disk: SimDisk,
    cold: Arc<SimCold>,
    engine: Arc<Engine>,
    commits: Arc<Mutex<Vec<Batch>>>,
    /// Commits that were acknowledged as durable.
    durable: usize,
}

/// Why a life did not go on in the next.
#[derive(Debug)]
#[allow(dead_code)] // read by Debug
enum Broken {
    Refused(StoreError),
    Lost { durable: usize, kept: usize },
    NoPrefix { kept: usize },
}

impl Life {
    fn first() -> Self {
        Self::first_on(new_disk())
    }

    fn first_on(disk: SimDisk) -> Self {
        Self::first_with(TUNING, disk)
    }

    fn first_with(tuning: Tuning, disk: SimDisk) -> Self {
        let cold = Arc::new(SimCold::new(disk.clone()));
        let engine = recover_with(tuning, &disk, &cold, false).unwrap();
        Self { tuning, ..Self::of(disk, cold, engine, Vec::new()) }
    }

    /// Whose commits go on while a flush runs.
    fn of(disk: SimDisk, cold: Arc<SimCold>, engine: Engine, commits: Vec<Batch>) -> Self {
        let (engine, durable) = (Arc::new(engine), commits.len());
        let commits = Arc::new(Mutex::new(commits));
        let (weak, kept) = (Arc::downgrade(&engine), Arc::clone(&commits));
        let mut random = Random(durable as u64);
        cold.meanwhile(move || {
            if let Some(engine) = weak.upgrade()
                && random.below(3) == 0
            {
                let batch = changing(&engine, &mut random);
                if engine.apply(&batch).is_ok() {
                    lock(&kept).push(batch);
                }
                if random.below(3) == 0 {
                    let _ = engine.log.write_out();
                }
            }
        });
        Self { tuning: TUNING, disk, cold, engine, commits, durable }
    }

    fn commits(&self) -> Vec<Batch> {
        lock(&self.commits).clone()
    }

    /// Does what a busy server does, until something fails or `steps` are done.
    fn live(&mut self, random: &mut Random, steps: u64) -> Result<(), StoreError> {
        for _ in 0..steps {
            match random.below(20) {
                0..12 => self.commit(random)?,
                12..16 => drop(self.engine.log.write_out()?),
                16..18 => {
                    let synced = Backing::sync(&*self.engine)?.0 as usize;
                    self.durable = self.durable.max(synced);
                }
                18 => drop(self.engine.flush()?),
                _ => self.engine.log.prepare_files(random.below(2) == 0)?,
            }
        }
        Ok(())
    }

    /// Ends as a store does that is closed.
    fn close(&mut self) {
        self.durable = Backing::sync(&*self.engine).unwrap().0 as usize;
        let position = self.engine.log.position();
        let counters = position.counters.into_iter().filter(|(_, value)| *value != 0).collect();
        let files = self.engine.log.segments_in_use().into_iter().map(|(name, bytes)| EndFile {
            name: format!("log/{name}"),
            bytes,
            crc: None,
        });
        let end = End { commit: position.seq, counters, files: files.collect() };
        mark(&self.disk, Some(end)).unwrap();
    }

    fn commit(&self, random: &mut Random) -> Result<(), StoreError> {
        let batch = changing(&self.engine, random);
        let seq = self.engine.apply(&batch)?;
        let mut commits = lock(&self.commits);
        commits.push(batch);
        assert_eq!(seq.0 as usize, commits.len());
        Ok(())
    }

    /// The next process on what the disk holds then.
    fn next(self, disk: SimDisk, accept_data_loss: bool) -> Result<Self, Broken> {
        let cold = Arc::new(self.cold.on(disk.clone()));
        let tuning = self.tuning;
        let engine = recover_with(tuning, &disk, &cold, accept_data_loss).map_err(Broken::Refused)?;
        let kept = engine.log.committed().0 as usize;
        if kept < self.durable && !accept_data_loss {
            return Err(Broken::Lost { durable: self.durable, kept });
        }
        let mut commits = self.commits();
        if kept > commits.len() {
            return Err(Broken::NoPrefix { kept });
        }
        if accept_data_loss {
            // A flush may have moved records that are newer than the cut; each was written once all the same.
            assert!(contents(&engine).0.into_iter().all(|(key, value)| {
                let mut writes = commits.iter().flat_map(|batch| &batch.writes);
                writes.any(|write| {
                    write.key().is_some_and(|written| **written == *key) && write.value() == Some(&value)
                })
            }));
            return Ok(Self { tuning, ..Self::of(disk, cold, engine, commits) });
        }
        commits.truncate(kept);
        if contents(&engine) != model(&commits) {
            return Err(Broken::NoPrefix { kept });
        }
        Ok(Self { tuning, ..Self::of(disk, cold, engine, commits) })
    }
}

/// A disk with a folder that was just made.
fn new_disk() -> SimDisk {
    let disk = SimDisk::default();
    mark(&disk, None).unwrap();
    disk
}

fn mark(disk: &SimDisk, end: Option<End>) -> Result<(), StoreError> {
    let format = Format::of(EngineKind::Log, end).encode();
    disk.replace(FORMAT, format.as_bytes()).map_err(|e| StoreError::io("cannot write FORMAT", e))
}

fn before(disk: &SimDisk) -> Before {
    let format = String::from_utf8(disk.contents(FORMAT)).unwrap();
    Before::of(&Format::decode(&format).unwrap())
}

fn recover(disk: &SimDisk, cold: &Arc<SimCold>, accept_data_loss: bool) -> Result<Engine, StoreError> {
    recover_with(TUNING, disk, cold, accept_data_loss)
}

fn recover_with(
    tuning: Tuning,
    disk: &SimDisk,
    cold: &Arc<SimCold>,
    accept_data_loss: bool,
) -> Result<Engine, StoreError> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let parts = Parts { disk: shared, tables: Tables::Seen(Arc::<SimCold>::clone(cold)), tuning };
    let mut owner = SimOwner { disk: disk.clone(), cold: Arc::clone(cold) };
    start::start(parts, &before(disk), accept_data_loss, &mut owner)
}

struct SimOwner {
    disk: SimDisk,
    cold: Arc<SimCold>,
}

impl Owner for SimOwner {
    fn mark_in_use(&mut self) -> Result<(), StoreError> {
        mark(&self.disk, None)
    }

    fn take_tables(&mut self) -> Result<Arc<dyn Cold>, StoreError> {
        Ok(Arc::<SimCold>::clone(&self.cold))
    }
}

/// Opens what is there for reading.
fn look(disk: &SimDisk, cold: &Arc<SimCold>) -> Result<Engine, StoreError> {
    look_with(TUNING, disk, Tables::Seen(Arc::<SimCold>::clone(cold)))
}

fn look_with(tuning: Tuning, disk: &SimDisk, tables: Tables) -> Result<Engine, StoreError> {
    let parts = Parts { disk: Arc::new(disk.clone()), tables, tuning };
    start::look(parts, &before(disk), false).map(|(engine, _)| engine)
}

fn random_batch(random: &mut Random) -> Batch {
    let mut writes = Vec::new();
    for _ in 0..=random.below(4) {
        let mut key = vec![0x10, 0, 0, 0, 0];
        key.extend_from_slice(&(random.below(24) << 56 | 7).to_be_bytes());
        let key = Bytes::from(key);
        writes.push(match random.below(6) {
            0 => Write::Delete(key.into()),
            1 => Write::Add(Counter(random.below(COUNTERS.into()) as u32), random.below(100) as i64 - 50),
            _ => {
                let bytes = random.below(300) as usize;
                Write::Put(key.into(), Bytes::from(vec![random.next() as u8; bytes]))
            }
        });
    }
    Batch { writes }
}

/// A random batch, in which some records that are there change here and there.
fn changing(engine: &Engine, random: &mut Random) -> Batch {
    let batch = random_batch(random);
    change_some(engine, random, batch)
}

/// Some of the records that the batch puts change instead, if they are there.
fn change_some(engine: &Engine, random: &mut Random, mut batch: Batch) -> Batch {
    for at in 0..batch.writes.len() {
        let Write::Put(key, _) = &batch.writes[at] else { continue };
        let writes = batch.writes.iter().filter(|write| write.key() == Some(key)).count();
        let found = engine.get(key).unwrap();
        if let Some(base) = found.value
            && writes == 1
            && random.below(4) > 0
        {
            let (value, change) = changed(base, random);
            let patch = Patch { key: key.clone(), base_seq: found.seq, value, change };
            batch.writes[at] = change_again(patch, random);
        }
    }
    batch
}

/// A change, or that and a second one of what it makes, as one: as a transaction makes them that changes a page twice.
fn change_again(patch: Patch, random: &mut Random) -> Write {
    let first = Box::new(patch);
    if random.below(2) == 0 {
        return Write::Patch(first);
    }
    let (value, change) = changed(first.value.clone(), random);
    let second = Patch { key: first.key.clone(), base_seq: first.base_seq, value, change };
    match first.then(Box::new(second)) {
        Ok(both) => Write::Patch(both),
        Err(whole) => Write::Put(whole.key, whole.value),
    }
}

/// What a record becomes, and how, which may be known or not.
fn changed(base: Bytes, random: &mut Random) -> (Bytes, Change) {
    let (mut splices, mut end) = (Splices::default(), 0);
    for _ in 0..=random.below(3) {
        let at = end + random.below((base.len() - end) as u64 + 1) as usize;
        let removed = (random.below(20) as usize).min(base.len() - at);
        let most = if base.len() < 300 { 24 } else { 8 };
        let added: Vec<u8> = (0..random.below(most)).map(|_| random.next() as u8).collect();
        splices.push(at, removed, &added);
        end = at + removed;
    }
    let value = splices.apply(&base).unwrap();
    (value.into(), if random.below(2) == 0 { Change::By(splices) } else { Change::From(base) })
}

type Contents = (BTreeMap<Bytes, Bytes>, Vec<i64>);

fn contents(engine: &Engine) -> Contents {
    let page = engine.scan(&[1], &[0xff], 1000, usize::MAX).unwrap();
    for (key, value) in &page.records {
        assert_eq!(engine.get(key).unwrap().value.as_ref(), Some(value));
    }
    (page.records.into_iter().collect(), (0..COUNTERS).map(|c| engine.counter(Counter(c))).collect())
}

fn model(commits: &[Batch]) -> Contents {
    let (mut records, mut counters) = (BTreeMap::new(), vec![0; COUNTERS as usize]);
    for write in commits.iter().flat_map(|batch| &batch.writes) {
        match (write, write.key(), write.value()) {
            (Write::Add(counter, by), ..) => counters[counter.0 as usize] += by,
            (_, Some(key), Some(value)) => drop(records.insert(key.clone().into(), value.clone())),
            (_, Some(key), None) => drop(records.remove(&key[..])),
            (_, None, _) => {}
        }
    }
    (records, counters)
}
