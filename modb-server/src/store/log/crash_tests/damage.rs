//! Flipped bits and lost sectors, which are refused by name, and bytes that a client made to look like ours.

use super::*;
use crate::store::log::body::Body;
use crate::store::log::chunk::{self, Seal};
use crate::store::log::commit;

#[test]
fn a_flipped_bit_anywhere_in_the_live_log_is_reported_never_swallowed() {
    let mut flips = 0;
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut life = Life::first();
        life.live(&mut random, 120).unwrap();
        life.close();
        let live: Vec<_> = life.engine.log.segments_in_use();
        if live.is_empty() || life.cold.position().unwrap().seq as usize == life.commits().len() {
            continue;
        }
        let (name, end_at) = &live[random.below(live.len() as u64) as usize];
        flips += 1;
        let disk = life.disk.after_kill_and_sync();
        disk.flip_bit(name, random.below(*end_at) as usize, random.below(8) as u8);
        let accepted = disk.after_kill_and_sync();
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
        let disk = opened.disk.after_kill_and_sync();
        let whole = recover(&disk, &Arc::new(opened.cold.on(disk.clone())), false);
        assert!(whole.is_ok(), "accepted once, whole after; seed {seed}");
    }
    assert!(flips > 60, "{flips} flips");
}

#[test]
fn check_notices_a_flipped_bit_while_open() {
    let mut random = Random(1);
    let life = Life::first();
    while life.engine.log.segments_in_use().len() < 3 {
        let batch = random_batch(&mut random);
        life.engine.apply(&batch).unwrap();
        life.engine.log.write_out().unwrap();
    }
    life.engine.check().unwrap();
    let (name, used) = life.engine.log.segments_in_use()[1].clone();
    life.disk.flip_bit(&name, used as usize / 2, 3);
    assert!(matches!(life.engine.check(), Err(StoreError::Corrupt { .. })));
}

/// Flips the bits of each head of a log that somebody is about to open, and loses its sectors; all of it must be refused by
/// the file's name.
fn harm_heads(bits: impl Iterator<Item = usize> + Clone) {
    let mut random = Random(3);
    let mut life = Life::first();
    life.live(&mut random, 100).unwrap();
    Backing::sync(&*life.engine).unwrap();
    let synced = life.disk.after_kill_and_sync();
    let names: Vec<_> = synced.file_names().into_iter().filter(|name| name != FORMAT).collect();
    assert!(names.len() > 2, "{names:?}");
    let refused = |disk: &SimDisk, name: &str| {
        let cold = Arc::new(life.cold.on(disk.clone()));
        let error = recover(disk, &cold, false).err().expect("refused").to_string();
        assert!(error.contains("corrupt data") && error.contains(name), "{error}");
    };
    for name in &names {
        let disk = synced.after_kill();
        for bit in bits.clone() {
            disk.flip_bit(name, bit / 8, (bit % 8) as u8);
            refused(&disk, name);
            disk.flip_bit(name, bit / 8, (bit % 8) as u8);
        }
        let mut bytes = disk.contents(name);
        if bytes[HEAD_BYTES..].iter().any(|byte| *byte != 0) {
            bytes[..HEAD_BYTES].fill(0);
            disk.set_contents(name, bytes);
            refused(&disk, name);
        }
    }
    // Accepted once, it is whole again.
    let disk = synced.after_kill_and_sync();
    names.iter().for_each(|name| disk.flip_bit(name, 9, 1));
    recover(&disk, &Arc::new(life.cold.on(disk.clone())), true).unwrap();
    recover(&disk, &Arc::new(life.cold.on(disk.clone())), false).unwrap();
}

#[test]
fn a_flipped_bit_where_a_seal_is_kept_is_refused_by_name() {
    harm_heads((0..64 * 8).chain((64 * 8..HEAD_BYTES * 8).step_by(97)));
}

#[test]
#[ignore = "long: a minute"]
fn long_every_flipped_bit_where_a_seal_is_kept_is_refused_by_name() {
    harm_heads(0..HEAD_BYTES * 8);
}

/// What a client would send who knows everything but the seals: chunks with commits to come, at every place where
/// one may begin.
fn forged(first_seq: u64) -> Bytes {
    let mut body = Vec::new();
    commit::encode(&mut body, &[Write::Put("forged".into(), Bytes::from("commit"))]);
    let sealed = |seal| {
        let mut chunk = Body::from([&[0; chunk::HEADER_BYTES], &body[..]].concat());
        chunk::seal(&mut chunk, body.len(), seal, first_seq, first_seq, 1);
        chunk.copied
    };
    let mut bytes = Vec::new();
    for at in 0..chunk::ALIGN_BYTES {
        bytes.resize(bytes.len().next_multiple_of(chunk::ALIGN_BYTES) + at, 0);
        bytes.extend(sealed(Seal::from_bytes([0; 8])));
        bytes.resize(bytes.len().next_multiple_of(chunk::ALIGN_BYTES) + at, 0);
        bytes.extend(sealed(Seal::random().unwrap()));
    }
    Bytes::from(bytes)
}

#[test]
fn no_value_is_taken_for_a_chunk() {
    for seed in 0..30 {
        let mut random = Random(seed);
        let mut life = Life::first();
        // Many that are flushed, so that their files are used again; then few small ones before them.
        for n in 0..60 {
            let ahead = [n + 1, n + 40, 60 + random.below(20), 1 << 39][random.below(4) as usize];
            let batch = Batch { writes: vec![Write::Put(format!("k{n}").into(), forged(ahead))] };
            life.engine.apply(&batch).unwrap();
            lock(&life.commits).push(batch);
            life.engine.log.write_out().unwrap();
        }
        life.engine.flush().unwrap();
        life.cold.meanwhile(|| ());
        life.engine.log.write_out().unwrap();
        for _ in 0..random.below(20) {
            life.commit(&mut random).unwrap();
            life.engine.log.write_out().unwrap();
        }
        if seed % 2 == 0 {
            life.close();
        }
        life.durable = life.commits().len();
        let disk = life.disk.after_kill();
        let life = life.next(disk, false).unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"));
        assert_eq!(life.engine.log.committed().0 as usize, life.commits().len());
        assert_eq!(life.engine.get(b"forged").unwrap().value, None, "seed {seed}");
    }
}

#[test]
fn a_closed_store_that_lost_its_last_commits_is_refused() {
    let mut random = Random(7);
    let mut life = Life::first();
    life.live(&mut random, 60).unwrap();
    life.commit(&mut random).unwrap();
    life.close();
    let (name, end_at) = life.engine.log.segments_in_use().pop().unwrap();
    let disk = life.disk.after_kill_and_sync();
    let mut bytes = disk.contents(&name);
    bytes[end_at as usize - 40..].fill(0);
    disk.set_contents(&name, bytes);
    let cold = Arc::new(life.cold.on(disk.clone()));
    for _ in 0..2 {
        let refused = recover(&disk, &cold, false).err();
        assert!(matches!(refused, Some(StoreError::Corrupt { .. })), "{refused:?}");
    }
    recover(&disk, &cold, true).unwrap();
    recover(&disk, &cold, false).unwrap();
}
