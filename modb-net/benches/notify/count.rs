//! Counts system calls, by running this program again under `strace`.

use std::path::Path;
use std::process::Command;

use crate::contenders::Contender;

/// Round trips in a counted run; what starting and ending takes is counted apart and subtracted.
const TRIPS: u32 = 300;

/// Notifies in a counted run of a contender that writes each time, which is slow to count.
const UNCOALESCED: u64 = 10_000;

/// System calls per wake-up, of both threads together. `None` without `strace`.
pub fn calls_per_wake(name: &str) -> Option<f64> {
    let calls = |trips: u32| counted(&["--only-trips", name, &trips.to_string()], None);
    Some((calls(TRIPS)? as f64 - calls(0)? as f64) / f64::from(2 * TRIPS))
}

/// Writes (or futex wakes, for what has no descriptor) in a burst of `notifies`. `None` without `strace`.
pub fn writes(contender: &Contender, producers: u64, notifies: u64) -> Option<f64> {
    let count = if contender.coalesces { notifies } else { UNCOALESCED.min(notifies) };
    let args = ["--only-burst", contender.name, &producers.to_string(), &count.to_string()];
    let writes = counted(&args, Some("write,sendto,sendmsg,futex"))?;
    Some(writes as f64 * notifies as f64 / count as f64)
}

fn counted(args: &[&str], only: Option<&str>) -> Option<u64> {
    let file = std::env::temp_dir().join(format!("modb-bench-{}", std::process::id()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(&file);
    if let Some(only) = only {
        // Other calls run at full speed.
        strace.args(["--seccomp-bpf", "-e", &format!("trace={only}")]);
    }
    let output = strace.arg(std::env::current_exe().ok()?).args(args).output().ok()?;
    let count = output.status.success().then(|| total(&file)).flatten();
    let _ = std::fs::remove_file(&file);
    count
}

/// The column `calls` of the line `total`.
fn total(file: &Path) -> Option<u64> {
    let summary = std::fs::read_to_string(file).ok()?;
    let line = summary.lines().find(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}
