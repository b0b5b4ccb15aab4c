//! Power cuts, kills, failing calls, full disks and flipped bits, on the simulated disk.
//!
//! After each, the store must hold exactly the first `k` commits for some `k`: all that were acknowledged as
//! durable and none that was never made, records and counters alike. A store whose disk only pretends to
//! sync must fail this, or the tests prove nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::cold::Cold;
use super::disk::Disk;
use super::engine::{Engine, Tuning};
use super::sim::{Random, SimCold, SimDisk};
use crate::store::group::{Backing, lock};
use crate::store::{Batch, Counter, ErrorClass, StoreError, Write};

const TUNING: Tuning = Tuning { segment_bytes: 4096, log_bytes: 16 << 10, table_bytes: 1 << 20 };
const COUNTERS: u32 = 3;

/// One process's life with a store, and what must survive it.
struct Life {
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
        let disk = SimDisk::default();
        let cold = Arc::new(SimCold::new(disk.clone()));
        let engine = recover(&disk, &cold, false).unwrap();
        Self::of(disk, cold, engine, Vec::new())
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
                let batch = random_batch(&mut random);
                if engine.apply(batch.clone()).is_ok() {
                    lock(&kept).push(batch);
                }
                if random.below(3) == 0 {
                    let _ = engine.log.write_out();
                }
            }
        });
        Self { disk, cold, engine, commits, durable }
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
                _ => self.engine.log.prepare_file()?,
            }
        }
        Ok(())
    }

    fn commit(&self, random: &mut Random) -> Result<(), StoreError> {
        let batch = random_batch(random);
        let seq = self.engine.apply(batch.clone())?;
        let mut commits = lock(&self.commits);
        commits.push(batch);
        assert_eq!(seq.0 as usize, commits.len());
        Ok(())
    }

    /// The next process on what the disk holds then.
    fn next(self, disk: SimDisk, accept_data_loss: bool) -> Result<Self, Broken> {
        let cold = Arc::new(self.cold.on(disk.clone()));
        let engine = recover(&disk, &cold, accept_data_loss).map_err(Broken::Refused)?;
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
                commits.iter().any(|batch| batch.writes.contains(&Write::Put(key.clone(), value.clone())))
            }));
            return Ok(Self::of(disk, cold, engine, commits));
        }
        commits.truncate(kept);
        if contents(&engine) != model(&commits) {
            return Err(Broken::NoPrefix { kept });
        }
        Ok(Self::of(disk, cold, engine, commits))
    }
}

fn recover(disk: &SimDisk, cold: &Arc<SimCold>, accept_data_loss: bool) -> Result<Engine, StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Engine::recover(disk, Arc::<SimCold>::clone(cold), TUNING, accept_data_loss)
}

fn random_batch(random: &mut Random) -> Batch {
    let mut writes = Vec::new();
    for _ in 0..=random.below(4) {
        let mut key = vec![0x10, 0, 0, 0, 0];
        key.extend_from_slice(&(random.below(24) << 56 | 7).to_be_bytes());
        let key = Bytes::from(key);
        writes.push(match random.below(6) {
            0 => Write::Delete(key),
            1 => Write::Add(Counter(random.below(COUNTERS.into()) as u32), random.below(100) as i64 - 50),
            _ => {
                let bytes = random.below(300) as usize;
                Write::Put(key, Bytes::from(vec![random.next() as u8; bytes]))
            }
        });
    }
    Batch { writes }
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
        match write {
            Write::Put(key, value) => drop(records.insert(key.clone(), value.clone())),
            Write::Delete(key) => drop(records.remove(key)),
            Write::Add(counter, by) => counters[counter.0 as usize] += by,
        }
    }
    (records, counters)
}

/// Three lives in a row, each ended by a power cut in the middle of a random call.
fn power_cuts(seed: u64, prepare: impl Fn(&SimDisk)) -> Result<usize, Broken> {
    let mut random = Random(seed);
    let mut life = Life::first();
    for _ in 0..3 {
        prepare(&life.disk);
        life.disk.end_power_at(1 + random.below(150));
        let _ = life.live(&mut random, 400);
        let disk = life.disk.after_power_cut(&mut random);
        life = life.next(disk, false)?;
    }
    Ok(life.commits().len())
}

fn cut_power(seeds: std::ops::Range<u64>) {
    let (mut commits, runs) = (0, seeds.end - seeds.start);
    for seed in seeds {
        commits += power_cuts(seed, |_| ()).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
    }
    assert!(commits as u64 > runs, "the runs do something");
}

#[test]
fn every_power_cut_leaves_a_prefix_with_all_that_was_durable() {
    cut_power(0..800);
}

#[test]
#[ignore = "long: a minute and more"]
fn long_every_power_cut_leaves_a_prefix_with_all_that_was_durable() {
    cut_power(1_000_000..1_020_000);
}

#[test]
fn control_a_disk_that_only_pretends_to_sync_is_found_out() {
    let broken = (0..200).filter(|seed| power_cuts(*seed, SimDisk::lie_about_syncs).is_err()).count();
    assert!(broken > 40, "only {broken} of 200 runs noticed");
}

#[test]
fn a_kill_loses_nothing_that_was_written() {
    for seed in 0..150 {
        let mut random = Random(seed);
        let mut life = Life::first();
        for _ in 0..3 {
            life.live(&mut random, 150).unwrap();
            life.durable = life.engine.log.written().0 as usize;
            let disk = life.disk.after_kill();
            life = life.next(disk, false).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
        }
    }
}

#[test]
fn a_call_that_fails_loses_nothing_that_was_durable() {
    for seed in 0..500 {
        let mut random = Random(seed);
        let mut life = Life::first();
        life.disk.fail_at(1 + random.below(120));
        if life.live(&mut random, 300).is_ok() {
            continue;
        }
        let disk = life.disk.after_power_cut(&mut random);
        life.next(disk, false).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
    }
}

#[test]
fn a_full_disk_refuses_writes_and_serves_again_once_there_is_space() {
    for seed in 0..100 {
        let mut random = Random(seed);
        let mut life = Life::first();
        life.live(&mut random, 60).unwrap();
        life.disk.set_capacity(Some(life.disk.used_bytes() + random.below(3000) as usize));
        let refused = life.live(&mut random, 2000);
        match refused {
            Ok(()) => continue,
            // The file for a later segment could not be prepared: the store goes on without.
            Err(StoreError::Io { .. }) if !life.engine.log.is_full() => continue,
            Err(StoreError::ReadOnly(_)) | Err(StoreError::Io { .. }) => {}
            Err(error) => panic!("seed {seed}: {error}"),
        }
        let full = life.engine.apply(random_batch(&mut random));
        assert!(matches!(full, Err(StoreError::ReadOnly(_))), "seed {seed}");
        assert_eq!(contents(&life.engine), model(&life.commits()), "reads go on, seed {seed}");
        assert!(!Backing::retry(&*life.engine).unwrap(), "still full");
        life.disk.set_capacity(None);
        if random.below(2) == 0 {
            // A worker's turn comes first; the others, who wait for the same, must hear of it all the same.
            life.engine.log.write_out().unwrap();
        }
        assert!(Backing::retry(&*life.engine).unwrap(), "space again");
        assert_eq!(life.engine.log.written(), life.engine.log.committed(), "what waited was written");
        life.live(&mut random, 60).unwrap();
        life.durable = Backing::sync(&*life.engine).unwrap().0 as usize;
        let disk = life.disk.after_power_cut(&mut random);
        life.next(disk, false).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
    }
}

#[test]
fn a_flush_that_finds_no_room_gives_up_nothing_of_the_log() {
    for seed in 0..50 {
        let mut random = Random(seed);
        let mut life = Life::first();
        life.live(&mut random, 200).unwrap();
        life.commit(&mut random).unwrap();
        life.cold.refuse_next();
        assert_eq!(life.engine.flush().unwrap_err().class(), ErrorClass::TryAgain);
        // Enough to write over whatever was given up.
        for _ in 0..200 {
            life.commit(&mut random).unwrap();
            life.engine.log.write_out().unwrap();
        }
        life.durable = Backing::sync(&*life.engine).unwrap().0 as usize;
        let disk = life.disk.after_power_cut(&mut random);
        life.next(disk, false).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_live_log_is_reported_never_swallowed() {
    let mut flips = 0;
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut life = Life::first();
        life.live(&mut random, 120).unwrap();
        life.engine.log.seal_clean().unwrap();
        life.durable = life.commits().len();
        let live: Vec<_> = life.engine.log.live_segments();
        // The clean end itself guards the others; only damage to it alone has no witness.
        let last = live.len() - 1;
        let (name, used) = &live[random.below(live.len() as u64) as usize];
        let used = if *name == live[last].0 { used - 32 } else { *used };
        if used == 0 || life.cold.position().unwrap().seq as usize == life.commits().len() {
            continue;
        }
        flips += 1;
        let disk = life.disk.after_kill();
        disk.flip_bit(name, random.below(used) as usize, random.below(8) as u8);
        let accepted = disk.after_kill();
        let (durable, commits, cold) = (life.durable, Arc::clone(&life.commits), Arc::clone(&life.cold));
        match life.next(disk, false) {
            Err(Broken::Refused(StoreError::Corrupt { .. })) => {}
            // The bit was in what the cold store covers, or in a chunk's padding.
            Ok(_) => continue,
            other => panic!("seed {seed}: {:?}", other.err()),
        }
        let again = Life { cold, commits, durable, ..Life::first() };
        let opened = again.next(accepted, true).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
        assert!((opened.engine.log.committed().0 as usize) < durable, "seed {seed}");
        let disk = opened.disk.after_kill();
        let whole = recover(&disk, &Arc::new(opened.cold.on(disk.clone())), false);
        assert!(whole.is_ok(), "accepted once, whole after; seed {seed}");
    }
    assert!(flips > 60, "{flips} flips");
}

#[test]
fn check_notices_a_flipped_bit_while_open() {
    let mut random = Random(1);
    let life = Life::first();
    while life.engine.log.live_segments().len() < 3 {
        let batch = random_batch(&mut random);
        life.engine.apply(batch).unwrap();
        life.engine.log.write_out().unwrap();
    }
    life.engine.check().unwrap();
    let (name, used) = life.engine.log.live_segments()[1].clone();
    life.disk.flip_bit(&name, used as usize / 2, 3);
    assert!(matches!(life.engine.check(), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_value_larger_than_the_log_leaves_nothing_to_flush_behind_it() {
    let life = Life::first();
    let large = Bytes::from(vec![7; 5 * TUNING.log_bytes as usize]);
    life.engine.apply(Batch { writes: vec![Write::Put(Bytes::from("large"), large.clone())] }).unwrap();
    life.engine.log.write_out().unwrap();
    assert!(life.engine.wants_flush());
    life.engine.flush().unwrap();
    assert!(!life.engine.wants_flush(), "its segment is free as well");
    life.engine.apply(Batch { writes: vec![Write::Put(Bytes::from("next"), Bytes::new())] }).unwrap();
    life.engine.log.write_out().unwrap();
    let again = recover(&life.disk.after_kill(), &life.cold, false).unwrap();
    assert_eq!(again.get(b"large").unwrap().value, Some(large));
    assert_eq!(again.get(b"next").unwrap().value, Some(Bytes::new()));
}
