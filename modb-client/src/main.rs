//! `modb-client`, the command line. See `modb-client --help`.

mod bench;
mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == "bench").is_some() {
        return bench::run(args);
    }
    cli::run(args)
}
