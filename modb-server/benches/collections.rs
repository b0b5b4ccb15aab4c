//! Measures one large collection, without a network, and what a change of a page costs the store: `cargo bench -p modb-server
//! --bench collections -- [zset|hash|set|list|patch...] [--elements N] [--cache-mb N]`.
//!
//! A collection is filled in any order, then each command is run on elements chosen at random (cold), and on 10,000 of them
//! that were touched before (hot). A row has what one command took at the median, at the 99th of a hundred and at most, the pages that it
//! read and the bytes that it wrote to the log. Beside it a client of a key of its own is measured. Linux, for the memory.

mod random;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use modb_server::store::{Batch, Durability, EngineKind, OpenOptions, Patch, Store, Write, open};
use modb_server::{Database, LocalClient, Options, Reply};
use random::Random;

const HOT: u64 = 10_000;
const COLD_RUNS: u64 = 2_000;
/// Elements of one command that fills.
const FILLING: u64 = 100;
const TURN: u64 = 16;

fn main() {
    let (mut parts, mut elements, mut cache_mb) = (Vec::new(), 10_000_000, 256);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bench" => {}
            "--elements" => elements = number(&mut args),
            "--cache-mb" => cache_mb = number(&mut args) as u32,
            part => parts.push(part.to_owned()),
        }
    }
    if parts.is_empty() {
        parts = ["patch", "zset", "hash", "set", "list"].map(str::to_owned).into();
    }
    for part in parts {
        match part.as_str() {
            "patch" => changes_of_pages(),
            "zset" => measure(&part, elements, cache_mb, "ZADD", ZSET),
            "hash" => measure(&part, elements, cache_mb, "HSET", HASH),
            "set" => measure(&part, elements, cache_mb, "SADD", SET),
            "list" => measure(&part, elements, cache_mb, "RPUSH", LIST),
            other => panic!("what is {other}?"),
        }
    }
}

fn number(args: &mut impl Iterator<Item = String>) -> u64 {
    args.next().and_then(|n| n.parse().ok()).expect("a number follows")
}

/// A command's words: `E` is an element that is there, `N` a new one, `S` a score, `I` an index.
type Commands = &'static [&'static str];

const ZSET: Commands = &[
    "ZSCORE big E",
    "ZRANK big E",
    "ZRANGE big I I",
    "ZRANGE big S +inf BYSCORE LIMIT 0 1",
    "ZRANDMEMBER big",
    "ZADD big S E",
    "ZADD big S N",
    "ZREM big E",
];
const HASH: Commands = &["HGET big E", "HRANDFIELD big", "HSET big E S", "HSET big N S", "HDEL big E"];
const SET: Commands = &["SISMEMBER big E", "SRANDMEMBER big", "SADD big N", "SPOP big", "SREM big E"];
const LIST: Commands =
    &["LINDEX big I", "LRANGE big I I", "LSET big I S", "RPUSH big N", "LPOP big", "LINSERT big BEFORE 0 N"];

fn element(n: u64) -> String {
    format!("{n:010}")
}

/// As many as there are elements, each once, in no order.
fn shuffled(n: u64, count: u64) -> u64 {
    const PRIME: u64 = 2_147_483_647;
    (u128::from(n) * u128::from(PRIME) % u128::from(count)) as u64
}

fn measure(kind: &str, elements: u64, cache_mb: u32, fill: &str, commands: Commands) {
    let options = Options::temporary().durability(Durability::EverySecond).cache_mb(cache_mb);
    let database = options.open().expect("opens");
    let mut client = database.client().expect("a client");
    let begin = Instant::now();
    for first in (0..elements).step_by(FILLING as usize) {
        let mut words = vec![fill.to_owned(), "big".to_owned()];
        for n in (first..elements.min(first + FILLING)).map(|n| shuffled(n, elements)) {
            match kind {
                "zset" => words.extend([score(n), element(n)]),
                "hash" => words.extend([element(n), score(n)]),
                _ => words.push(element(n)),
            }
        }
        run(&mut client, &words);
    }
    println!(
        "\n{kind} of {elements}, --cache-mb {cache_mb}: filled in {:.0} s, {} MiB on disk, {}",
        begin.elapsed().as_secs_f64(),
        info(&mut client, "modb_store_disk_bytes") >> 20,
        memory()
    );
    println!("{:<40}{:>10}{:>10}{:>10}{:>8}{:>8}", "command", "p50 us", "p99 us", "max us", "pages", "log B");
    let (others, done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| serve_others(&database, &done, &others));
        let mut random = Random(7);
        for command in commands {
            row(&mut client, &format!("{command}, cold"), COLD_RUNS, |n| {
                words(command, random.below(elements), n, elements)
            });
        }
        let hot: Vec<u64> = (0..HOT).map(|_| random.below(elements)).collect();
        for command in commands.iter().filter(|command| !takes(command)) {
            // Touched before: read, then changed.
            hot.iter().for_each(|n| drop(client.run(words(command, *n, *n, elements))));
            row(&mut client, &format!("{command}, hot"), HOT, |n| {
                words(command, hot[shuffled(n, HOT) as usize], COLD_RUNS + n, elements)
            });
        }
        for command in ["RENAME big other", "DEL other"] {
            row(&mut client, command, 1, |_| command.split(' ').map(str::to_owned).collect());
        }
        done.store(true, Ordering::Relaxed);
    });
    let others = others.into_inner().expect("nobody panicked");
    println!("others: SET of a key of their own, {}; {}", Times::of(others), memory());
    database.close().expect("closes");
}

/// What takes elements away would find fewer and fewer of the hot ones.
fn takes(command: &str) -> bool {
    ["ZREM", "HDEL", "SREM", "SPOP", "LPOP", "LINSERT"].iter().any(|name| command.starts_with(name))
}

fn words(command: &str, n: u64, run: u64, elements: u64) -> Vec<String> {
    // The pivot of LINSERT is near the middle of the front of the list: finding it is linear.
    let word = |word: &str| match word {
        "E" => element(n),
        "N" => format!("new {:06}", run),
        "S" => score(n.wrapping_mul(run | 1)),
        "I" => n.min(elements / 2).to_string(),
        "0" if command.starts_with("LINSERT") => element(shuffled(elements / 10_000, elements)),
        other => other.to_owned(),
    };
    command.split(' ').map(word).collect()
}

fn score(n: u64) -> String {
    (Random(n).next() >> 12).to_string()
}

fn run(client: &mut LocalClient, words: &[String]) {
    let reply = client.run(words).expect("runs");
    assert!(!matches!(reply, Reply::Error(_)), "{:?}: {reply:?}", &words[..2]);
}

fn row(client: &mut LocalClient, name: &str, runs: u64, mut words: impl FnMut(u64) -> Vec<String>) {
    let (pages, log) = (info(client, "modb_pages_read"), info(client, "modb_store_log_written_bytes"));
    let mut took = Vec::with_capacity(runs as usize);
    for n in 0..runs {
        let words = words(n);
        let begin = Instant::now();
        run(client, &words);
        took.push(begin.elapsed());
    }
    let (pages, log) =
        (info(client, "modb_pages_read") - pages, info(client, "modb_store_log_written_bytes") - log);
    let Times { p50, p99, most } = Times::of(took);
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "{name:<40}{:>10.1}{:>10.1}{:>10.1}{:>8.1}{:>8.0}",
        micros(p50),
        micros(p99),
        micros(most),
        pages as f64 / runs as f64,
        log as f64 / runs as f64,
    );
}

struct Times {
    p50: Duration,
    p99: Duration,
    most: Duration,
}

impl Times {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |part: f64| all.get((all.len() as f64 * part) as usize).copied().unwrap_or_default();
        Self { p50: at(0.5), p99: at(0.99), most: all.last().copied().unwrap_or_default() }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:?}, p99 {:?}, at most {:?}", self.p50, self.p99, self.most)
    }
}

fn serve_others(database: &Database, done: &AtomicBool, took: &Mutex<Vec<Duration>>) {
    let keyspace = database.keyspace(0).expect("the first");
    while !done.load(Ordering::Relaxed) {
        let begin = Instant::now();
        keyspace.set("small", "value").expect("sets");
        took.lock().expect("nobody panicked").push(begin.elapsed());
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn info(client: &mut LocalClient, field: &str) -> u64 {
    let text = match client.run(["INFO", "everything"]).expect("runs") {
        Reply::Bulk(text) => text,
        Reply::Verbatim { text, .. } => text,
        other => panic!("INFO said {other:?}"),
    };
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("{field} is missing"))
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned();
    format!("memory {}, at most {}", of("VmRSS:"), of("VmHWM:"))
}

/// Records of pages' size, of which a few bytes change: put whole, and as patches. One thread, turns of 16.
fn changes_of_pages() {
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
                    store.apply(Batch { writes: vec![Write::Put(page_key(n), value)] }).expect("commits");
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
                                key,
                                base,
                                base_seq: found.seq,
                                value,
                                splices: None,
                            }))
                        } else {
                            Write::Put(key, value)
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

/// Of the whole process, the threads that flush included.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 10_000
}
