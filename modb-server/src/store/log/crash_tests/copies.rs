//! Copies of a log that is written to, flushed and used again meanwhile.

use super::*;
use crate::store::log::recover;

/// A life whose log files have been used several times.
fn old_life(random: &mut Random) -> Life {
    let mut life = Life::first();
    life.live(random, 600).unwrap();
    assert!(life.disk.used_again() > 0);
    life
}

#[test]
fn a_file_that_is_pinned_is_used_again_only_after() {
    let mut random = Random(3);
    let mut life = old_life(&mut random);
    let engine = Arc::clone(&life.engine);
    let pin = engine.log.pin();
    engine.log.write_out().unwrap();
    let pinned: Vec<_> = pin
        .segments()
        .into_iter()
        .map(|(name, end_at)| (life.disk.contents(&name)[..end_at as usize].to_vec(), name))
        .collect();
    life.live(&mut random, 600).unwrap();
    engine.flush().unwrap();
    for (bytes, name) in &pinned {
        assert!(life.disk.contents(name).starts_with(bytes), "{name} was used again");
        assert!(pin.segments().iter().any(|(there, _)| there == name));
    }
    let files = life.disk.file_names().len();
    drop(pin);
    let after = life.disk.file_names().len();
    assert!(after < files, "{files} files, {after} after: nobody needs them any more");
    assert_eq!(contents(&engine), model(&life.commits()));
}

#[test]
fn a_copy_holds_what_was_committed_before_whatever_goes_on_meanwhile() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut life = old_life(&mut random);
        let engine = Arc::clone(&life.engine);
        let before = life.commits().len();
        // As `copy::copy_in_use` does, with a busy server between any two of its steps.
        let pin = engine.log.pin();
        life.live(&mut random, seed % 120).unwrap();
        let copy = SimDisk::default();
        let tables = Arc::new(life.cold.on(copy.clone()));
        life.live(&mut random, seed % 50).unwrap();
        engine.log.write_out().unwrap();
        let segments = pin.segments();
        life.live(&mut random, seed % 70).unwrap();
        mark(&copy, None).unwrap();
        recover::copy_segments(&life.disk, &copy, &segments).unwrap();
        drop(pin);
        let copied = recover(&copy, &tables, false).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let kept = copied.log.committed().0 as usize;
        assert!(kept >= before, "seed {seed}: {kept} of {before}");
        assert_eq!(contents(&copied), model(&life.commits()[..kept]), "seed {seed}");
    }
}
