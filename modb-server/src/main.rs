//! `modb-server`: see [`modb_server::program`].
#![deny(clippy::print_stdout, clippy::print_stderr)]

fn main() -> std::process::ExitCode {
    modb_server::program::run(std::env::args_os().skip(1))
}
