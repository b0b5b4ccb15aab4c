//! Test suites that others wrote, for their own clients: redis-py's and the `redis` crate's, against the server.
//!
//! A test that meets a command of which docs/COMPATIBILITY.md says that it is not supported is left out, and becomes
//! due by itself when the command is; what else is left out stands in a list beside this file, with reasons. Every other
//! test must pass. Prints what `cargo test` prints, a line for each test that failed and for each reason to leave some out.

mod compatibility;
mod outcome;
mod redis_crate;
mod redis_py;

use std::process::ExitCode;

use modb_tests::{Platform, skip};

use outcome::Outcome;

/// A suite: its name, and what runs it, or says why it cannot run here.
type Suite = (&'static str, fn() -> Result<Vec<Outcome>, String>);

const SUITES: [Suite; 2] = [("redis_py_suite", redis_py::run), ("redis_crate_suite", redis_crate::run)];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // Nothing here is ignored, and the names of the single tests are known to the suites only.
    let none = args.iter().any(|arg| arg == "--ignored" || arg == "--list");
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let wanted =
        |name: &str| !none && (filters.is_empty() || filters.iter().any(|part| name.contains(*part)));
    let mut passed = 0;
    let (mut failed, mut left_out) = (0, 0);
    for (name, run) in SUITES.into_iter().filter(|(name, _)| wanted(name)) {
        let outcomes = match reason_against(&Platform::here()).map_or_else(run, Err) {
            Ok(outcomes) => outcomes,
            Err(reason) => {
                // Taken off the passed by who counts.
                passed += 1;
                skip::note(name, &reason);
                continue;
            }
        };
        let summary = outcome::print(name, &outcomes);
        passed += summary.passed;
        failed += summary.failed;
        left_out += summary.left_out;
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; {left_out} ignored; 0 measured; 0 filtered out\n"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Once is enough: commands do not differ between systems, and what does is in the other tests.
fn reason_against(platform: &Platform) -> Option<String> {
    platform
        .windows_server
        .then(|| "runs against the Linux server only: commands are the same on all systems".to_owned())
}
