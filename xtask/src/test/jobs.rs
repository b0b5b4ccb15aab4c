//! A step that runs test programs, two at a time unless one of them needs the machine for itself.
//!
//! Most tests either compute or wait, so that two programs beside each other end sooner than one after the other. Whatever measures
//! how soon it is served is asked to be alone.
//!
//! Invariants: every job is run, whatever becomes of the others, until one hangs; one that ends badly and names no test that failed has failed
//! itself; nothing is run a second time, but for a program that Wine refused before its first word.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::scratch::Scratch;
use super::step::{self, LIMIT, LONG_LIMIT, Watched};
use super::tally::Tally;
use crate::failure::Result;
use crate::process;

/// How many run at the same time: as many as the smallest machine has processors.
const AT_ONCE: usize = 2;

/// What took as long is named with its time.
const WORTH_NAMING: Duration = Duration::from_secs(10);

/// How often a program is started that Wine refuses.
const ATTEMPTS: usize = 5;

/// What Wine prints when its server cuts off a program that is just starting.
const REFUSED_BY_WINE: &str = "wine client error";

/// A test program to run, or cargo where it runs tests by itself.
pub(super) struct Job {
    pub(super) name: String,
    pub(super) command: Command,
    /// Nothing may run beside it.
    pub(super) is_alone: bool,
}

/// What became of a job.
struct Done {
    name: String,
    /// The command, as one would type it.
    line: String,
    tally: Tally,
    printed: String,
    took: Duration,
}

/// Which tests are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    All,
    /// Those whose name holds this.
    Named(&'a str),
    /// The one ignored test that holds this name.
    Ignored(&'a str),
    /// Those that take minutes, or hours.
    Long,
}

impl Wanted<'_> {
    /// What the programs are told.
    fn args(&self) -> Vec<&str> {
        match self {
            Self::All => Vec::new(),
            Self::Named(name) => vec![name],
            Self::Ignored(name) => vec!["--ignored", name],
            Self::Long => vec!["--ignored", "long_"],
        }
    }

    fn limit(&self) -> Duration {
        if matches!(self, Self::Long) { LONG_LIMIT } else { LIMIT }
    }

    /// Whether there may be none.
    fn may_be_none(&self) -> bool {
        matches!(self, Self::Named(_) | Self::Long)
    }
}

/// Runs the jobs as one step. That not a single test ran is a failure unless there may be none.
pub(super) fn run(platform: &str, name: &str, jobs: Vec<Job>, wanted: Wanted) -> Result<Tally> {
    let started = step::begin(platform, name);
    let scratch = Scratch::new()?;
    let hangs = AtomicBool::new(false);
    let step = |mut job: Job| {
        // What hangs once would take the time of every job that follows.
        if hangs.load(Ordering::Relaxed) {
            return Ok(None);
        }
        scratch.hand_to(&mut job.command);
        let done = job.run(&format!("{platform} {name}"), wanted)?;
        hangs.fetch_or(done.tally.hung, Ordering::Relaxed);
        Ok(Some(done))
    };
    let (alone, together): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.is_alone);
    let mut done = alone.into_iter().map(step).collect::<Result<Vec<_>>>()?;
    done.extend(at_once(together, step)?);
    let done: Vec<Done> = done.into_iter().flatten().collect();
    let mut tally = Tally::default();
    done.iter().for_each(|done| tally.merge(done.tally.clone()));
    if tally.is_empty() && !wanted.may_be_none() {
        tally.failed.push("ran no test".to_owned());
    }
    step::end(&tally, started.elapsed());
    name_the_longest(&done);
    done.iter().filter(|done| !done.tally.failed.is_empty()).for_each(Done::show);
    Ok(tally)
}

/// Runs each once, so many at a time.
fn at_once<T: Send>(jobs: Vec<Job>, run: impl Fn(Job) -> Result<T> + Sync) -> Result<Vec<T>> {
    let queue = Mutex::new(jobs.into_iter());
    let next = || queue.lock().ok()?.next();
    let work = || std::iter::from_fn(next).map(&run).collect::<Vec<_>>();
    let done = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect::<thread::Result<Vec<_>>>()
    });
    done.map_err(|_| "a thread that runs tests panicked")?.into_iter().flatten().collect()
}

fn name_the_longest(done: &[Done]) {
    let mut longest: Vec<&Done> = done.iter().filter(|done| done.took >= WORTH_NAMING).collect();
    longest.sort_by_key(|done| std::cmp::Reverse(done.took));
    if done.len() > 1 && !longest.is_empty() {
        let named: Vec<String> =
            longest.iter().map(|done| format!("{} {:.1} s", done.name, done.took.as_secs_f64())).collect();
        println!("    of which {}", named.join(", "));
    }
}

impl Job {
    /// The same once more.
    pub(super) fn again(&self) -> Self {
        let command = process::again(&self.command);
        Self { name: self.name.clone(), command, is_alone: self.is_alone }
    }

    fn run(mut self, step: &str, wanted: Wanted) -> Result<Done> {
        let log = step::log_path(step, &self.name, "log")?;
        let skips = step::log_path(step, &self.name, "skips")?;
        self.command.env("MODB_SKIP_LOG", &skips).args(wanted.args());
        let started = Instant::now();
        let mut attempts = 0;
        let Watched { status, printed } = loop {
            let _ = fs::remove_file(&skips);
            let watched = step::watch(&mut self.command, wanted.limit(), &log)?;
            attempts += 1;
            if attempts == ATTEMPTS || !was_refused_by_wine(&self.command, &watched) {
                break watched;
            }
        };
        let mut tally = Tally::read(&printed, &fs::read_to_string(&skips).unwrap_or_default());
        match status {
            None => {
                tally.hung = true;
                tally.failed.push(format!("{} hangs: {}", self.name, log.display()));
            }
            Some(status) if !status.success() && tally.failed.is_empty() => {
                tally.failed.push(format!("{} ended with {status}, and no test of it failed", self.name));
            }
            Some(_) => {}
        }
        let line = process::line(&self.command);
        Ok(Done { name: self.name, line, tally, printed, took: started.elapsed() })
    }
}

/// Whether nothing has run that could run once more: Wine's complaint is all that there is, or it has said nothing. What has begun says at
/// once how many tests it has.
fn was_refused_by_wine(command: &Command, watched: &Watched) -> bool {
    let mut lines = watched.printed.lines().filter(|line| !line.trim().is_empty());
    let program = Path::new(command.get_program()).file_name();
    let by_wine = program.is_some_and(|name| name.to_string_lossy().starts_with("wine"));
    watched.status.is_some_and(|status| !status.success())
        && (by_wine || lines.clone().next().is_some())
        && lines.all(|line| line.starts_with(REFUSED_BY_WINE))
}

impl Done {
    fn show(&self) {
        println!("    {}: {}", self.name, self.line);
        if self.tally.hung { step::show_end(&self.printed) } else { step::show(&self.printed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job that is a script.
    fn script(name: &str, script: &str) -> Job {
        let mut command = process::command("sh");
        // What the step adds to the command line is its arguments.
        command.args(["-c", script, "sh"]);
        Job { name: name.to_owned(), command, is_alone: false }
    }

    fn run_all(step: &str, jobs: Vec<Job>) -> Tally {
        run("xtask", step, jobs, Wanted::All).expect("there is a shell")
    }

    #[test]
    fn every_job_runs_whatever_becomes_of_the_others() {
        if !step::has_shell("every_job_runs_whatever_becomes_of_the_others") {
            return;
        }
        let well = "echo 'test result: ok. 2 passed; 0 failed'";
        let badly = "echo 'test bad ... FAILED'; echo 'test result: FAILED. 1 passed; 1 failed'; exit 101";
        let jobs = vec![script("a", badly), script("b", well), script("c", "exit 3"), script("d", well)];
        let mut tally = run_all("jobs that fail", jobs);
        tally.failed.sort();
        assert_eq!(tally.passed, 5);
        assert_eq!(tally.failed.len(), 2, "{tally:?}");
        assert!(tally.failed[0] == "bad" && tally.failed[1].starts_with("c ended with"), "{tally:?}");
    }

    #[test]
    fn what_wine_refused_is_started_again_and_what_had_begun_is_not() {
        if !step::has_shell("what_wine_refused_is_started_again_and_what_had_begun_is_not") {
            return;
        }
        let mark = std::env::temp_dir().join(format!("modb-refused-{}", std::process::id()));
        let refused_once = |first: &str| {
            format!(
                "if [ -e {0} ]; then echo 'test result: ok. 1 passed; 0 failed'; else \
                 touch {0}; {first} echo 'wine client error:0: recvmsg: Connection reset by peer' >&2; exit 1; fi",
                mark.display()
            )
        };
        let tally = run_all("jobs that Wine refuses", vec![script("a", &refused_once(""))]);
        assert_eq!((tally.passed, tally.failed.len()), (1, 0), "{tally:?}");
        fs::remove_file(&mark).expect("it was refused");
        let jobs = vec![script("a", &refused_once("echo 'running 3 tests';"))];
        assert_eq!(run_all("jobs that had begun", jobs).failed.len(), 1);
        fs::remove_file(&mark).expect("it was refused");
    }

    #[test]
    fn what_ends_without_a_word_was_refused_if_wine_was_to_run_it() {
        if !step::has_shell("what_ends_without_a_word_was_refused_if_wine_was_to_run_it") {
            return;
        }
        let ended = |printed: &str| Watched {
            status: Some(Command::new("sh").args(["-c", "exit 1"]).status().expect("there is a shell")),
            printed: printed.to_owned(),
        };
        let by = |program: &str, printed: &str| was_refused_by_wine(&Command::new(program), &ended(printed));
        assert!(by("/usr/bin/wine64", "") && !by("/usr/bin/wine64", "running 3 tests"));
        assert!(!by("target/debug/deps/modb_net", ""));
    }
}
