//! One step of the test run: a command whose output goes to a log, a line on the terminal, and what it came to.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::tally::Tally;
use crate::process::{self, Context as _, Result};
use crate::workspace;

/// No step takes this long unless something hangs.
const LIMIT: Duration = Duration::from_secs(45 * 60);

/// How often a running step is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// So much of the log is shown when a step fails.
const LINES_SHOWN: usize = 120;

/// Runs a command that either succeeds or not; success counts `worth` tests.
fn plain(platform: &str, name: &str, command: &mut Command, worth: usize) -> Result<Tally> {
    run(platform, name, command, |_, ended_well| {
        let mut tally = Tally::default();
        match ended_well {
            true => tally.passed = worth,
            false => tally.failed.push("did not succeed".to_owned()),
        }
        tally
    })
}

/// Runs a command that is itself a check.
pub(super) fn check(platform: &str, name: &str, command: &mut Command) -> Result<Tally> {
    plain(platform, name, command, 1)
}

/// Runs a command that only prepares: it counts if it fails.
pub(super) fn prepare(platform: &str, name: &str, command: &mut Command) -> Result<Tally> {
    plain(platform, name, command, 0)
}

/// Runs `cargo test`. That not a single test ran is a failure unless `filtered`.
pub(super) fn tests(platform: &str, name: &str, command: &mut Command, filtered: bool) -> Result<Tally> {
    let skips = log_path(platform, name, "skips")?;
    let _ = fs::remove_file(&skips);
    command.env("MODB_SKIP_LOG", &skips);
    run(platform, name, command, |printed, ended_well| {
        let mut tally = Tally::read(printed, &fs::read_to_string(&skips).unwrap_or_default());
        if !ended_well && tally.failed.is_empty() {
            tally.failed.push("did not build, or ended without a result".to_owned());
        }
        if tally.is_empty() && !filtered {
            tally.failed.push("ran no test".to_owned());
        }
        tally
    })
}

/// What this process itself checks, told like a step.
pub(super) fn here(platform: &str, name: &str, work: impl FnOnce() -> Result<Vec<String>>) -> Result<Tally> {
    let started = begin(platform, name);
    let faults = work()?;
    let tally = Tally { passed: usize::from(faults.is_empty()), failed: faults.clone(), ..Tally::default() };
    end(&tally, started.elapsed());
    faults.iter().for_each(|fault| println!("    {fault}"));
    Ok(tally)
}

fn run(
    platform: &str,
    name: &str,
    command: &mut Command,
    read: impl FnOnce(&str, bool) -> Tally,
) -> Result<Tally> {
    let started = begin(platform, name);
    let path = log_path(platform, name, "log")?;
    let log = fs::File::create(&path).context(format_args!("cannot write {}", path.display()))?;
    let errors = log.try_clone().context("cannot write the log twice")?;
    let line = process::line(command);
    let mut child =
        command.stdout(log).stderr(errors).spawn().context(format_args!("cannot start {line}"))?;
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child")? {
            break Some(status);
        }
        if started.elapsed() > LIMIT {
            child.kill().and_then(|()| child.wait()).context("cannot end a step that hangs")?;
            break None;
        }
        std::thread::sleep(POLL_INTERVAL);
    };
    let printed = String::from_utf8_lossy(&fs::read(&path).context("cannot read the log")?).into_owned();
    let tally = read(&printed, status.is_some_and(|status| status.success()));
    end(&tally, started.elapsed());
    if !tally.failed.is_empty() {
        if status.is_none() {
            println!("    ended after {} minutes: it hangs", LIMIT.as_secs() / 60);
        }
        println!("    {line}");
        show(&printed);
        println!("    all of it: {}", path.display());
    }
    Ok(tally)
}

/// The part of a log that tells why: from the first report of a failure on, or the end.
fn show(printed: &str) {
    let lines: Vec<&str> = printed.lines().collect();
    let telling = |line: &&str| *line == "failures:" || line.starts_with("error");
    let from = lines.iter().position(telling).unwrap_or_else(|| lines.len().saturating_sub(LINES_SHOWN));
    for line in lines.iter().skip(from).take(LINES_SHOWN) {
        println!("    | {line}");
    }
}

fn begin(platform: &str, name: &str) -> Instant {
    print!("{platform:<8} {name:<34} ");
    // A line that appears late is still right.
    let _ = std::io::stdout().flush();
    Instant::now()
}

fn end(tally: &Tally, took: Duration) {
    let word = if tally.failed.is_empty() { "ok" } else { "FAILED" };
    let counts = match tally {
        nothing if nothing.is_empty() => String::new(),
        Tally { passed, failed, skipped } => {
            format!("{passed} passed, {} failed, {} skipped", failed.len(), skipped.len())
        }
    };
    println!("{word:<6} {:>7.1} s   {counts}", took.as_secs_f64());
}

fn log_path(platform: &str, name: &str, extension: &str) -> Result<PathBuf> {
    let folder = workspace::target_dir().join("test-logs");
    workspace::make_folder(&folder)?;
    let file: String =
        format!("{platform} {name}").chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    Ok(folder.join(file.to_lowercase()).with_extension(extension))
}
