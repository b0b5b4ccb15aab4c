//! Applications that live from transactions, waits and messages, unchanged: two job queues of PyPI that need no scripts.
//!
//! arq 0.28 begins a job by WATCH, MULTI and EXEC and ends it by another transaction, so a job is done at least once, whatever happens to
//! the server. rq 1.11 waits in BLPOP and ends its workers by messages (its later versions keep results in streams). Both come
//! with `cargo xtask setup`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use modb_tests::{Launch, Peer, Platform, Reply, Where, skip, tool, wait};

use crate::{LIMIT, script};

/// The interpreter that has them.
macro_rules! python {
    () => {{
        if Platform::here().is(Where::Windows) {
            skip!("applications find the server by the name of a file; what they ask is answered by the same code");
        }
        match std::env::var_os("MODB_APPLICATIONS_PYTHON") {
            Some(python) => python,
            None => skip!("MODB_APPLICATIONS_PYTHON names no Python with arq and rq (cargo xtask setup makes one)"),
        }
    }};
}

#[test]
fn a_job_queue_loses_nothing_when_the_server_is_killed() {
    loses_nothing(python!(), Scale { jobs: 300, kills: 2, workers: 2 });
}

#[test]
#[ignore = "ten thousand jobs, ten kills"]
fn long_a_job_queue_of_ten_thousand_loses_nothing_through_ten_kills() {
    loses_nothing(python!(), Scale { jobs: 10_000, kills: 10, workers: 4 });
}

#[test]
fn a_job_queue_that_waits_and_listens_does_each_job_once() {
    does_each_once(python!(), 30);
}

#[test]
#[ignore = "a thousand jobs"]
fn long_a_job_queue_that_waits_and_listens_does_each_of_a_thousand_jobs_once() {
    does_each_once(python!(), 1000);
}

struct Scale {
    jobs: usize,
    kills: usize,
    workers: usize,
}

/// Jobs are enqueued and done by arq while the server is killed again and again: all are done, and nothing is left over.
fn loses_nothing(python: OsString, Scale { jobs, kills, workers }: Scale) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let work = Arq { python, folder: folder.path().to_owned() };
    fs::write(work.done_file(), "").expect("the folder can be written");
    let mut server = launch(&work.socket()).with_durability("always").start();
    let _enqueues = work.begin("enqueue", Path::new(&jobs.to_string()));
    let _works: Vec<Running> = (0..workers).map(|_| work.begin("work", &work.done_file())).collect();
    for kill in 1..=kills {
        // Each among the jobs of a share of its own, while they are worked on.
        let enough = jobs * kill / (kills + 1);
        let there = wait::within(LIMIT, || (work.done().len() >= enough).then_some(()));
        assert!(there.is_some(), "{} of {enough} jobs were done\n{}", work.done().len(), work.says());
        server = server.kill_and_restart();
    }
    let all = wait::within(LIMIT, || (work.done().len() == jobs).then_some(()));
    let missing = || (0..jobs).filter(|job| !work.done().contains(job)).take(20).collect::<Vec<_>>();
    assert!(all.is_some(), "lost: {:?}\n{}", missing(), work.says());
    // Those that were done when the server was killed, and not ended, are done again.
    let mut peer = server.peer();
    let none_left = wait::within(LIMIT, || left_over(&mut peer).is_none().then_some(()));
    assert!(none_left.is_some(), "{:?}\n{}", left_over(&mut peer), work.says());
    println!("{jobs} jobs, {} of them done twice, {kills} kills", work.lines().len() - jobs);
}

/// Jobs of rq's wait in three queues, depend on one another, and fail at first.
fn does_each_once(python: OsString, jobs: usize) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let socket = folder.path().join("socket");
    let _server = launch(&socket).start();
    let mut command = Command::new(python);
    command.arg("-B").arg(script("rq_jobs.py")).arg(&socket).arg(jobs.to_string());
    println!("{}", tool::run(&mut command, b"", LIMIT).success());
}

/// A server that is found again after a kill: by the name of a file.
fn launch(socket: &Path) -> Launch {
    let socket = socket.to_str().expect("names of test folders are text");
    Launch::new(&Platform::here()).with("--workers", "4").with("--unixsocket", socket)
}

/// What of arq works in one folder.
struct Arq {
    python: OsString,
    folder: PathBuf,
}

/// A program that goes on until the test ends.
struct Running(Child);

impl Arq {
    fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// Where each job that is done is noted.
    fn done_file(&self) -> PathBuf {
        self.folder.join("done")
    }

    fn begin(&self, task: &str, argument: &Path) -> Running {
        let log = File::options().create(true).append(true).open(self.folder.join("log"));
        let mut command = Command::new(&self.python);
        command.arg(script("arq_jobs.py")).arg(task).arg(self.socket()).arg(argument);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("the folder can be written"));
        Running(tool::spawn(&mut command))
    }

    /// The last that those who work have said, if something is wrong.
    fn says(&self) -> String {
        let all = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Each job as often as it was done.
    fn lines(&self) -> Vec<usize> {
        let text = fs::read_to_string(self.done_file()).expect("the workers' file can be read");
        // The last line may be half written.
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')?.parse().ok()).collect()
    }

    fn done(&self) -> HashSet<usize> {
        self.lines().into_iter().collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What of jobs is still there; `None`: done is done.
fn left_over(peer: &mut Peer) -> Option<String> {
    let Reply::Int(queued) = peer.ask("ZCARD arq:queue") else { panic!("the queue is a sorted set") };
    let keys = peer.ask("KEYS arq:job:*").items().len() + peer.ask("KEYS arq:in-progress:*").items().len();
    (queued > 0 || keys > 0).then(|| format!("{queued} queued, {keys} keys of jobs"))
}
