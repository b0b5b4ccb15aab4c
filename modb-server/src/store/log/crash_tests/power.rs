//! Power cuts in the middle of any call, three lives in a row.

use super::versions::{file_by_hand, put};
use super::*;

/// Three lives in a row, each ended by a power cut in the middle of a random call.
fn power_cuts(seed: u64, prepare: impl Fn(&SimDisk)) -> Result<Life, Broken> {
    let mut random = Random(seed);
    let mut life = Life::first();
    for _ in 0..3 {
        prepare(&life.disk);
        life.disk.end_power_at(1 + random.below(150));
        let _ = life.live(&mut random, 400);
        let disk = life.disk.after_power_cut(&mut random);
        life = life.next(disk, false)?;
    }
    Ok(life)
}

fn cut_power(seeds: std::ops::Range<u64>) {
    let (mut commits, mut used_again, runs) = (0, 0, seeds.end - seeds.start);
    for seed in seeds {
        let life = power_cuts(seed, |_| ()).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
        commits += life.commits().len() as u64;
        used_again += life.disk.used_again();
    }
    assert!(commits > runs && used_again > runs, "{commits} commits, {used_again} files used again");
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
fn what_was_cut_off_does_not_come_back_when_its_numbers_are_given_out_again() {
    for seed in 0..50 {
        let mut random = Random(seed);
        // Commit 4 is torn away; what follows it was never synced either.
        let disk = new_disk();
        disk.set_contents("log-000001", file_by_hand(1, &[put("a", "1"), put("b", "2"), put("c", "3")]));
        disk.set_contents("log-000002", file_by_hand(5, &[put("a", "5"), put("b", "6")]));
        // The next commit is written over this one.
        disk.set_contents("log-000003", file_by_hand(7, &[put("a", "7")]));
        let cold = Arc::new(SimCold::new(disk.clone()));
        let engine = recover(&disk, &cold, false).unwrap();
        assert_eq!(engine.log.committed().0, 3);
        let new = Write::Put("new".into(), Bytes::from("4"));
        assert_eq!(engine.apply(&Batch { writes: vec![new] }).unwrap().0, 4);
        Backing::sync(&engine).unwrap();
        let disk = disk.after_power_cut(&mut random);
        let again = recover(&disk, &Arc::new(cold.on(disk.clone())), false).unwrap();
        assert_eq!(again.log.committed().0, 4, "seed {seed}");
        assert_eq!(again.get(b"a").unwrap().value, Some(Bytes::from("1")), "seed {seed}");
    }
}
