//! One step of the test run: a command whose output goes to a log, a line on the terminal, and what it came to.
//!
//! Invariant: a step ends, by itself or by its limit, and one that is ended takes everything with it that it started.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use super::hang::Mark;
use super::tally::Tally;
use crate::artifacts::{self, Artifact};
use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

/// How long a command may take before it counts as hanging. The longest took nine minutes, on a machine that was building
/// four other things; and a run in which one step hangs is to end within the 40 minutes that a run may take.
pub(super) const LIMIT: Duration = Duration::from_secs(20 * 60);

/// The same with `--long`, where single tests take an hour.
pub(super) const LONG_LIMIT: Duration = Duration::from_secs(4 * 60 * 60);

/// How often a running step is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// So much of the log is shown when a step fails.
const LINES_SHOWN: usize = 120;

/// And so much when it hangs: its last words tell where.
const LAST_LINES_SHOWN: usize = 25;

/// Runs a command that is itself a check.
pub(super) fn check(platform: &str, name: &str, command: &mut Command) -> Result<Tally> {
    run(platform, name, command, LIMIT, |_, ended_well| Tally {
        passed: usize::from(ended_well),
        ..prepared(ended_well)
    })
}

/// Runs a command that only prepares: it counts if it fails.
pub(super) fn prepare(platform: &str, name: &str, command: &mut Command) -> Result<Tally> {
    run(platform, name, command, LIMIT, |_, ended_well| prepared(ended_well))
}

fn prepared(ended_well: bool) -> Tally {
    let failed = if ended_well { Vec::new() } else { vec!["did not succeed".to_owned()] };
    Tally { failed, ..Tally::default() }
}

/// Runs a cargo command that builds tests, and gives the programs that it built.
pub(super) fn build(platform: &str, name: &str, command: &mut Command) -> Result<(Tally, Vec<Artifact>)> {
    command.arg("--message-format=json-render-diagnostics");
    let mut programs = Vec::new();
    let tally = run(platform, name, command, LIMIT, |printed, ended_well| {
        programs = artifacts::programs(printed);
        prepared(ended_well)
    })?;
    Ok((tally, programs))
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

/// A command that has ended, or was ended.
pub(crate) struct Watched {
    /// `None`: it took longer than it may.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) printed: String,
}

/// Runs a command with its output in the file `log`, at most for `limit`.
pub(crate) fn watch(command: &mut Command, limit: Duration, log: &Path) -> Result<Watched> {
    let started = Instant::now();
    let file = fs::File::create(log).context(format_args!("cannot write {}", log.display()))?;
    let errors = file.try_clone().context("cannot write the log twice")?;
    let line = process::line(command);
    let mark = Mark::put_on(command);
    let mut child =
        command.stdout(file).stderr(errors).spawn().context(format_args!("cannot start {line}"))?;
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child")? {
            break Some(status);
        }
        if started.elapsed() > limit {
            mark.end(&mut child)?;
            break None;
        }
        std::thread::sleep(POLL_INTERVAL);
    };
    let printed = String::from_utf8_lossy(&fs::read(log).context("cannot read the log")?).into_owned();
    Ok(Watched { status, printed })
}

fn run(
    platform: &str,
    name: &str,
    command: &mut Command,
    limit: Duration,
    read: impl FnOnce(&str, bool) -> Tally,
) -> Result<Tally> {
    let started = begin(platform, name);
    let path = log_path(platform, name, "log")?;
    let line = process::line(command);
    let Watched { status, printed } = watch(command, limit, &path)?;
    let mut tally = read(&printed, status.is_some_and(|status| status.success()));
    if status.is_none() {
        tally.hung = true;
        tally.failed.push(format!("ended after {limit:?}: it hangs ({})", path.display()));
    }
    end(&tally, started.elapsed());
    if !tally.failed.is_empty() {
        println!("    {line}");
        if tally.hung {
            show_end(&printed);
        } else {
            show(&printed);
        }
        println!("    all of it: {}", path.display());
    }
    Ok(tally)
}

/// The last lines of a log.
pub(super) fn show_end(printed: &str) {
    let lines: Vec<&str> = printed.lines().collect();
    for line in &lines[lines.len().saturating_sub(LAST_LINES_SHOWN)..] {
        println!("    | {line}");
    }
}

/// The part of a log that tells why: from the first report of a failure on, or the end.
pub(super) fn show(printed: &str) {
    // What cargo tells programs is not for people.
    let lines: Vec<&str> = printed.lines().filter(|line| !line.starts_with("{\"reason\"")).collect();
    let telling = |line: &&str| *line == "failures:" || line.starts_with("error");
    let from = lines.iter().position(telling).unwrap_or_else(|| lines.len().saturating_sub(LINES_SHOWN));
    for line in lines.iter().skip(from).take(LINES_SHOWN) {
        println!("    | {line}");
    }
}

/// The beginning of a step's line.
pub(super) fn begin(platform: &str, name: &str) -> Instant {
    print!("{platform:<8} {name:<34} ");
    // A line that appears late is still right.
    let _ = std::io::stdout().flush();
    Instant::now()
}

/// The rest of it.
pub(super) fn end(tally: &Tally, took: Duration) {
    let word = match tally {
        Tally { hung: true, .. } => "HANGS",
        Tally { failed, .. } if failed.is_empty() => "ok",
        _ => "FAILED",
    };
    let counts = match tally {
        nothing if nothing.is_empty() => String::new(),
        Tally { passed, failed, skipped, .. } => {
            format!("{passed} passed, {} failed, {} skipped", failed.len(), skipped.len())
        }
    };
    println!("{word:<6} {:>7.1} s   {counts}", took.as_secs_f64());
}

/// Where a step keeps what it prints, and what else it keeps.
pub(super) fn log_path(platform: &str, name: &str, extension: &str) -> Result<PathBuf> {
    let folder = workspace::target_dir().join("test-logs");
    workspace::make_folder(&folder)?;
    let file: String =
        format!("{platform} {name}").chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    Ok(folder.join(file.to_lowercase()).with_extension(extension))
}

/// Whether there is a shell to start; else `test` is counted as skipped, by whoever reads the file.
#[cfg(test)]
pub(super) fn has_shell(test: &str) -> bool {
    let has_one = std::env::consts::OS != "windows";
    if let Some(log) = std::env::var_os("MODB_SKIP_LOG").filter(|_| !has_one) {
        let file = fs::OpenOptions::new().create(true).append(true).open(log);
        let noted = file.and_then(|mut file| writeln!(file, "{test}: there is no shell to start"));
        noted.expect("it can be written");
    }
    has_one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_over_its_limit_has_failed_and_says_that_it_hangs() {
        if !has_shell("a_step_over_its_limit_has_failed_and_says_that_it_hangs") {
            return;
        }
        let mut command = process::command("sh");
        command.args(["-c", "echo test good ... ok; sleep 600"]);
        let begun = Instant::now();
        let limit = Duration::from_millis(300);
        let tally =
            run("xtask", "a step that hangs", &mut command, limit, |printed, _| Tally::read(printed, ""));
        let tally = tally.expect("it can be ended");
        assert!(tally.hung && begun.elapsed() < Duration::from_secs(60));
        assert!(tally.failed[0].contains("it hangs") && tally.failed[0].contains(".log"), "{tally:?}");
    }

    #[test]
    fn a_step_within_its_limit_does_not_hang() {
        // Itself: the one program that is there on every system, Wine included.
        let mut command = process::command(std::env::current_exe().expect("it runs"));
        let tally = run("xtask", "a step that ends", command.arg("--list"), LIMIT, |printed, _| {
            Tally::read(printed, "")
        });
        assert!(tally.is_ok_and(|tally| !tally.hung && tally.failed.is_empty()));
    }
}
