//! The command line: what was asked for, and the exit status.
//!
//! Exit status: 0, all went well; 1, the server answered with an error; 2, wrong usage, no connection, or
//! a connection that was lost.

mod format;
mod once;
mod options;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use modb_client::Error;
use options::{Mode, Parsed};

/// The server answered with an error.
const SERVER_ERROR: u8 = 1;
/// Nothing could be asked, or the answer did not come.
const FAILURE: u8 = 2;

/// Does what the arguments ask for.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let options = match options::parse(args) {
        Ok(Parsed::Run(options)) => options,
        Ok(Parsed::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Parsed::Version) => {
            println!("modb-client {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("modb-client: {error}\nTry `modb-client --help`.");
            return ExitCode::from(FAILURE);
        }
    };
    let done = match &options.mode {
        Mode::Once => once::run(&options),
    };
    match done {
        Ok(Outcome::Ok) => ExitCode::SUCCESS,
        Ok(Outcome::ServerError) => ExitCode::from(SERVER_ERROR),
        // Whoever read the output has gone, which is how `| head` ends.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("modb-client: {failure}");
            ExitCode::from(FAILURE)
        }
    }
}

/// How it went, if it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Without an error.
    Ok,
    /// At least one reply was an error.
    ServerError,
}

/// Why it did not go.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The client library says.
    #[error(transparent)]
    Client(#[from] Error),
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    /// The input cannot be read.
    #[error("cannot read the input: {0}")]
    Input(#[source] io::Error),
}
