//! Counts system calls, by running this program again under `strace`.

use std::path::Path;
use std::process::Command;

/// Round trips in a counted run; what starting and ending takes is counted apart and subtracted.
const TRIPS: u32 = 300;

/// System calls per wake-up, of both threads together. `None` without `strace`.
pub fn calls_per_wake(name: &str) -> Option<f64> {
    let calls = |trips: u32| counted(&["--only-trips", name, &trips.to_string()]);
    Some((calls(TRIPS)? as f64 - calls(0)? as f64) / f64::from(2 * TRIPS))
}

fn counted(args: &[&str]) -> Option<u64> {
    let file = std::env::temp_dir().join(format!("modb-bench-{}", std::process::id()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(&file).arg(std::env::current_exe().ok()?).args(args);
    let output = strace.output().ok()?;
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
