//! Kills, which leave what was written with the system and nothing more on the disk than there was; and then power cuts.

use super::*;

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

/// Kills and power cuts in turn: what a process found after a kill it has acknowledged, so no cut may take it away.
fn kill_then_cut(seed: u64, around_start: impl Fn(&SimDisk, bool)) -> Result<Life, Broken> {
    let mut random = Random(seed);
    let mut life = Life::first();
    for _ in 0..3 {
        let steps = random.below(120);
        life.live(&mut random, steps).map_err(Broken::Refused)?;
        life.durable = life.engine.log.written().0 as usize;
        let disk = life.disk.after_kill();
        around_start(&disk, true);
        life = life.next(disk, false)?;
        around_start(&life.disk, false);
        // At once, or after some work, in which files are used again.
        life.disk.end_power_at(life.disk.calls() + 1 + random.below(80) * random.below(2));
        let _ = life.live(&mut random, 200);
        let disk = life.disk.after_power_cut(&mut random);
        life = life.next(disk, false)?;
    }
    Ok(life)
}

fn kill_and_cut(seeds: std::ops::Range<u64>) {
    let mut used_again = 0;
    for seed in seeds.clone() {
        let life = kill_then_cut(seed, |_, _| ()).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
        used_again += life.disk.used_again();
    }
    assert!(used_again > seeds.end - seeds.start, "{used_again} files used again");
}

#[test]
fn a_power_cut_after_a_kill_takes_nothing_that_was_acknowledged_again() {
    kill_and_cut(0..400);
}

#[test]
#[ignore = "long: a minute and more"]
fn long_a_power_cut_after_a_kill_takes_nothing_that_was_acknowledged_again() {
    kill_and_cut(1_000_000..1_010_000);
}

#[test]
fn control_a_start_after_a_kill_whose_syncs_do_nothing_is_found_out() {
    let broken = (0..200).filter(|seed| kill_then_cut(*seed, SimDisk::lie_about_syncs_if).is_err()).count();
    assert!(broken > 40, "only {broken} of 200 runs noticed");
}

#[test]
fn what_is_in_the_systems_memory_after_a_failed_sync_is_written_again() {
    let mut lost = 0;
    for seed in 0..100 {
        let mut random = Random(seed);
        let mut life = Life::first();
        life.live(&mut random, 60).unwrap();
        life.commit(&mut random).unwrap();
        life.engine.log.write_out().unwrap();
        life.disk.fail_next_sync();
        let Err(_) = Backing::sync(&*life.engine) else { continue };
        life.durable = life.engine.log.written().0 as usize;
        let disk = life.disk.after_kill();
        lost += usize::from(
            disk.after_kill_and_sync().after_power_cut(&mut random).contents_of_all()
                != disk.contents_of_all(),
        );
        life = life.next(disk, false).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
        let disk = life.disk.after_power_cut(&mut random);
        life.next(disk, false).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
    }
    assert!(lost > 50, "the system had forgotten something in {lost} of 100 runs");
}
