//! What the parts of this benchmark share: times, memory, what a client of its own meets, and what was promised of them.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use modb_server::{Database, LocalClient, Reply};

/// What a process takes beside its cache, says the README.
const BESIDE_CACHE_KIB: u64 = 96 << 10;
const OTHERS_P99: Duration = Duration::from_millis(20);

/// What was not kept.
#[derive(Default)]
pub(crate) struct Judgement(Vec<String>);

impl Judgement {
    pub(crate) fn expect(&mut self, kept: bool, what: impl FnOnce() -> String) {
        if !kept {
            self.0.push(what());
        }
    }

    pub(crate) fn expect_memory(&mut self, what: &str, most: u64, cache_mb: u32) {
        let promised = (u64::from(cache_mb) << 10) + BESIDE_CACHE_KIB;
        println!("{what}: memory {} MiB at most, {} promised", most >> 10, promised >> 10);
        self.expect(most <= promised, || format!("{what}: {most} KiB of memory, {promised} promised"));
    }

    pub(crate) fn expect_others(&mut self, what: &str, others: &Times, control: &Times) {
        println!("{what}: others' SET {others}; {}", load());
        let most = OTHERS_P99.max(2 * control.p99);
        self.expect(others.p99 <= most, || format!("{what}: others' p99 {:?}, {most:?} allowed", others.p99));
    }

    pub(crate) fn exit_code(self) -> ExitCode {
        self.0.iter().for_each(|what| println!("NOT KEPT: {what}"));
        ExitCode::from(u8::from(!self.0.is_empty()))
    }
}

/// At the median, at the 99th of a hundred, and at most.
#[derive(Clone, Copy, Default)]
pub(crate) struct Quantiles<T> {
    pub(crate) p50: T,
    pub(crate) p99: T,
    pub(crate) most: T,
}

pub(crate) type Times = Quantiles<Duration>;

impl<T: Ord + Copy + Default> Quantiles<T> {
    pub(crate) fn of(mut all: Vec<T>) -> Self {
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

/// What a client of a key of its own meets while something is done, and what that came to.
pub(crate) fn others_beside<T>(database: &Database, act: impl FnOnce() -> T) -> (Times, T) {
    let (took, done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            let keyspace = database.keyspace(0).expect("the first");
            let mut all = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let begin = Instant::now();
                keyspace.set("small", "value").expect("sets");
                // Half the room of a `Duration`: they are many.
                all.push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX));
                std::thread::sleep(Duration::from_micros(500));
            }
            *took.lock().expect("nobody panicked") = all;
        });
        let result = act();
        done.store(true, Ordering::Relaxed);
        result
    });
    let Quantiles { p50, p99, most } = Quantiles::of(took.into_inner().expect("nobody panicked"));
    let [p50, p99, most] = [p50, p99, most].map(|micros| Duration::from_micros(micros.into()));
    (Times { p50, p99, most }, result)
}

/// What it meets beside a thread that only computes, for so long.
pub(crate) fn control(database: &Database, time: Duration) -> Times {
    let begin = Instant::now();
    let (times, ()) = others_beside(database, || {
        while begin.elapsed() < time {
            std::hint::spin_loop();
        }
    });
    println!("control: others' SET beside a busy thread {times}; {}", load());
    times
}

pub(crate) fn run<W: AsRef<[u8]>>(client: &mut LocalClient, words: &[W]) -> Reply {
    let reply = client.run(words.iter().map(AsRef::as_ref)).expect("runs");
    if let Reply::Error(error) = &reply {
        let word = String::from_utf8_lossy(words[0].as_ref()).into_owned();
        panic!("{word}: {}", String::from_utf8_lossy(error));
    }
    reply
}

pub(crate) fn info(client: &mut LocalClient, field: &str) -> u64 {
    let text = match client.run(["INFO", "persistence"]).expect("runs") {
        Reply::Bulk(text) => text,
        Reply::Verbatim { text, .. } => text,
        other => panic!("INFO said {other:?}"),
    };
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("{field} is missing"))
}

pub(crate) fn memory_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}

/// How much else the machine does.
pub(crate) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("load {}", load.split(' ').next().unwrap_or("?"))
}

/// Of the whole process, the threads that flush included.
pub(crate) fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 10_000
}

/// As many as there are elements, each once, in no order.
pub(crate) fn shuffled(n: u64, count: u64) -> u64 {
    const PRIME: u64 = 2_147_483_647;
    (u128::from(n) * u128::from(PRIME) % u128::from(count)) as u64
}

/// Bytes that this process has written to files.
pub(crate) fn written_to_disk() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0)
}
