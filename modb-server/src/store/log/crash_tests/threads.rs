//! Several threads commit, write, sync, flush and prepare at the same time, until the power or the process ends.

use std::thread;

use super::*;

const COMMITTERS: u64 = 3;

/// The batches of one thread touch records of its own, as stripes see to it.
fn batch_of(thread: u64, random: &mut Random) -> Batch {
    let mut batch = random_batch(random);
    for write in &mut batch.writes {
        if let Write::Put(key, _) | Write::Delete(key) = write {
            let mut own = key.to_vec();
            own.push(thread as u8);
            *key = own.into();
        }
    }
    batch
}

/// What all threads have done until nothing works any more, and up to where one was told that it is durable.
fn until_the_power_ends(engine: &Engine, disk: &SimDisk, seed: u64) -> (BTreeMap<u64, Batch>, u64) {
    let commits = Mutex::new(BTreeMap::new());
    let durable = thread::scope(|scope| {
        for thread in 0..COMMITTERS {
            let commits = &commits;
            scope.spawn(move || {
                let mut random = Random(seed << 8 | thread);
                loop {
                    let batch = batch_of(thread, &mut random);
                    let batch = change_some(engine, &mut random, batch);
                    let Ok(seq) = engine.apply(&batch) else { return };
                    lock(commits).insert(seq.0, batch);
                    if random.below(3) == 0 && engine.log.write_out().is_err() {
                        return;
                    }
                }
            });
        }
        scope.spawn(move || {
            let mut random = Random(seed << 8 | COMMITTERS);
            loop {
                // Others may still find room where this found an error of its own.
                let _ = if random.below(3) == 0 {
                    engine.flush()
                } else {
                    engine.log.prepare_files(random.below(2) == 0)
                };
                if disk.power_is_off() {
                    return;
                }
            }
        });
        let syncing = scope.spawn(move || {
            let mut durable = 0;
            loop {
                match Backing::sync(engine) {
                    Ok(seq) => durable = seq.0,
                    Err(_) => return durable,
                }
                if disk.power_is_off() {
                    return durable;
                }
            }
        });
        syncing.join().unwrap()
    });
    (commits.into_inner().unwrap(), durable)
}

fn one_life(seed: u64) {
    let mut random = Random(seed);
    let disk = new_disk();
    let cold = Arc::new(SimCold::new(disk.clone()));
    let engine = recover(&disk, &cold, false).unwrap();
    disk.end_power_at(disk.calls() + 1 + random.below(400));
    let (commits, durable) = until_the_power_ends(&engine, &disk, seed);
    let found = if seed.is_multiple_of(4) { disk.after_kill() } else { disk.after_power_cut(&mut random) };
    let again = recover(&found, &Arc::new(cold.on(found.clone())), false)
        .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let kept = again.log.committed().0;
    assert!(kept >= durable, "seed {seed}: {durable} were durable, {kept} are there");
    let prefix: Vec<Batch> = commits.range(1..kept + 1).map(|(_, batch)| batch.clone()).collect();
    assert_eq!(prefix.len() as u64, kept, "seed {seed}: every commit was made by somebody");
    let (records, counters) = model(&prefix);
    let page = again.scan(&[1], &[0xff], 1000, usize::MAX).unwrap();
    assert_eq!(page.records.into_iter().collect::<BTreeMap<_, _>>(), records, "seed {seed}");
    assert_eq!((0..COUNTERS).map(|c| again.counter(Counter(c))).collect::<Vec<_>>(), counters, "seed {seed}");
}

#[test]
fn what_several_threads_committed_is_a_prefix_after_a_cut_or_a_kill() {
    (0..60).for_each(one_life);
}

#[test]
#[ignore = "long: a minute and more"]
fn long_what_several_threads_committed_is_a_prefix_after_a_cut_or_a_kill() {
    (1_000..6_000).for_each(one_life);
}

#[test]
fn a_barrier_waits_for_commits_that_are_not_in_the_table_yet() {
    let life = Life::first();
    let batch = random_batch(&mut Random(1));
    let appended = life.engine.log.append(&batch.writes, 100).unwrap();
    thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let log = &life.engine.log;
        scope.spawn(move || tell.send(log.barrier().seq));
        let waits = told.recv_timeout(std::time::Duration::from_millis(100));
        drop(appended.in_flight);
        assert!(waits.is_err(), "it did not wait");
        assert_eq!(told.recv().unwrap(), 1);
    });
}

#[test]
fn a_sync_answers_for_what_was_written_and_not_for_what_was_committed() {
    let life = Life::first();
    life.engine.apply(&random_batch(&mut Random(1))).unwrap();
    life.engine.log.write_out().unwrap();
    life.engine.apply(&random_batch(&mut Random(2))).unwrap();
    assert_eq!((life.engine.log.sync().unwrap().0, life.engine.log.committed().0), (1, 2));
}
