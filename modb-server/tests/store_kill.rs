//! Kills a process that commits and acknowledges, at random moments, and looks at what the next one finds.
//!
//! The child is this test binary again. Each of its threads commits, settles and then prints the number of the
//! commit: what it has printed must be there after the kill, in every durability mode, each commit as a whole, and
//! the counter exact.

mod lasts;

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use modb_server::store::{Batch, Counter, Durability, EngineKind, OpenOptions, Store, Write, open};

use self::lasts::{change_last, last_of};

const FOLDER: &str = "MODB_TEST_KILL_FOLDER";
const MODE: &str = "MODB_TEST_KILL_MODE";
const THREADS: u64 = 2;
const COMMITS: Counter = Counter(0);
/// Rounds on one folder, so that what was recovered is recovered from again.
const ROUNDS_PER_FOLDER: u32 = 5;

fn open_store(folder: &Path, mode: u32) -> Arc<dyn Store> {
    let durability = [Durability::Always, Durability::EverySecond, Durability::Os][mode as usize % 3];
    // Little memory, so that flushes and compactions are under way when the kill comes.
    let options = OpenOptions {
        engine: EngineKind::Log,
        durability,
        cache_mb: 2,
        min_free_bytes: 0,
        ..OpenOptions::new(folder)
    };
    open(&options).expect("opens")
}

/// A record's key, routed as the server's are.
fn key(thread: u64, n: u64) -> Bytes {
    let mut key = vec![0x10, 0, 0, 0, u8::try_from(thread).expect("few threads")];
    key.extend_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key.extend_from_slice(&n.to_be_bytes());
    Bytes::from(key)
}

#[test]
#[ignore = "the child of the tests here: started by them"]
fn child_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let mode = std::env::var(MODE).expect("set with the folder").parse().expect("a number");
    let store = open_store(Path::new(&folder), mode);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || commit_for_ever(&**store, thread));
        }
    });
}

fn commit_for_ever(store: &dyn Store, thread: u64) {
    for n in last_of(store, thread) + 1.. {
        let filling = Bytes::from(vec![n as u8; filling_bytes(n)]);
        let writes = vec![
            Write::Put(key(thread, n).into(), filling),
            Write::Delete(key(thread, n / 2 * 2 + 1_000_000_000).into()),
            change_last(store, thread, n),
            Write::Add(COMMITS, 1),
        ];
        let seq = store.apply(Batch { writes }).expect("commits");
        let mut settled = store.settle().expect("settles");
        while settled < seq {
            std::thread::yield_now();
            settled = store.settled();
        }
        // One write, so that a line is whole or absent.
        std::io::stdout().write_all(format!("ack {thread} {n}\n").as_bytes()).expect("the parent reads");
    }
}

/// One in a hundred is large, and lies in tables of its own.
fn filling_bytes(n: u64) -> usize {
    if n.is_multiple_of(101) { 65 << 10 } else { (n % 500) as usize }
}

fn start_child(folder: &Path, mode: u32) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args(["--exact", "child_that_is_killed", "--ignored", "--nocapture", "--test-threads", "1"])
        .env(FOLDER, folder)
        .env(MODE, mode.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    // Wine on a busy machine fails to start a process now and then, and says so with this error of Windows.
    const ERROR_INTERNAL_ERROR: i32 = 1359;
    const ATTEMPTS: u32 = 5;
    for _ in 1..ATTEMPTS {
        match command.spawn() {
            Err(error) if error.raw_os_error() == Some(ERROR_INTERNAL_ERROR) => {}
            started => return started.expect("starts"),
        }
    }
    command.spawn().expect("starts")
}

/// Runs a child until a random moment, kills it, and answers the last acknowledged commit of each thread.
fn run_and_kill(folder: &Path, mode: u32, random: &mut impl FnMut() -> u64) -> [u64; THREADS as usize] {
    let mut child = start_child(folder, mode);
    let mut acknowledged = [0; THREADS as usize];
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut kill_at = None;
    for line in lines.map_while(Result::ok) {
        // The test runner's own output shares the pipe, also within the first line.
        if let Some((_, ack)) = line.split_once("ack ")
            && let Some((thread, n)) = ack.split_once(' ')
        {
            let thread: usize = thread.parse().expect("a thread");
            acknowledged[thread] = n.parse().expect("a commit");
            let kill_at =
                *kill_at.get_or_insert_with(|| Instant::now() + Duration::from_micros(random() % 60_000));
            if Instant::now() >= kill_at {
                let _ = child.kill();
            }
        }
    }
    let status = child.wait().expect("ends");
    assert!(!status.success() && kill_at.is_some(), "it was killed, not finished: {status}");
    acknowledged
}

fn kill_rounds(rounds: u32) {
    let mut state = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    println!("seed {state}");
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut folder = tempfile::tempdir().expect("a folder");
    for round in 0..rounds {
        if round % ROUNDS_PER_FOLDER == 0 {
            folder = tempfile::tempdir().expect("a folder");
        }
        let acknowledged = run_and_kill(folder.path(), round, &mut random);
        let store = open_store(folder.path(), round);
        let mut total = 0;
        for (thread, acknowledged) in (0..THREADS).zip(acknowledged) {
            let last = last_of(&*store, thread);
            assert!(last >= acknowledged, "round {round}: {acknowledged} was acknowledged, {last} is there");
            for n in 1..=last {
                let value = store.get(&key(thread, n)).expect("reads").value.expect("each commit is there");
                assert!(value.len() == filling_bytes(n) && value.iter().all(|byte| *byte == n as u8));
            }
            assert_eq!(store.get(&key(thread, last + 1)).expect("reads").value, None, "and as a whole");
            total += last;
        }
        assert_eq!(store.counter(COMMITS) as u64, total, "round {round}");
        store.check().expect("whole");
        store.close().expect("closes");
    }
}

#[test]
fn kills_lose_nothing_that_was_acknowledged() {
    kill_rounds(25);
}

#[test]
#[ignore = "long: minutes"]
fn long_kills_lose_nothing_that_was_acknowledged() {
    kill_rounds(500);
}
