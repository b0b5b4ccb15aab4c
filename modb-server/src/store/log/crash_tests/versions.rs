//! Folders of the version before, which are read by all and brought forward by a start for writing, whenever that ends; and
//! what a later version will write.

use super::*;
use crate::store::log::body::Body;
use crate::store::log::chunk::{self, Seal};
use crate::store::log::commit;
use crate::store::log::file_head;

/// A chunk as version 1 had it.
fn chunk_of_version_1(first_seq: u64, synced_seq: u64, commits: &[Batch]) -> Vec<u8> {
    let mut body = Vec::new();
    commits.iter().for_each(|batch| commit::encode(&mut body, &batch.writes));
    let mut chunk = vec![0; 4];
    chunk.extend_from_slice(&(body.len() as u32).to_le_bytes());
    chunk.extend_from_slice(&first_seq.to_le_bytes());
    chunk.extend_from_slice(&synced_seq.to_le_bytes());
    chunk.extend_from_slice(&(commits.len() as u32).to_le_bytes());
    chunk.extend_from_slice(&[0; 4]);
    chunk.extend_from_slice(&body);
    let crc = crc32c::crc32c(&chunk[4..]);
    chunk[..4].copy_from_slice(&crc.to_le_bytes());
    chunk.resize(chunk.len().next_multiple_of(chunk::ALIGN_BYTES), 0);
    chunk
}

/// A folder of version 1, with three files, of which the last has a torn end.
fn version_1() -> Life {
    let disk = SimDisk::default();
    let cold = Arc::new(SimCold::new(disk.clone()));
    let mut random = Random(11);
    let mut commits = Vec::new();
    for file in 1..4u64 {
        let mut bytes = Vec::new();
        for _ in 0..10 {
            let batches: Vec<Batch> = (0..random.below(4)).map(|_| random_batch(&mut random)).collect();
            let first_seq = commits.len() as u64 + 1;
            bytes.extend(chunk_of_version_1(first_seq, first_seq - 1, &batches));
            commits.extend(batches);
        }
        let torn = chunk_of_version_1(commits.len() as u64 + 1, 1, &[random_batch(&mut random)]);
        bytes.extend_from_slice(&torn[..torn.len() / 2]);
        disk.set_contents(&format!("log-{file:06}"), bytes);
    }
    disk.set_contents(FORMAT, b"modb 1 log\n".to_vec());
    // Never used: the next life has its own.
    let engine = recover(&new_disk(), &cold, false).unwrap();
    let mut life = Life::of(disk, cold, engine, commits);
    life.cold.meanwhile(|| ());
    life.durable = life.commits().len();
    life
}

#[test]
fn a_folder_of_version_1_is_read_and_left_as_it_is_until_somebody_writes() {
    let life = version_1();
    let files = life.disk.contents_of_all();
    let engine = look(&life.disk, &life.cold).unwrap();
    assert_eq!(contents(&engine), model(&life.commits()));
    let copy = SimCold::new(SimDisk::default());
    engine.merge_into(&copy).unwrap();
    assert!(life.disk.contents_of_all() == files, "nothing was changed");
    let copied = recover(&new_disk(), &Arc::new(copy), false).unwrap();
    assert_eq!(contents(&copied), model(&life.commits()), "a copy is of the present version");

    let engine = recover(&life.disk, &life.cold, false).unwrap();
    assert_eq!(contents(&engine), model(&life.commits()));
    assert_eq!(life.disk.contents(FORMAT), b"modb 3 log\n");
    assert_eq!(life.disk.file_names(), [FORMAT], "nothing of the old log is left");
}

#[test]
fn an_upgrade_can_end_anywhere_by_a_kill_or_a_power_cut() {
    let mut versions = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut life = version_1();
        for round in 0..3 {
            life.disk.end_power_at(life.disk.calls() + 1 + random.below(40));
            drop(recover(&life.disk, &life.cold, false));
            let disk = if (seed + round) % 2 == 0 {
                life.disk.after_kill()
            } else {
                life.disk.after_power_cut(&mut random)
            };
            versions.insert(disk.contents(FORMAT));
            let cold = Arc::new(life.cold.on(disk.clone()));
            life = Life { disk, cold, ..life };
        }
        let disk = life.disk.after_kill();
        let mut next = life.next(disk, false).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
        let _ = next.live(&mut random, 50);
        let disk = next.disk.after_power_cut(&mut random);
        next.next(disk, false).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
    }
    assert_eq!(versions.len(), 2, "before and after");
}

#[test]
fn damage_to_a_folder_of_version_1_is_refused_and_nothing_of_it_is_changed() {
    let life = version_1();
    life.disk.flip_bit("log-000002", 100, 3);
    let files = life.disk.contents_of_all();
    let refused = recover(&life.disk, &life.cold, false).err();
    assert!(matches!(refused, Some(StoreError::Corrupt { .. })), "{refused:?}");
    assert!(life.disk.contents_of_all() == files && life.cold.position().unwrap().seq == 0);
}

#[test]
fn chunks_within_chunks_in_a_folder_of_version_1_do_not_hold_up_its_opening() {
    let life = version_1();
    // Each claims to reach to the end, and none is what it says.
    let mut bytes = chunk_of_version_1(1, 0, &life.commits()[..1]);
    let all = 2 << 20;
    while bytes.len() < all {
        let mut header = vec![1; 32];
        header[4..8].copy_from_slice(&((all - bytes.len() - 32) as u32).to_le_bytes());
        header[8..16].copy_from_slice(&1000u64.to_le_bytes());
        bytes.extend_from_slice(&header);
    }
    life.disk.set_contents("log-000001", bytes);
    // 65,536 headers over 1 MiB each on average would be 64 GiB. A machine that stands still does not do so each time.
    let is_quick = || {
        let begin = std::time::Instant::now();
        let _ = look(&life.disk, &life.cold);
        println!("{:?}", begin.elapsed());
        begin.elapsed() < std::time::Duration::from_secs(2)
    };
    assert!((0..3).any(|_| is_quick()));
}

/// A log of one file with these commits, a chunk for each, made by hand.
pub(super) fn by_hand(bodies: &[Vec<u8>]) -> SimDisk {
    let disk = new_disk();
    disk.set_contents("log-000001", file_by_hand(1, bodies));
    disk
}

pub(super) fn file_by_hand(first_seq: u64, bodies: &[Vec<u8>]) -> Vec<u8> {
    let seal = Seal::random().unwrap();
    let mut bytes = file_head::encode(seal).to_vec();
    for (seq, body) in (first_seq..).zip(bodies) {
        let mut chunk = Body::from([&[0; chunk::HEADER_BYTES], &body[..]].concat());
        chunk::seal(&mut chunk, body.len(), seal, seq, 0, 1);
        bytes.extend_from_slice(&chunk.copied);
    }
    bytes
}

pub(super) fn put(key: &'static str, value: &'static str) -> Vec<u8> {
    let mut body = Vec::new();
    commit::encode(&mut body, &[Write::Put(key.into(), Bytes::from(value))]);
    body
}

#[test]
fn what_a_later_version_wrote_is_refused_as_that_and_left_alone_even_if_loss_is_accepted() {
    let unknown_write = vec![1, 0, 0, 0, 5, 1, 2, 3];
    let of_later = by_hand(&[]);
    let mut head = of_later.contents("log-000001");
    head[16] = 3;
    let crc = crc32c::crc32c(&head[4..]);
    head[..4].copy_from_slice(&crc.to_le_bytes());
    of_later.set_contents("log-000001", head);
    for disk in [by_hand(&[put("a", "one"), unknown_write, put("b", "two")]), of_later] {
        let files = disk.contents_of_all();
        for accept_data_loss in [false, true] {
            let refused = recover(&disk, &Arc::new(SimCold::new(disk.clone())), accept_data_loss).err();
            assert!(matches!(refused, Some(StoreError::Newer { .. })), "{refused:?}");
            assert!(refused.unwrap().to_string().contains("newer version"));
            assert!(disk.contents_of_all() == files);
        }
    }
}
