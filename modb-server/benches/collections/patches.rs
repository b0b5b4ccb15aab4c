//! What a change of a few bytes of a page costs the store, put whole and as a patch.

use std::time::Instant;

use bytes::Bytes;
use modb_server::store::{Batch, Change, EngineKind, OpenOptions, Patch, Store, Write, open};

use crate::measured::cpu_us;
use crate::random::Random;

const TURN: u64 = 16;

/// Records of pages' size, of which a few bytes change: put whole, and as patches. One thread, turns of 16.
pub(crate) fn measure() {
    const RECORDS: u64 = 10_000;
    const CHANGES: u64 = 1_000_000;
    println!("\n{:<40}{:>10}{:>10}{:>10}", "a change of 8 bytes, 10,000 records", "k/s", "CPU us", "log B");
    for round in 0..2 {
        for bytes in [455, 1011] {
            for patched in [false, true] {
                let folder = std::env::temp_dir().join(format!("modb-bench-patch-{}", std::process::id()));
                let options = OpenOptions { engine: EngineKind::Log, ..OpenOptions::new(&folder) };
                let store = open(&options).expect("opens");
                for n in 0..RECORDS {
                    let value = Bytes::from((0..bytes).map(|at| (at * at) as u8).collect::<Vec<_>>());
                    store
                        .apply(Batch { writes: vec![Write::Put(page_key(n).into(), value)] })
                        .expect("commits");
                }
                let log = |store: &dyn Store| -> u64 {
                    let stats = store.stats();
                    let found = stats.iter().find(|(name, _)| *name == "store_log_written_bytes");
                    found.and_then(|(_, value)| value.parse().ok()).expect("a number")
                };
                store.settle().expect("settles");
                let (before, cpu, begin) = (log(&*store), cpu_us(), Instant::now());
                let mut random = Random(round);
                for turn in 0..CHANGES / TURN {
                    for at in 0..TURN {
                        let key = page_key(random.below(RECORDS));
                        let found = store.get(&key).expect("reads");
                        let base = found.value.expect("it is there");
                        let mut value = base.to_vec();
                        let place = random.below(bytes - 8) as usize;
                        value[place..place + 8].copy_from_slice(&(turn * TURN + at).to_be_bytes());
                        let value = Bytes::from(value);
                        let write = if patched {
                            Write::Patch(Box::new(Patch {
                                key: key.into(),
                                base_seq: found.seq,
                                value,
                                change: Change::From(base),
                            }))
                        } else {
                            Write::Put(key.into(), value)
                        };
                        store.apply(Batch { writes: vec![write] }).expect("commits");
                    }
                    store.settle().expect("settles");
                }
                println!(
                    "{:<40}{:>10.0}{:>10.2}{:>10.0}",
                    format!("{} of {bytes} B", if patched { "patches" } else { "whole records" }),
                    CHANGES as f64 / begin.elapsed().as_secs_f64() / 1e3,
                    (cpu_us() - cpu) as f64 / CHANGES as f64,
                    (log(&*store) - before) as f64 / CHANGES as f64,
                );
                store.close().expect("closes");
                drop(store);
                std::fs::remove_dir_all(folder).expect("removes its own folder");
            }
        }
    }
}

fn page_key(n: u64) -> Bytes {
    let mut key = vec![0x11, 0, 0, 0, 7];
    key.push((Random(n).next() >> 56) as u8);
    key.extend_from_slice(&[0, 0, 0]);
    key.extend_from_slice(&(n as u32).to_be_bytes());
    Bytes::from(key)
}
