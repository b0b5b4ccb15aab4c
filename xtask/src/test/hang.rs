//! Ends a step that takes too long, with everything it started.
//!
//! A step is cargo, which starts tests, which start servers, some of them through Wine, which cuts its children off from
//! their parents. What all of them inherit is the environment: each step has a mark there, and what carries it is ended.
//! Only that is, never a process by its name.

use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::failure::{Context as _, Result};
use crate::process;

/// The variable that holds the mark.
const MARK: &str = "MODB_TEST_STEP";

/// How long what was killed may take to be gone: one that waits for a disk takes its time.
const GONE_WITHIN: Duration = Duration::from_secs(10);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What the processes of one step carry.
#[derive(Clone, Debug)]
pub(super) struct Mark(String);

impl Mark {
    /// One that no other step of any run on this machine has at this time.
    pub(super) fn put_on(command: &mut Command) -> Self {
        static STEPS: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), STEPS.fetch_add(1, Ordering::Relaxed));
        command.env(MARK, &mark);
        Self(mark)
    }

    /// Ends `child`, which carries this mark, and everything it started.
    pub(super) fn end(&self, child: &mut Child) -> Result<()> {
        let pid = child.id();
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            // Again until nothing is found: what is being ended may have started something meanwhile.
            let found = match std::env::consts::OS {
                "linux" => self.carriers(),
                "windows" => Vec::new(),
                _ => descendants(pid),
            };
            kill(pid, &found);
            child.kill().context("cannot end a step that hangs")?;
            child.wait().context("cannot wait for a step that was ended")?;
            if found.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("cannot end what a step left behind: processes {found:?}").into());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// The processes that carry this mark, as Linux tells.
    fn carriers(&self) -> Vec<u32> {
        let wanted = format!("{MARK}={}", self.0);
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| {
            // One of another user cannot be read, and is none of ours; one that has just ended has nothing to read.
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes())
        })
        .collect()
    }
}

/// The children of `root` and theirs, as the other Unix systems tell.
fn descendants(root: u32) -> Vec<u32> {
    let listed = process::answer(process::command("ps").args(["-A", "-o", "pid=,ppid="])).unwrap_or_default();
    let pairs: Vec<(u32, u32)> = listed
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().map(|word| word.parse().ok());
            Some((words.next()??, words.next()??))
        })
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(pairs.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid));
        at += 1;
    }
    found.split_off(1)
}

/// Ends processes without asking them. One that has ended by itself is as well, so failures are not told.
fn kill(root: u32, others: &[u32]) {
    let mut command = match std::env::consts::OS {
        "windows" => {
            let mut taskkill = process::command("taskkill");
            taskkill.args(["/T", "/F", "/PID", &root.to_string()]);
            taskkill
        }
        _ if others.is_empty() => return,
        _ => {
            // The shell's own `kill`: the program of that name is not installed everywhere.
            let mut sh = process::command("sh");
            sh.args(["-c", "kill -KILL \"$@\"", "sh"]).args(others.iter().map(u32::to_string));
            sh
        }
    };
    let _ = process::answer(&mut command);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_started_ends_with_it_even_if_it_was_cut_off() {
        if std::env::consts::OS != "linux" {
            return; // elsewhere only the tree of parents is known
        }
        let mut command = process::command("sh");
        command.args(["-c", "sleep 600 & (setsid sleep 600 &) & (sh -c 'sleep 600 & wait') & wait"]);
        let mark = Mark::put_on(&mut command);
        let mut child = command.spawn().expect("there is a shell");
        let begun = Instant::now();
        while mark.carriers().len() < 5 {
            assert!(begun.elapsed() < GONE_WITHIN, "not all were started: {:?}", mark.carriers());
            std::thread::sleep(POLL_INTERVAL);
        }
        let mut unmarked = process::command("sleep").arg("600").spawn().expect("there is a sleep");
        mark.end(&mut child).expect("it can be ended");
        assert_eq!(mark.carriers(), []);
        assert!(unmarked.try_wait().expect("a child can be waited for").is_none(), "it ended another's");
        unmarked.kill().and_then(|()| unmarked.wait()).expect("a child can be ended");
    }

    #[test]
    fn the_tree_of_parents_is_found_from_its_root() {
        assert!(descendants(std::process::id()).len() < 1000);
        assert_eq!(descendants(u32::MAX), []);
    }
}
