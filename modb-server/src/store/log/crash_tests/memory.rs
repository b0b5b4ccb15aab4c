//! Little memory: a log that is larger is flushed on the way, and nothing dirty is dropped for want of room.

use super::*;

const SMALL: Tuning = Tuning { table_bytes: 32 << 10, ..TUNING };

/// A life that wrote more than [`SMALL`] holds, unflushed.
fn long_log(seed: u64) -> Life {
    let mut random = Random(seed);
    let mut life = Life::first();
    for n in 0u64..400 {
        let mut batch = random_batch(&mut random);
        let mut key = vec![0x10, 0, 0, 0, 0];
        key.extend_from_slice(&(n << 54).to_be_bytes());
        batch.writes.push(Write::Put(key.into(), Bytes::from(vec![n as u8; 200])));
        life.engine.apply(&batch).unwrap();
        lock(&life.commits).push(batch);
        life.engine.log.write_out().unwrap();
    }
    life.durable = 400;
    life
}

#[test]
fn a_log_larger_than_the_memory_is_flushed_on_the_way() {
    for closed in [false, true] {
        let mut life = long_log(1);
        if closed {
            life.close();
        }
        let disk = life.disk.after_kill();
        let cold = Arc::new(life.cold.on(disk.clone()));
        let engine = recover_with(SMALL, &disk, &cold, false).unwrap();
        let dirty = engine.table.dirty_bytes();
        assert!(dirty <= SMALL.flush_bytes() + 2000, "{dirty} bytes are in memory");
        assert!(cold.position().unwrap().seq > 200, "most is in the tables");
        assert_eq!(contents(&engine), model(&life.commits()));
        let again = disk.after_kill();
        let engine = recover(&again, &Arc::new(cold.on(again.clone())), false).unwrap();
        assert_eq!(contents(&engine), model(&life.commits()));
    }
}

#[test]
fn who_only_looks_holds_no_more_in_memory_where_it_has_tables_of_its_own() {
    let mut life = long_log(1);
    life.close();
    let disk = life.disk.after_kill();
    let files = disk.contents_of_all();
    let own: Arc<dyn Cold> = Arc::new(life.cold.on(SimDisk::default()));
    for (tables, is_bounded) in
        [(Tables::Own(own), true), (Tables::Seen(Arc::<SimCold>::clone(&life.cold)), false)]
    {
        let engine = look_with(SMALL, &disk, tables).unwrap();
        let dirty = engine.table.dirty_bytes();
        assert_eq!(dirty <= SMALL.flush_bytes() + 2000, is_bounded, "{dirty} bytes are in memory");
        assert_eq!(contents(&engine), model(&life.commits()));
        assert!(
            disk.contents_of_all() == files && life.cold.position().unwrap().seq == 0,
            "nothing is changed"
        );
    }
}

#[test]
fn damage_behind_more_than_the_memory_holds_is_found_before_anything_is_changed() {
    let life = long_log(1);
    Backing::sync(&*life.engine).unwrap();
    let mut random = Random(9);
    life.commit(&mut random).unwrap();
    life.engine.log.write_out().unwrap();
    let (name, end_at) = life.engine.log.segments_in_use().into_iter().nth_back(1).unwrap();
    let disk = life.disk.after_kill_and_sync();
    disk.flip_bit(&name, end_at as usize - 100, 1);
    let files = disk.contents_of_all();
    let cold = Arc::new(life.cold.on(disk.clone()));
    let refused = recover_with(SMALL, &disk, &cold, false).err();
    assert!(matches!(refused, Some(StoreError::Corrupt { .. })), "{refused:?}");
    assert!(disk.contents_of_all() == files && cold.position().unwrap().seq == 0);
}

#[test]
fn a_start_that_flushes_on_the_way_can_end_anywhere() {
    for seed in 0..150 {
        let mut random = Random(seed);
        let mut life = long_log(seed % 3);
        if seed % 2 == 0 {
            life.close();
        } else {
            Backing::sync(&*life.engine).unwrap();
        }
        let disk = life.disk.after_kill();
        disk.end_power_at(1 + random.below(150));
        let cold = Arc::new(life.cold.on(disk.clone()));
        drop(recover_with(SMALL, &disk, &cold, false));
        let disk = disk.after_power_cut(&mut random);
        let next = Life { cold, ..life };
        next.next(disk, false).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
    }
}

#[test]
fn a_closed_log_that_lost_its_end_is_refused_whatever_the_memory_again_and_again() {
    let mut life = long_log(1);
    life.close();
    let (name, end_at) = life.engine.log.segments_in_use().pop().unwrap();
    let disk = life.disk.after_kill_and_sync();
    let mut bytes = disk.contents(&name);
    bytes.truncate(end_at as usize / 2);
    disk.set_contents(&name, bytes);
    let before = disk.contents_of_all();
    for tuning in [SMALL, TUNING, SMALL] {
        let cold = Arc::new(life.cold.on(disk.clone()));
        let refused = recover_with(tuning, &disk, &cold, false).err();
        assert!(matches!(refused, Some(StoreError::Corrupt { .. })), "{refused:?}");
        assert!(
            disk.contents_of_all() == before && cold.position().unwrap().seq == 0,
            "and nothing was changed"
        );
    }
}

#[test]
fn eviction_drops_nothing_that_is_not_in_the_tables() {
    let disk = new_disk();
    let cold = Arc::new(SimCold::new(disk.clone()));
    let engine = recover_with(SMALL, &disk, &cold, false).unwrap();
    let mut random = Random(5);
    let mut commits = Vec::new();
    for n in 0u64..600 {
        let mut batch = random_batch(&mut random);
        let mut key = vec![0x10, 0, 0, 0, 0];
        key.extend_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        batch.writes.push(Write::Put(key.into(), Bytes::from(vec![n as u8; 200])));
        engine.apply(&batch).unwrap();
        commits.push(batch);
        if n % 200 == 50 {
            engine.flush().unwrap();
        }
    }
    assert_eq!(contents(&engine), model(&commits));
}
