//! Asks a process to end, as its console or a signal would: `ask-to-end PID interrupt|terminate`.
//!
//! A program of its own because on Windows whoever sends a console event must be in that console, has at most one, and
//! gets the event too.

use std::process::ExitCode;

use modb_tests::sys::{self, Ask};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [pid, ask] = &args[..] else { return ExitCode::from(2) };
    let (Ok(pid), Some(ask)) = (pid.parse(), Ask::named(ask)) else { return ExitCode::from(2) };
    match sys::ask_to_end_from_here(pid, ask) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ask-to-end: {error}");
            ExitCode::FAILURE
        }
    }
}
