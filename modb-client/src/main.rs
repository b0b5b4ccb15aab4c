//! `modb-client`, the command line. See `modb-client --help`.

// Printing macros panic when the output is full or has gone: `terminal::output` has what does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod cli;
mod target;

use std::process::ExitCode;

use modb_client::terminal::Program;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == "bench").is_some() {
        return bench::run(args);
    }
    cli::run(args)
}

/// Both commands, for the manual page and the completions.
fn program() -> Program {
    Program { main: cli::page().without_ids(), commands: vec![("bench", bench::page().without_ids())] }
}
