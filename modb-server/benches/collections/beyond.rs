//! Elements beyond memory: as keys of their own, which is what other stores make of them, and in one collection.
//!
//! Each way is filled with the same ten million elements, then read and changed as the seconds allow: any of them, nine of ten times a
//! tenth that lies scattered, and by Zipf's law. The ways come in turns, each opened anew, and the ratios are those within a round. Judged
//! is the hash, where any of them is read (1.0 of the rate of keys) and changed (0.85).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use modb_server::{Durability, LocalClient, Options};

use crate::Settings;
use crate::measured::{Judgement, cpu_us, info, load, run, shuffled, written_to_disk};
use crate::random::Random;
use crate::zipf::Zipf;

/// Keys or elements of one command that fills.
const FILLING: u64 = 100;
const VALUE_BYTES: usize = 21;
/// What was hot before it is measured.
const WARM_UP_PART: u32 = 3;
/// Commands between two looks at the clock.
const TURN: usize = 64;

struct Way {
    name: &'static str,
    fill: &'static [&'static str],
    read: &'static [&'static str],
    change: &'static [&'static str],
}

/// `E` is an element's name, `V` a value, `S` a score.
const KEYS: Way =
    Way { name: "keys", fill: &["MSET", "E", "V"], read: &["GET", "E"], change: &["SET", "E", "V"] };
const HASH: Way = Way {
    name: "hash",
    fill: &["HSET", "big", "E", "V"],
    read: &["HGET", "big", "E"],
    change: &["HSET", "big", "E", "V"],
};
const ZSET: Way = Way {
    name: "zset",
    fill: &["ZADD", "big", "S", "E"],
    read: &["ZSCORE", "big", "E"],
    change: &["ZADD", "big", "S", "E"],
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Any,
    HotTenth,
    Zipf,
}

const LOADS: [(&str, Choice, bool); 6] = [
    ("read, any", Choice::Any, false),
    ("change, any", Choice::Any, true),
    ("read, hot tenth", Choice::HotTenth, false),
    ("change, hot tenth", Choice::HotTenth, true),
    ("read, Zipf", Choice::Zipf, false),
    ("change, Zipf", Choice::Zipf, true),
];

/// What a load came to.
#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    cpu_us: f64,
    written_bytes: f64,
}

/// Of hashes, which are judged.
pub(crate) fn hashes(settings: &Settings, judgement: &mut Judgement) {
    measure(&[KEYS, HASH], settings, judgement);
}

/// Of sorted sets, which hold each member twice and are only told.
pub(crate) fn sorted_sets(settings: &Settings, judgement: &mut Judgement) {
    measure(&[KEYS, ZSET], settings, judgement);
}

fn measure(ways: &[Way], settings: &Settings, judgement: &mut Judgement) {
    let folders: Vec<PathBuf> = ways.iter().map(folder_of).collect();
    for (way, folder) in ways.iter().zip(&folders) {
        fill(way, folder, settings);
    }
    let mut rounds = Vec::new();
    for round in 0..settings.rounds {
        let of = |(way, folder): (&Way, &PathBuf)| one_way(way, folder, settings, round);
        rounds.push(ways.iter().zip(&folders).map(of).collect::<Vec<_>>());
    }
    println!("\nmedians of {} rounds, {} elements; {}", settings.rounds, settings.elements, load());
    println!("{:<20}{:<8}{:>10}{:>8}{:>10}{:>11}", "", "", "1000/s", "ratio", "CPU us", "written B");
    for (at, (load, choice, changes)) in LOADS.iter().enumerate() {
        for (which, way) in ways.iter().enumerate() {
            let of = |what: fn(&Rate) -> f64| median(rounds.iter().map(|round| what(&round[which][at])));
            let ratio =
                median(rounds.iter().map(|round| round[which][at].per_second / round[0][at].per_second));
            println!(
                "{:<20}{:<8}{:>10.1}{:>8.2}{:>10.1}{:>11.0}",
                load,
                way.name,
                of(|rate| rate.per_second) / 1e3,
                ratio,
                of(|rate| rate.cpu_us),
                of(|rate| rate.written_bytes)
            );
            let least = if *changes { 0.85 } else { 1.0 };
            let judged = way.name == "hash" && *choice == Choice::Any;
            judgement.expect(!judged || ratio >= least, || {
                format!("{load} of a {}: {ratio:.2} of the rate of keys, {least} wanted", way.name)
            });
        }
    }
    folders.iter().for_each(|folder| std::fs::remove_dir_all(folder).expect("removes its own folder"));
}

fn folder_of(way: &Way) -> PathBuf {
    std::env::temp_dir().join(format!("modb-bench-beyond-{}-{}", way.name, std::process::id()))
}

fn open(folder: &Path, settings: &Settings) -> modb_server::Database {
    let options = Options::new(folder).durability(Durability::EverySecond).cache_mb(settings.cache_mb);
    options.open().expect("opens")
}

fn fill(way: &Way, folder: &Path, settings: &Settings) {
    let database = open(folder, settings);
    let (mut client, mut random) = (database.client().expect("a client"), Random(1));
    let begin = Instant::now();
    let repeated = way.fill.iter().position(|word| word.len() == 1).expect("an element is named");
    for first in (0..settings.elements).step_by(FILLING as usize) {
        let mut words: Vec<Vec<u8>> =
            way.fill[..repeated].iter().map(|word| word.as_bytes().into()).collect();
        for n in first..settings.elements.min(first + FILLING) {
            // In no order, and each once.
            let n = shuffled(n, settings.elements);
            words.extend(way.fill[repeated..].iter().map(|word| written(word, n, &mut random)));
        }
        run(&mut client, &words);
    }
    println!(
        "{}: filled in {:.0} s, {} MiB on disk; {}",
        way.name,
        begin.elapsed().as_secs_f64(),
        info(&mut client, "modb_store_disk_bytes") >> 20,
        load()
    );
    database.close().expect("closes");
}

fn one_way(way: &Way, folder: &Path, settings: &Settings, round: u64) -> Vec<Rate> {
    let database = open(folder, settings);
    let mut client = database.client().expect("a client");
    let mut random = Random(round);
    let zipf = Zipf::new(settings.elements);
    let time = Duration::from_secs(settings.seconds);
    let rates = LOADS.map(|(name, choice, changes)| {
        let command = if changes { way.change } else { way.read };
        let mut next = |client: &mut LocalClient| {
            let n = chosen(choice, settings.elements, &zipf, &mut random);
            let words: Vec<Vec<u8>> = command.iter().map(|word| written(word, n, &mut random)).collect();
            run(client, &words);
        };
        repeat(&mut client, time / WARM_UP_PART, &mut next);
        let (cpu, written) = (cpu_us(), written_to_disk());
        let (count, took) = repeat(&mut client, time, &mut next);
        let count = count as f64;
        let rate = Rate {
            per_second: count / took.as_secs_f64(),
            cpu_us: (cpu_us() - cpu) as f64 / count,
            written_bytes: (written_to_disk() - written) as f64 / count,
        };
        println!(
            "round {round}, {}, {name}: {:.0}/s, {:.1} us; {}",
            way.name,
            rate.per_second,
            rate.cpu_us,
            load()
        );
        rate
    });
    database.close().expect("closes");
    rates.into()
}

/// How often, and how long that took.
fn repeat(
    client: &mut LocalClient,
    time: Duration,
    next: &mut impl FnMut(&mut LocalClient),
) -> (u64, Duration) {
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < time {
        (0..TURN).for_each(|_| next(client));
        count += TURN as u64;
    }
    (count, begin.elapsed())
}

fn chosen(choice: Choice, elements: u64, zipf: &Zipf, random: &mut Random) -> u64 {
    match choice {
        Choice::Any => random.below(elements),
        // Names are hashed, so those with small numbers lie anywhere.
        Choice::HotTenth if random.below(10) > 0 => random.below(elements / 10),
        Choice::HotTenth => elements / 10 + random.below(elements - elements / 10),
        Choice::Zipf => zipf.next(random),
    }
}

fn written(word: &str, n: u64, random: &mut Random) -> Vec<u8> {
    match word {
        "E" => format!("e{n:015}").into_bytes(),
        "S" => (random.next() >> 12).to_string().into_bytes(),
        "V" => {
            let number = random.next();
            format!("{number:0VALUE_BYTES$}").into_bytes()
        }
        word => word.as_bytes().into(),
    }
}

fn median(all: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
