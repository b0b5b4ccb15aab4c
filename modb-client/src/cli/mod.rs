//! The command line: what was asked for, and the exit status.
//!
//! Exit status: 0, all went well; 1, the server answered with an error; 2, wrong usage, no connection, or
//! a connection that was lost.
//!
//! Floors: `answers format options` (pure) -> `link` -> the modes, one file each -> here.

mod answers;
mod askpass;
mod bigkeys;
mod format;
mod latency;
mod link;
mod once;
mod options;
mod pipe;
mod prompt;
mod scan;
mod stat;
mod transfer;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use modb_client::terminal::output;
use modb_client::{Error, Value};
pub(crate) use options::page;
use options::{Mode, Options, Parsed};

/// The server answered with an error.
const SERVER_ERROR: u8 = 1;
/// Nothing could be asked, or the answer did not come.
const FAILURE: u8 = 2;

/// Does what the arguments ask for.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut address = String::new();
    let done = match options::parse(args) {
        Ok(Parsed::Run(mut options)) => {
            address = options.config.address();
            let asked = if options.asks_password { askpass::ask().map(Some) } else { Ok(None) };
            asked.and_then(|password| {
                options.config.password = password.or(options.config.password.take());
                run_mode(&options)
            })
        }
        Ok(Parsed::Print(text)) => print(text.as_bytes()).map(|()| Outcome::Ok),
        Err(error) => {
            complain(&format!("{error}\nTry `modb-client --help`."));
            return ExitCode::from(FAILURE);
        }
    };
    match done {
        Ok(Outcome::Ok) => ExitCode::SUCCESS,
        Ok(Outcome::ServerError) => ExitCode::from(SERVER_ERROR),
        // Whoever read the output has gone, which is how `| head` ends.
        Err(Failure::Output(error)) if output::is_reader_gone(&error) => ExitCode::SUCCESS,
        Err(failure) => {
            let place = if failure.names_no_server() { format!("{address}: ") } else { String::new() };
            let (what, advice) = (failure.to_string(), failure.advice());
            let what = if advice.is_empty() { what.as_str() } else { what.trim_end_matches('.') };
            complain(&format!("{place}{what}{advice}"));
            ExitCode::from(FAILURE)
        }
    }
}

/// Says what is wrong, and who says so.
fn complain(sentence: &str) {
    output::complain(&format!("modb-client: {}", output::in_plain_words(sentence)));
}

fn run_mode(options: &Options) -> Result<Outcome, Failure> {
    match options.mode {
        Mode::Once => once::run(options),
        Mode::Prompt => prompt::run(options),
        Mode::Pipe => pipe::run(options),
        Mode::Transfer => transfer::run(options),
        Mode::Scan => scan::run(options),
        Mode::BigKeys | Mode::MemKeys => bigkeys::run(options),
        Mode::Stat => stat::run(options),
        Mode::Latency => latency::run(options),
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

impl Outcome {
    /// What `reply` says.
    fn of(reply: &Value) -> Self {
        match reply {
            Value::Error(_) => Self::ServerError,
            Value::Attributed { value, .. } => Self::of(value),
            _ => Self::Ok,
        }
    }

    /// An error stays one.
    fn and(self, other: Self) -> Self {
        if self == Self::Ok { other } else { self }
    }
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
    /// The password was not given.
    #[error("no password was given: {0}")]
    Password(String),
    /// `--pipe` waited in vain.
    #[error("no reply came for {0:?}, and not all have come (--pipe-timeout)")]
    Unanswered(std::time::Duration),
    /// The input cannot be read.
    #[error("cannot read the input: {0}")]
    Input(#[source] io::Error),
}

impl Failure {
    /// Whether it is about the server and does not say which.
    fn names_no_server(&self) -> bool {
        matches!(self, Self::Client(error) if !matches!(error, Error::Connect { .. }))
    }

    /// What to do about it, as the end of a sentence.
    fn advice(&self) -> &'static str {
        match self {
            Self::Client(Error::Connect { .. }) => "; -h and -p, or -s, say which server, -t how long to try",
            Self::Client(Error::Protocol(_)) => "; does it speak RESP?",
            Self::Client(Error::Server(error)) => match error.code() {
                "NOAUTH" | "WRONGPASS" => "; -a and --user say who asks",
                _ if error.message().contains("DB index") => "; -n says which database",
                _ => "",
            },
            _ => "",
        }
    }
}

/// Writes a reply as `options` say; with `-e`, one that is an error to standard error.
fn show(options: &Options, reply: &Value) -> Result<(), Failure> {
    if let (true, Value::Error(text)) = (options.stops_at_error, reply) {
        output::complain(&String::from_utf8_lossy(text));
        return Ok(());
    }
    let mut text = Vec::new();
    options.format.write(&mut text, reply);
    print(&text)
}

/// Writes to standard output, at once.
fn print(text: &[u8]) -> Result<(), Failure> {
    output::print(text).map_err(Failure::Output)
}
