//! Measures the engines behind the store's trait, without network and commands: `cargo bench -p modb-server --bench
//! store -- [engine...] [--keys N]
//! [--seconds N] [--only PART]`.
//!
//! One table row per engine and load, in thousands of operations per second. A turn is 16 operations and a settle, as
//! a worker makes it. Run it on a quiet machine and look at ratios.

mod random;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use modb_server::store::{Batch, Counter, Durability, EngineKind, OpenOptions, Store, Write, open};
use random::Random;

const TURN: usize = 16;
const VALUE_BYTES: usize = 100;

struct Load {
    keys: u64,
    /// Only the loads whose name contains it.
    only: String,
    length: Duration,
}

fn main() {
    let mut engines = Vec::new();
    let mut load = Load { keys: 100_000, only: String::new(), length: Duration::from_secs(3) };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bench" => {}
            "--keys" => load.keys = number(&mut args),
            "--seconds" => load.length = Duration::from_secs(number(&mut args)),
            "--only" => load.only = args.next().expect("a part of a load's name follows"),
            name => engines.push(name.parse::<EngineKind>().expect("an engine or an option")),
        }
    }
    if engines.is_empty() {
        engines = vec![EngineKind::Log, EngineKind::Fjall];
    }
    println!("{} keys, {VALUE_BYTES} B values, {} s each, turns of {TURN}", load.keys, load.length.as_secs());
    println!("{:<10}{:<34}{:>12}{:>12}{:>14}", "engine", "load", "kops/s", "ns/op", "longest ms");
    for engine in engines {
        measure(engine, &load);
    }
}

fn number(args: &mut impl Iterator<Item = String>) -> u64 {
    args.next().and_then(|n| n.parse().ok()).expect("a number follows")
}

fn measure(engine: EngineKind, load: &Load) {
    let folder = std::env::temp_dir().join(format!("modb-bench-{}", std::process::id()));
    for threads in [1, 2] {
        with_store(engine, &folder, Durability::EverySecond, load.keys, |store| {
            row(engine, &format!("set, everysec, {threads} threads"), store, threads, load, set);
            row(engine, &format!("get, {threads} threads"), store, threads, load, get);
            row(engine, &format!("get missing, {threads} threads"), store, threads, load, get_missing);
            row(engine, &format!("range of 1, {threads} threads"), store, threads, load, range);
        });
    }
    with_store(engine, &folder, Durability::EverySecond, load.keys, |store| {
        row(engine, "insert new keys, 2 threads", store, 2, load, insert);
    });
    for threads in [1, 2, 16] {
        with_store(engine, &folder, Durability::Always, load.keys, |store| {
            row(engine, &format!("set, always, {threads} threads"), store, threads, load, set_durably);
        });
    }
}

fn with_store(
    engine: EngineKind,
    folder: &std::path::Path,
    durability: Durability,
    keys: u64,
    f: impl Fn(&Arc<dyn Store>),
) {
    let _ = std::fs::remove_dir_all(folder);
    let store = open(&OpenOptions { engine, durability, ..OpenOptions::new(folder) }).expect("opens");
    // The records that the loads overwrite and read.
    for first in (0..keys).step_by(TURN) {
        let writes =
            (first..first + TURN as u64).map(|n| Write::Put(key(n).into(), value(&mut Random(n)))).collect();
        store.apply(Batch { writes }).expect("commits");
        store.settle().expect("settles");
    }
    f(&store);
    store.close().expect("closes");
    drop(store);
    let start = Instant::now();
    let again = open(&OpenOptions { engine, durability, ..OpenOptions::new(folder) }).expect("opens again");
    println!("{:<10}(opened again in {} ms)", engine.name(), start.elapsed().as_millis());
    drop(again);
    std::fs::remove_dir_all(folder).expect("removes its own folder");
}

type Turn = fn(&dyn Store, &mut Random, &Shared);

struct Shared {
    keys: u64,
    next: AtomicU64,
    settled: Condvar,
    lock: Mutex<()>,
}

fn row(engine: EngineKind, name: &str, store: &Arc<dyn Store>, threads: u64, load: &Load, turn: Turn) {
    if !name.contains(&load.only) {
        return;
    }
    let shared = Arc::new(Shared {
        keys: load.keys,
        next: AtomicU64::new(load.keys),
        settled: Condvar::new(),
        lock: Mutex::new(()),
    });
    let waker = Arc::downgrade(&shared);
    store.on_settled(Arc::new(move || {
        if let Some(shared) = waker.upgrade() {
            drop(shared.lock.lock());
            shared.settled.notify_all();
        }
    }));
    let (turns, longest, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (shared, turns, longest, stop) = (&shared, &turns, &longest, &stop);
            scope.spawn(move || {
                let mut random = Random(thread * 7919 + 1);
                while !stop.load(Ordering::Relaxed) {
                    let before = Instant::now();
                    turn(&**store, &mut random, shared);
                    longest.fetch_max(before.elapsed().as_micros() as u64, Ordering::Relaxed);
                    turns.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(load.length);
        stop.store(true, Ordering::Relaxed);
    });
    let seconds = start.elapsed().as_secs_f64();
    let ops = turns.load(Ordering::Relaxed) as f64 * TURN as f64;
    println!(
        "{:<10}{name:<34}{:>12.1}{:>12.0}{:>14.1}",
        engine.name(),
        ops / seconds / 1e3,
        seconds * 1e9 * threads as f64 / ops,
        longest.load(Ordering::Relaxed) as f64 / 1e3,
    );
}

fn set(store: &dyn Store, random: &mut Random, shared: &Shared) {
    for _ in 0..TURN {
        let put = Write::Put(key(random.below(shared.keys)).into(), value(random));
        store.apply(Batch { writes: vec![put] }).expect("commits");
    }
    store.settle().expect("settles");
}

fn insert(store: &dyn Store, random: &mut Random, shared: &Shared) {
    for _ in 0..TURN {
        let put = Write::Put(key(shared.next.fetch_add(1, Ordering::Relaxed)).into(), value(random));
        store.apply(Batch { writes: vec![put, Write::Add(Counter(0), 1)] }).expect("commits");
    }
    store.settle().expect("settles");
}

fn set_durably(store: &dyn Store, random: &mut Random, shared: &Shared) {
    let mut last = modb_net::Seq::ZERO;
    for _ in 0..TURN {
        let put = Write::Put(key(random.below(shared.keys)).into(), value(random));
        last = store.apply(Batch { writes: vec![put] }).expect("commits");
    }
    let mut settled = store.settle().expect("settles");
    while settled < last {
        let guard = shared.lock.lock().expect("not poisoned");
        if store.settled() < last {
            drop(shared.settled.wait_timeout(guard, Duration::from_millis(100)));
        }
        settled = store.settled();
    }
}

fn get(store: &dyn Store, random: &mut Random, shared: &Shared) {
    for _ in 0..TURN {
        std::hint::black_box(store.get(&key_bytes(random.below(shared.keys))).expect("reads"));
    }
}

fn get_missing(store: &dyn Store, random: &mut Random, shared: &Shared) {
    for _ in 0..TURN {
        std::hint::black_box(store.get(&key_bytes(shared.keys + random.below(1 << 40))).expect("reads"));
    }
}

fn range(store: &dyn Store, random: &mut Random, shared: &Shared) {
    for _ in 0..TURN {
        let from = key_bytes(random.below(shared.keys));
        let mut to = from;
        to[28] = 0xff;
        std::hint::black_box(store.scan(&from, &to, 10).expect("reads"));
    }
}

/// A record's key as the server lays it out: kind, database, hash, key.
fn key_bytes(n: u64) -> [u8; 29] {
    let mut key = [
        0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'k', b'e', b'y', b':', b'0', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0,
    ];
    key[5..13].copy_from_slice(&Random(n).next().to_be_bytes());
    key[20..28].copy_from_slice(&n.to_be_bytes());
    key
}

fn key(n: u64) -> Bytes {
    Bytes::copy_from_slice(&key_bytes(n))
}

fn value(random: &mut Random) -> Bytes {
    let mut value = vec![b'x'; VALUE_BYTES];
    value[..8].copy_from_slice(&random.next().to_be_bytes());
    Bytes::from(value)
}
