//! Records that change and are logged as patches: what a patch changes is always there when it is replayed, and as it was.
//!
//! The other tests here commit patches among the rest. These have little memory, so that records are dropped, read from the
//! tables again and flushed by starts on their way; and they say what the log has.

use super::versions::{by_hand, put};
use super::*;
use crate::store::Change;
use crate::store::log::commit::{self, Patched};

/// For about ten records, or half a dozen dirty ones.
const SMALL: Tuning = Tuning { table_bytes: 4 << 10, ..TUNING };

/// Two lives, some steps each, with flushes, and starts that end at any call in between; killed or cut off in turn.
fn kill_and_cut(seed: u64) -> Result<(Life, u64), Broken> {
    let mut random = Random(seed);
    let mut life = Life::first_with(SMALL, new_disk());
    let mut patched = 0;
    for _ in 0..3 {
        let cut = random.below(2) == 0;
        if cut {
            life.disk.end_power_at(life.disk.calls() + 1 + random.below(150));
        }
        let steps = random.below(150);
        let lived = life.live(&mut random, steps);
        patched += life.engine.log.patched();
        if !cut {
            lived.map_err(Broken::Refused)?;
            life.durable = life.engine.log.written().0 as usize;
        }
        let mut disk = end(&life.disk, cut, &mut random);
        // A start flushes on its way, and ends before it is through. What a kill left with the system a cut may take yet.
        for _ in 0..random.below(3) {
            let cold = Arc::new(life.cold.on(disk.clone()));
            disk.end_power_at(disk.calls() + 1 + random.below(12));
            drop(recover_with(SMALL, &disk, &cold, false));
            let next = end(&disk, cut && random.below(2) == 0, &mut random);
            life.cold = cold;
            disk = next;
        }
        life = life.next(disk, false)?;
    }
    Ok((life, patched))
}

fn end(disk: &SimDisk, cut: bool, random: &mut Random) -> SimDisk {
    if cut { disk.after_power_cut(random) } else { disk.after_kill() }
}

fn kill_and_cut_all(seeds: std::ops::Range<u64>) {
    let (mut patched, mut flushed) = (0, 0);
    for seed in seeds.clone() {
        let (life, more) = kill_and_cut(seed).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
        patched += more;
        flushed += u64::from(life.cold.position().unwrap().seq > 0);
    }
    let runs = seeds.end - seeds.start;
    assert!(patched > 3 * runs && flushed > runs / 2, "{patched} patches, {flushed} were flushed");
}

#[test]
fn patches_survive_kills_cuts_flushes_and_starts_that_end_on_the_way() {
    kill_and_cut_all(0..400);
}

#[test]
#[ignore = "long: a minute and more"]
fn long_patches_survive_kills_cuts_flushes_and_starts_that_end_on_the_way() {
    kill_and_cut_all(1_000_000..1_010_000);
}

fn key(n: u8) -> Bytes {
    Bytes::copy_from_slice(&[0x10, 0, 0, 0, 0, n, 0, 0, 0, 0, 0, 0, 7])
}

/// Adds a byte to the end of a record of 200; whether it is logged as a patch.
fn grow(engine: &Engine, n: u8) -> bool {
    let found = engine.get(&key(n)).unwrap();
    let base = found.value.unwrap();
    let value = Bytes::from([&base[..], b"+"].concat());
    let before = engine.log.patched();
    let patch = Patch { key: key(n).into(), base_seq: found.seq, value, change: Change::From(base) };
    engine.apply(&Batch { writes: vec![Write::Patch(Box::new(patch))] }).unwrap();
    engine.log.patched() > before
}

fn fill(engine: &Engine, n: u8) {
    engine.apply(&Batch { writes: vec![Write::Put(key(n).into(), Bytes::from(vec![n; 200]))] }).unwrap();
}

#[test]
fn a_record_is_logged_whole_once_behind_each_barrier() {
    let life = Life::first();
    life.cold.meanwhile(|| ());
    let engine = Arc::clone(&life.engine);
    fill(&engine, 1);
    assert!(grow(&engine, 1) && grow(&engine, 1));
    life.engine.flush().unwrap();
    assert!(!grow(&engine, 1), "in memory, but its log is no longer replayed");
    assert!(grow(&engine, 1));
    // A flush that has only begun counts, and so does one that fails.
    let (weak, grown) = (Arc::downgrade(&engine), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&grown);
    life.cold.meanwhile(move || lock(&kept).push(grow(&weak.upgrade().unwrap(), 1)));
    life.cold.refuse_next();
    life.engine.flush().unwrap_err();
    life.cold.meanwhile(|| ());
    assert!(matches!(lock(&grown)[..], [false, true, ..]), "{grown:?}");
    assert!(grow(&engine, 1));
    let found = life.disk.after_kill();
    let cold = Arc::new(life.cold.on(found.clone()));
    drop(life);
    let engine = recover(&found, &cold, false).unwrap();
    assert!(engine.get(&key(1)).unwrap().seq.0 > 0, "it was replayed");
    assert!(!grow(&engine, 1), "each life logs what it changes itself");
    assert!(grow(&engine, 1));
}

#[test]
fn a_record_that_was_dropped_from_memory_is_logged_whole() {
    let life = Life::first_with(SMALL, new_disk());
    life.cold.meanwhile(|| ());
    fill(&life.engine, 1);
    life.engine.flush().unwrap();
    for n in 2..60 {
        fill(&life.engine, n);
        life.engine.flush().unwrap();
    }
    assert_eq!(life.engine.get(&key(1)).unwrap().seq.0, 0, "read from the tables");
    assert!(!grow(&life.engine, 1));
    assert!(grow(&life.engine, 1));
}

/// A commit of one patch.
fn patch(key: &'static str, base: &'static str, value: &'static str) -> Vec<u8> {
    let [key, base, value] = [key, base, value].map(Bytes::from);
    let patch = Patch { key: key.into(), base_seq: modb_net::Seq(1), value, change: Change::From(base) };
    Patched::of(&[Write::Patch(Box::new(patch))], 0).expect("it is short").body.copied
}

const BEFORE: &str = "one two three four five six seven";
const AFTER: &str = "one 2 three four five six seven";
const LATER: &str = "> one 2 three four five six seven";

#[test]
fn patches_are_applied_by_whoever_reads_the_log() {
    let disk =
        by_hand(&[put("a", BEFORE), put("b", "x"), patch("a", BEFORE, AFTER), patch("a", AFTER, LATER)]);
    let cold = Arc::new(SimCold::new(disk.clone()));
    let value = Some(Bytes::from(LATER));
    let looked = look(&disk, &cold).unwrap();
    assert_eq!(looked.get(b"a").unwrap().value, value);
    let copy = SimCold::new(SimDisk::default());
    looked.merge_into(&copy).unwrap();
    assert_eq!(copy.get(b"a").unwrap(), value);
    let engine = recover(&disk, &cold, false).unwrap();
    assert_eq!(engine.get(b"a").unwrap().value, value);
    engine.check().unwrap();
    engine.flush().unwrap();
    assert_eq!(cold.get(b"a").unwrap(), value);
}

#[test]
fn a_patch_finds_what_was_put_before_a_flush_on_the_way_of_a_start_that_ended_then() {
    let filling: Vec<Vec<u8>> = (0..100u8)
        .map(|n| {
            let mut body = Vec::new();
            commit::encode(&mut body, &[Write::Put(key(n).into(), Bytes::from(vec![1; 300]))]);
            body
        })
        .collect();
    let disk = by_hand(&[vec![put("a", BEFORE)], filling, vec![patch("a", BEFORE, AFTER)]].concat());
    let cold = Arc::new(SimCold::new(disk.clone()));
    for _ in 0..2 {
        let engine = recover_with(SMALL, &disk, &cold, false).unwrap();
        let flushed = cold.position().unwrap().seq;
        assert!((50..102).contains(&flushed), "{flushed}: it was flushed on the way, and not behind it");
        assert_eq!(engine.get(b"a").unwrap().value, Some(Bytes::from(AFTER)));
    }
}

#[test]
fn a_patch_of_anything_but_what_the_record_was_is_damage() {
    for bodies in [
        vec![patch("a", BEFORE, AFTER)],
        vec![put("a", "one"), patch("a", BEFORE, AFTER)],
        vec![put("b", BEFORE), patch("a", BEFORE, AFTER)],
        // As long as it was, and it would fit.
        vec![put("a", "ONE two three four five six seven"), patch("a", BEFORE, AFTER)],
        // Twice.
        vec![put("a", BEFORE), patch("a", BEFORE, AFTER), patch("a", BEFORE, AFTER)],
    ] {
        let disk = by_hand(&bodies);
        let refused = recover(&disk, &Arc::new(SimCold::new(disk.clone())), false).err();
        assert!(matches!(refused, Some(StoreError::Corrupt { .. })), "{refused:?}");
    }
}
