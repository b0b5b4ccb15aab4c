//! Disks that run full, what is too large or cannot be deleted, and what is said of that.

use std::sync::mpsc;

use modb_net::Seq;

use super::*;
use crate::store::group::GroupCommit;
use crate::store::log::background::{Background, run_compactor};
use crate::store::{Durability, ErrorClass};

#[test]
fn a_full_disk_refuses_writes_and_serves_again_once_there_is_space() {
    let mut stayed_full = 0;
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
        let full = life.engine.apply(&random_batch(&mut random));
        assert!(matches!(full, Err(StoreError::ReadOnly(_))), "seed {seed}");
        assert_eq!(contents(&life.engine), model(&life.commits()), "reads go on, seed {seed}");
        if Backing::retry(&*life.engine).unwrap() {
            // A flush that was under way has freed a file meanwhile.
            assert_eq!(life.engine.log.written(), life.engine.log.committed(), "seed {seed}");
            continue;
        }
        stayed_full += 1;
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
    assert!(stayed_full > 20, "only {stayed_full} of 100 disks stayed full");
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
fn a_value_larger_than_the_log_leaves_nothing_to_flush_behind_it() {
    let life = Life::first();
    let large = Bytes::from(vec![7; 5 * TUNING.log_bytes as usize]);
    life.engine.apply(&Batch { writes: vec![Write::Put("large".into(), large.clone())] }).unwrap();
    life.engine.log.write_out().unwrap();
    assert!(life.engine.wants_flush());
    life.engine.flush().unwrap();
    assert!(!life.engine.wants_flush(), "its segment is free as well");
    life.engine.apply(&Batch { writes: vec![Write::Put("next".into(), Bytes::new())] }).unwrap();
    life.engine.log.write_out().unwrap();
    let again = recover(&life.disk.after_kill_and_sync(), &life.cold, false).unwrap();
    assert_eq!(again.get(b"large").unwrap().value, Some(large));
    assert_eq!(again.get(b"next").unwrap().value, Some(Bytes::new()));
}

#[test]
fn a_file_that_could_not_be_prepared_is_not_left_behind() {
    for zeroed in [false, true] {
        let life = Life::first();
        life.engine.log.prepare_files(true).unwrap();
        let (names, used) = (life.disk.file_names(), life.disk.used_bytes());
        life.disk.set_capacity(Some(used + 1000));
        for _ in 0..5 {
            // Takes the files that are ready, and then makes one itself.
            life.engine.apply(&large_batch()).ok();
            life.engine.log.write_out().unwrap();
            life.engine.log.prepare_files(zeroed).unwrap_err();
            assert_eq!(life.disk.file_names(), names);
        }
        assert!(life.engine.log.is_full());
        life.disk.set_capacity(None);
        life.engine.log.write_out().unwrap();
        assert_eq!(life.engine.log.written(), life.engine.log.committed());
    }
}

/// Fills a segment.
fn large_batch() -> Batch {
    Batch { writes: vec![Write::Put("large".into(), Bytes::from(vec![7; 4000]))] }
}

#[test]
fn what_the_log_waits_for_is_said_by_its_name() {
    for (lacks, says) in [("a file", "the simulated disk failed"), ("space", "the disk is full")] {
        let life = Life::first();
        life.engine.apply(&large_batch()).unwrap();
        match lacks {
            // The first thing that is done: no file was made ready ahead.
            "a file" => life.disk.fail_at(life.disk.calls() + 1),
            _ => life.disk.set_capacity(Some(life.disk.used_bytes())),
        }
        life.engine.log.write_out().unwrap();
        let reason = life.engine.log.why_full().unwrap();
        assert!(reason.contains(says), "{lacks}: {reason}");
        let refused = life.engine.apply(&large_batch()).unwrap_err();
        assert!(matches!(refused, StoreError::ReadOnly(why) if why == reason));
        life.disk.set_capacity(None);
        life.engine.log.write_out().unwrap();
        assert_eq!(life.engine.log.why_full(), None);
    }
}

#[test]
fn a_file_that_cannot_be_deleted_stays_and_nothing_fails() {
    let life = Life::first();
    life.disk.refuse_removals();
    for _ in 0..3 {
        for _ in 0..20 {
            life.engine.apply(&large_batch()).unwrap();
            life.engine.log.write_out().unwrap();
        }
        life.engine.flush().unwrap();
    }
    Backing::sync(&*life.engine).unwrap();
    let files = life.disk.file_names().len();
    assert!(files > 20, "{files} files");
    let disk = life.disk.after_kill_and_sync();
    let engine = recover(&disk, &Arc::new(life.cold.on(disk.clone())), false).unwrap();
    assert_eq!(
        contents(&engine),
        model(&life.commits()[..].iter().cloned().chain([large_batch()]).collect::<Vec<_>>())
    );
    for _ in 0..40 {
        engine.apply(&large_batch()).unwrap();
        engine.log.write_out().unwrap();
    }
    engine.flush().unwrap();
    assert!(disk.file_names().len() < files, "they are deleted by who may");
}

#[test]
fn a_compaction_that_succeeds_again_is_no_trouble_though_more_is_due() {
    let life = Life::first();
    let group = GroupCommit::new(Durability::Os, 0, Seq::ZERO);
    let background = Arc::new(Background::default());
    let (say, told) = mpsc::channel();
    let (mut steps, seen, again) = (0, Arc::clone(&group), Arc::clone(&background));
    life.cold.compact_with(move || {
        say.send(seen.health.troubles()).unwrap();
        steps += 1;
        match steps {
            1 => {
                // So that it is tried again at once.
                again.want(&again.compact_wanted);
                Err(StoreError::io("tables/7", std::io::ErrorKind::StorageFull.into()))
            }
            2 | 3 => Ok(true),
            _ => {
                again.stop();
                Ok(false)
            }
        }
    });
    background.want(&background.compact_wanted);
    run_compactor(&life.engine, &group, &background);
    let said: Vec<_> = told.try_iter().collect();
    assert!(said[1].starts_with("compaction: tables/7: "), "{said:?}");
    assert_eq!([&said[0], &said[2], &said[3]], ["", "", ""], "it succeeds, and what is due may take minutes");
}
