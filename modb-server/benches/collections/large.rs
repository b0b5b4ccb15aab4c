//! One collection of ten thousand elements, then one of ten million.
//!
//! Each is filled in any order, then each command is run on elements chosen at random (cold), and on 10,000 of them that were touched
//! before (hot). A row has the time that one command took, the pages that it read and the bytes that it wrote to the log. Of the large
//! one it is judged that pages grow with the logarithm at most, that what is hot takes a millisecond at most at the 99th of a hundred, as do
//! RENAME, also beside a COPY, and DEL; memory, what others meet, and `check`, which runs in a process of its own.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use modb_server::{Database, Durability, LocalClient, Options};

use crate::Settings;
use crate::measured::{
    Judgement, Quantiles, Times, control, cpu_us, info, load, memory_kib, others_beside, run, shuffled,
};
use crate::random::Random;

/// Says that this process is to check a folder.
pub(crate) const CHECK: &str = "--check-here";
/// Says that this process is to do what is done with a whole collection.
pub(crate) const WHOLE: &str = "--whole-here";

const SMALL: u64 = 10_000;
const HOT: u64 = 10_000;
/// How often a command is timed, and how often its pages are counted.
const TIMED: [u64; 2] = [2_000, 500];
const TIMED_HOT: [u64; 2] = [9_000, 1_000];
/// What takes elements away would leave nothing of the small one.
const TIMED_TAKES: [u64; 2] = [1_000, 250];
/// Elements of one command that fills.
const FILLING: u64 = 100;
/// Where the pivot of LINSERT stands. Finding it is linear, so it is found at the same place in each list.
const PIVOT: u64 = 500;

const HOT_P99: Duration = Duration::from_millis(1);
const AT_ONCE: Duration = Duration::from_millis(1);
const CHECKED: Duration = Duration::from_secs(60);
const RENAMES: usize = 1_000;
/// Between two that change a name and give it back.
const PAUSE: Duration = Duration::from_micros(200);
const CONTROL: Duration = Duration::from_secs(3);

/// A command's words: `E` is an element that is there, `N` a new one, `S` a score, `I` an index, `M` that of the middle.
type Commands = &'static [&'static str];

struct Kind {
    name: &'static str,
    fill: &'static str,
    keeps: Commands,
    takes: Commands,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "zset",
        fill: "ZADD",
        keeps: &[
            "ZSCORE big E",
            "ZRANK big E",
            "ZRANGE big I I",
            "ZRANGE big S +inf BYSCORE LIMIT 0 1",
            "ZRANDMEMBER big",
            "ZADD big S E",
            "ZADD big S N",
        ],
        takes: &["ZREM big E"],
    },
    Kind {
        name: "hash",
        fill: "HSET",
        keeps: &["HGET big E", "HRANDFIELD big", "HSET big E S", "HSET big N S"],
        takes: &["HDEL big E"],
    },
    Kind {
        name: "set",
        fill: "SADD",
        keeps: &["SISMEMBER big E", "SRANDMEMBER big", "SADD big N"],
        takes: &["SPOP big", "SREM big E"],
    },
    Kind {
        name: "list",
        fill: "RPUSH",
        keeps: &[
            "LINDEX big I",
            "LINDEX big M",
            "LRANGE big I I",
            "LINSERT big AFTER pivot N",
            "LSET big I S",
            "RPUSH big N",
        ],
        takes: &["LPOP big", "RPOP big"],
    },
];

/// What one command took.
struct Row {
    name: String,
    times: Times,
    pages: Quantiles<u64>,
}

pub(crate) fn measure(kind: &str, settings: &Settings, judgement: &mut Judgement) {
    let kind = KINDS.iter().find(|known| known.name == kind).unwrap_or_else(|| panic!("what is {kind}?"));
    let folder = std::env::temp_dir().join(format!("modb-bench-{}-{}", kind.name, std::process::id()));
    let database = open(&folder, settings.cache_mb);
    let small = filled(&database, kind, SMALL);
    database.close().expect("closes");
    std::fs::remove_dir_all(&folder).expect("removes its own folder");

    let database = open(&folder, settings.cache_mb);
    let control = control(&database, CONTROL);
    let (others, large) = others_beside(&database, || filled(&database, kind, settings.elements));
    judgement.expect_others(kind.name, &others, &control);
    judge_growth(&small, &large, settings.elements, judgement);
    database.close().expect("closes");
    judgement.expect_memory(kind.name, memory_kib("VmHWM:"), settings.cache_mb);
    check(&folder, kind, judgement, settings.cache_mb);
    // In a process of its own: what this one took for the databases before would count.
    let mut command = Command::new(std::env::current_exe().expect("this program is there"));
    let words = [WHOLE, kind.name, &settings.cache_mb.to_string()];
    let status = command.args(words).arg(&folder).status().expect("starts");
    judgement.expect(status.success(), || format!("{}: see what is told of COPY, RENAME, DEL", kind.name));
    std::fs::remove_dir_all(&folder).expect("removes its own folder");
}

/// Does what is done with a whole collection: its kind, the cache and the folder are named next.
pub(crate) fn whole_here(args: impl Iterator<Item = String>) -> ExitCode {
    let [name, cache_mb, folder] = &args.collect::<Vec<_>>()[..] else { panic!("three words follow") };
    let cache_mb = cache_mb.parse().expect("a number");
    let mut judgement = Judgement::default();
    let database = open(Path::new(folder), cache_mb);
    let control = control(&database, CONTROL);
    let (others, ()) = others_beside(&database, || at_once(&database, name, &mut judgement));
    let what = format!("{name}, COPY, RENAME, DEL");
    judgement.expect_others(&what, &others, &control);
    database.close().expect("closes");
    // Two threads that fill the memory in turns: the README says what that is with glibc's allocator.
    judgement.expect_memory(&what, memory_kib("VmHWM:"), cache_mb + cache_mb / 3);
    judgement.exit_code()
}

fn open(folder: &Path, cache_mb: u32) -> Database {
    let options = Options::new(folder).durability(Durability::EverySecond).cache_mb(cache_mb);
    options.open().expect("opens")
}

/// Fills one and runs all commands but those on the whole.
fn filled(database: &Database, kind: &Kind, elements: u64) -> Vec<Row> {
    let mut client = database.client().expect("a client");
    let begin = Instant::now();
    for first in (0..elements).step_by(FILLING as usize) {
        let mut words = vec![kind.fill.to_owned(), "big".to_owned()];
        for n in (first..elements.min(first + FILLING)).map(|n| shuffled(n, elements)) {
            match kind.fill {
                "ZADD" => words.extend([score(n), element(n)]),
                "HSET" => words.extend([element(n), score(n)]),
                _ => words.push(element(n)),
            }
        }
        run(&mut client, &words);
    }
    if kind.fill == "RPUSH" {
        run(&mut client, &["LSET", "big", &PIVOT.to_string(), "pivot"]);
    }
    println!(
        "\n{} of {elements}: filled in {:.0} s, {} MiB on disk, memory {} MiB, at most {}; {}",
        kind.name,
        begin.elapsed().as_secs_f64(),
        info(&mut client, "modb_store_disk_bytes") >> 20,
        memory_kib("VmRSS:") >> 10,
        memory_kib("VmHWM:") >> 10,
        load(),
    );
    println!(
        "{:<44}{:>9}{:>9}{:>9}{:>7}{:>7}{:>8}",
        "command", "p50 us", "p99 us", "max us", "pages", "p99", "log B"
    );
    let mut random = Random(7);
    let hot: Vec<u64> = (0..HOT).map(|_| random.below(elements)).collect();
    let mut rows = Vec::new();
    for command in kind.keeps {
        let any = |_| random.below(elements);
        rows.push(row(&mut client, command, "cold", TIMED, elements, any));
    }
    for command in kind.keeps {
        hot.iter().for_each(|&n| drop(run(&mut client, &words(command, n, n, elements))));
        let touched = |run| hot[shuffled(run, HOT) as usize];
        rows.push(row(&mut client, command, "hot", TIMED_HOT, elements, touched));
    }
    for command in kind.takes {
        let any = |_| random.below(elements);
        rows.push(row(&mut client, command, "cold", TIMED_TAKES, elements, any));
    }
    for command in kind.takes.iter().filter(|command| command.ends_with('E')) {
        hot.iter().for_each(|&n| drop(run(&mut client, &words(kind.keeps[0], n, n, elements))));
        let touched = |run| hot[shuffled(run, HOT) as usize];
        rows.push(row(&mut client, command, "hot", TIMED_TAKES, elements, touched));
    }
    rows
}

fn element(n: u64) -> String {
    format!("{n:010}")
}

fn score(n: u64) -> String {
    (Random(n).next() >> 12).to_string()
}

fn words(command: &str, n: u64, run: u64, elements: u64) -> Vec<String> {
    let word = |word: &str| match word {
        "E" => element(n),
        "N" => format!("new {run:06} {n}"),
        "S" => score(n.wrapping_mul(run | 1)),
        // The pivot is before all of them.
        "I" => n.max(2 * PIVOT).to_string(),
        "M" => (elements / 2).to_string(),
        other => other.to_owned(),
    };
    command.split(' ').map(word).collect()
}

fn row(
    client: &mut LocalClient,
    command: &str,
    state: &str,
    [timed, counted]: [u64; 2],
    elements: u64,
    mut choose: impl FnMut(u64) -> u64,
) -> Row {
    let log = info(client, "modb_store_log_written_bytes");
    let mut took = Vec::with_capacity(timed as usize);
    for n in 0..timed {
        let words = words(command, choose(n), n, elements);
        let begin = Instant::now();
        run(client, &words);
        took.push(begin.elapsed());
    }
    let log = info(client, "modb_store_log_written_bytes") - log;
    // Apart: asking between two of them takes its time, too.
    let mut pages = Vec::with_capacity(counted as usize);
    let mut before = info(client, "modb_pages_read");
    for n in timed..timed + counted {
        run(client, &words(command, choose(n), n, elements));
        let now = info(client, "modb_pages_read");
        pages.push(now - before);
        before = now;
    }
    let row =
        Row { name: format!("{command}, {state}"), times: Times::of(took), pages: Quantiles::of(pages) };
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "{:<44}{:>9.1}{:>9.1}{:>9.1}{:>7}{:>7}{:>8.0}",
        row.name,
        micros(row.times.p50),
        micros(row.times.p99),
        micros(row.times.most),
        row.pages.p50,
        row.pages.p99,
        log as f64 / timed as f64,
    );
    row
}

/// A way down a tree takes as many pages as there are levels below the key record: a whole number, so each way of a command is allowed
/// what the logarithm makes of that number, rounded up. The first command of each kind is one way.
fn judge_growth(small: &[Row], large: &[Row], elements: u64, judgement: &mut Judgement) {
    let growth = (elements as f64).ln() / (SMALL as f64).ln();
    let way = small.first().map_or(1, |row| row.pages.p50.max(1));
    let way_allowed = (way as f64 * growth).ceil() as u64;
    for (small, large) in small.iter().zip(large) {
        for (of, few, many) in
            [("p50", small.pages.p50, large.pages.p50), ("p99", small.pages.p99, large.pages.p99)]
        {
            let most = few.div_ceil(way) * way_allowed;
            judgement.expect(many <= most, || {
                format!("{}: {many} pages at {of}, {few} of {SMALL}, {most} allowed", large.name)
            });
        }
        let hot = large.name.ends_with(", hot");
        judgement.expect(!hot || large.times.p99 <= HOT_P99, || format!("{}: {}", large.name, large.times));
    }
}

/// As a process of its own, of which it can be told what it takes.
fn check(folder: &Path, kind: &Kind, judgement: &mut Judgement, cache_mb: u32) {
    let begin = Instant::now();
    let mut command = Command::new(std::env::current_exe().expect("this program is there"));
    let output = command.arg(CHECK).arg(folder).output().expect("starts");
    let (took, said) = (begin.elapsed(), String::from_utf8_lossy(&output.stdout).into_owned());
    println!("check: {took:?}, {}; {}", said.trim().replace('\n', ", "), load());
    judgement.expect(output.status.success(), || format!("{}: check found damage: {said}", kind.name));
    judgement.expect(took <= CHECKED, || format!("{}: check took {took:?}", kind.name));
    let most_kib = said.lines().last().and_then(|line| line.split(' ').next()?.parse().ok());
    let most_kib = most_kib.expect("it told its memory");
    judgement.expect_memory(&format!("{}, check", kind.name), most_kib, cache_mb);
}

/// Checks the folder that is named next, and says what memory and processor time that took.
pub(crate) fn check_here(args: impl Iterator<Item = String>) -> ExitCode {
    let status = modb_server::program::run(["check".into()].into_iter().chain(args.map(Into::into)));
    println!("{} KiB, {} ms of processor time", memory_kib("VmHWM:"), cpu_us() / 1_000);
    status
}

/// What takes the same however many elements there are: RENAME alone, beside COPY, and DEL.
fn at_once(database: &Database, kind: &str, judgement: &mut Judgement) {
    let mut client = database.client().expect("a client");
    let alone = renames(&mut client, "big", |done| done < RENAMES);
    println!("RENAME: {alone}; {}", load());
    judgement.expect(alone.p99 <= AT_ONCE, || format!("{kind}: RENAME {alone}"));
    run(&mut client, &["COPY", "big", "copy"]);
    let copied = AtomicBool::new(false);
    let (beside, took) = std::thread::scope(|scope| {
        let copy = scope.spawn(|| {
            let begin = Instant::now();
            run(&mut database.client().expect("a client"), &["COPY", "big", "another"]);
            copied.store(true, Ordering::Relaxed);
            begin.elapsed()
        });
        let beside = renames(&mut client, "copy", |_| !copied.load(Ordering::Relaxed));
        (beside, copy.join().expect("it copies"))
    });
    println!("RENAME of a copy beside a COPY of {took:?}: {beside}; {}", load());
    judgement.expect(beside.p99 <= AT_ONCE, || format!("{kind}: RENAME beside COPY {beside}"));
    let deletions = ["copy", "another", "big"].map(|key| {
        let begin = Instant::now();
        run(&mut client, &["DEL", key]);
        begin.elapsed()
    });
    println!("DEL: {deletions:?}; {}", load());
    // One of three may be that of a machine that does something else.
    let middle = Times::of(deletions.to_vec()).p50;
    judgement.expect(middle <= AT_ONCE, || format!("{kind}: DEL {deletions:?}"));
}

/// To and fro, so that it has its name again at the end.
fn renames(client: &mut LocalClient, key: &str, go_on: impl Fn(usize) -> bool) -> Times {
    let mut took = Vec::new();
    while go_on(took.len()) {
        for [from, to] in [[key, "renamed"], ["renamed", key]] {
            let begin = Instant::now();
            run(client, &["RENAME", from, to]);
            took.push(begin.elapsed());
        }
        // So that the times of a minute take no memory that would count as the database's.
        std::thread::sleep(PAUSE);
    }
    Times::of(took)
}
