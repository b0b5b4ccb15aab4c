//! The process whose files are recorded, and what must be in a store that it left.
//!
//! Each thread overwrites and deletes its own few records, so that flushes meet newer commits and compactions drop
//! something, and notes in a file beside the data folder each commit that was acknowledged, with its number. That file
//! stands for the clients: it is no part of the disk that loses power.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use modb_server::store::{Batch, Counter, Durability, EngineKind, OpenOptions, Store, Write, open};

use crate::lasts::{change_last, last_of};

pub(crate) const THREADS: u64 = 3;
/// The data folder and the file of acknowledgements, below the root.
pub(crate) const DATA: &str = "data";
pub(crate) const ACKS: &str = "acks";

const COMMITS: Counter = Counter(0);
/// Records of one thread; each is overwritten every so many commits.
const RECORDS: u64 = 600;
/// Every so many commits delete instead.
const DELETE_EVERY: u64 = 7;
/// One value in so many is large: it lies in tables of its own until it is overwritten.
const LARGE_EVERY: u64 = 149;
const LARGE_BYTES: usize = 65 << 10;

const ROOT: &str = "MODB_TEST_CUT_ROOT";
const MODE: &str = "MODB_TEST_CUT_MODE";
const COUNT: &str = "MODB_TEST_CUT_COMMITS";
const SECONDS: &str = "MODB_TEST_CUT_SECONDS";
const CLOSES: &str = "MODB_TEST_CUT_CLOSES";
const VALUES: &str = "MODB_TEST_CUT_VALUE_BYTES";

/// What a process does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) durability: Durability,
    /// Commits of each thread.
    pub(crate) commits: u64,
    /// Spread over this time.
    pub(crate) lasts: Duration,
    /// The largest value of a record that is not large.
    pub(crate) value_bytes: u64,
    /// It closes the store instead of just ending.
    pub(crate) closes: bool,
    /// Below here the disk ignores syncs.
    pub(crate) lies: Option<&'static str>,
}

impl Plan {
    pub(crate) fn env(&self, root: &Path) -> [(&'static str, String); 6] {
        [
            (ROOT, root.display().to_string()),
            (MODE, if self.durability == Durability::Always { "always" } else { "everysec" }.to_owned()),
            (COUNT, self.commits.to_string()),
            (SECONDS, self.lasts.as_secs_f64().to_string()),
            (CLOSES, self.closes.to_string()),
            (VALUES, self.value_bytes.to_string()),
        ]
    }

    fn from_env() -> Option<(PathBuf, Self)> {
        let var = |name| std::env::var(name).ok();
        let plan = Self {
            durability: if var(MODE)? == "always" { Durability::Always } else { Durability::EverySecond },
            commits: var(COUNT)?.parse().ok()?,
            lasts: Duration::from_secs_f64(var(SECONDS)?.parse().ok()?),
            value_bytes: var(VALUES)?.parse().ok()?,
            closes: var(CLOSES)? == "true",
            lies: None,
        };
        Some((var(ROOT)?.into(), plan))
    }
}

pub(crate) fn open_store(
    folder: &Path,
    durability: Durability,
) -> Result<Arc<dyn Store>, modb_server::store::StoreError> {
    // The least memory there is, so that flushes and compactions are many.
    open(&OpenOptions {
        engine: EngineKind::Log,
        durability,
        cache_mb: 1,
        min_free_bytes: 0,
        ..OpenOptions::new(folder)
    })
}

/// The child's whole life, if this process is one.
pub(crate) fn live() {
    let Some((root, plan)) = Plan::from_env() else { return };
    let store = open_store(&root.join(DATA), plan.durability).expect("opens");
    let acks = File::options().create(true).append(true).open(root.join(ACKS)).expect("opens");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, plan, acks) = (&*store, &plan, &acks);
            scope.spawn(move || commit_and_note(store, thread, plan, acks));
        }
    });
    if plan.closes {
        store.close().expect("closes");
    }
    std::process::exit(0);
}

fn commit_and_note(store: &dyn Store, thread: u64, plan: &Plan, mut acks: &File) {
    let (begin, first) = (Instant::now(), last_of(store, thread) + 1);
    for n in first..first + plan.commits {
        // A burst that flushes, then ever fewer, so that there are seconds in which nothing but its clock has
        // `everysec` sync.
        let due = begin + plan.lasts.mul_f64(((n - first) as f64 / plan.commits as f64).powi(6));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let seq = store.apply(commit(store, thread, n, plan.value_bytes)).expect("commits");
        let mut settled = store.settle().expect("settles");
        while settled < seq {
            std::thread::sleep(Duration::from_micros(20));
            settled = store.settled();
        }
        acks.write_all(format!("{thread} {n} {}\n", seq.0).as_bytes()).expect("noted");
    }
}

fn key(thread: u64, record: u64) -> Bytes {
    let mut key = vec![0x10, 0, 0, 0, 0];
    key.extend_from_slice(&(thread + record * THREADS).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key.extend_from_slice(format!("{thread}:{record}").as_bytes());
    Bytes::from(key)
}

/// What the thread's commit `n` leaves in its record.
fn value(n: u64, value_bytes: u64) -> Option<Bytes> {
    let bytes =
        if n.is_multiple_of(LARGE_EVERY) { LARGE_BYTES } else { 8 + (n * 7919 % value_bytes) as usize };
    let mut value = vec![n as u8; bytes];
    value[..8].copy_from_slice(&n.to_be_bytes());
    (!n.is_multiple_of(DELETE_EVERY)).then(|| Bytes::from(value))
}

fn commit(store: &dyn Store, thread: u64, n: u64, value_bytes: u64) -> Batch {
    let key = key(thread, n % RECORDS);
    let record = match value(n, value_bytes) {
        Some(value) => Write::Put(key.into(), value),
        None => Write::Delete(key.into()),
    };
    Batch { writes: vec![record, change_last(store, thread, n), Write::Add(COMMITS, 1)] }
}

/// An acknowledged commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    pub(crate) thread: u64,
    pub(crate) n: u64,
    pub(crate) seq: u64,
}

impl Ack {
    /// From a line of the file.
    pub(crate) fn parse(line: &[u8]) -> Self {
        let text = std::str::from_utf8(line).expect("ASCII");
        let numbers: Vec<u64> = text.split_whitespace().map(|n| n.parse().expect("a number")).collect();
        Self { thread: numbers[0], n: numbers[1], seq: numbers[2] }
    }
}

/// The last commit of each thread.
pub(crate) type Lasts = [u64; THREADS as usize];

/// Whether the store holds exactly the commits up to its last one: as a whole, in the order in which they were
/// numbered, at least those up to `required`. Answers the last of each thread.
pub(crate) fn check<'a>(
    store: &dyn Store,
    plan: &Plan,
    required: Lasts,
    acks: impl Iterator<Item = &'a Ack> + Clone,
) -> Result<Lasts, String> {
    let committed = store.committed().0;
    let mut lasts = Lasts::default();
    for thread in 0..THREADS {
        let last = last_of(store, thread);
        lasts[thread as usize] = last;
        let wanted = required[thread as usize];
        if last < wanted {
            return Err(format!("thread {thread}: {wanted} was acknowledged as safe, {last} is there"));
        }
        for ack in acks.clone().filter(|ack| ack.thread == thread) {
            if (ack.n <= last) != (ack.seq <= committed) {
                return Err(format!("no prefix: {ack:?}, but the last is {last} at commit {committed}"));
            }
        }
        for record in 0..RECORDS {
            let newest = last.checked_sub((last + RECORDS - record) % RECORDS).filter(|n| *n > 0);
            let found = store.get(&key(thread, record)).map_err(|e| e.to_string())?.value;
            if found != newest.and_then(|n| value(n, plan.value_bytes)) {
                return Err(format!(
                    "thread {thread}, last commit {last}: record {record} is not as {newest:?} left it"
                ));
            }
        }
    }
    let count = store.counter(COMMITS) as u64;
    let total: u64 = lasts.iter().sum();
    if count != total || committed != total {
        return Err(format!("{total} commits are there, {count} were counted, {committed} numbered"));
    }
    store.check().map_err(|e| e.to_string())?;
    Ok(lasts)
}
