//! What the program says on standard output and standard error.
//!
//! Invariant: no printing macro, since those panic when nobody listens or the disk is full. What is said to a log or as an
//! error is said as well as possible; what the program was asked for says whether it arrived.

use std::io::{self, Write};

pub use modb_client::terminal::output::in_plain_words;
use modb_client::terminal::output::is_reader_gone;

/// Says what the program was asked for. A reader that has heard enough is no error.
///
/// # Errors
/// What the system says.
pub fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if is_reader_gone(&error) => Ok(()),
        said => said,
    }
}

/// Says on standard error why something went wrong, in one write. If nobody hears it, the exit status still tells.
pub fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// The error and its causes, without what Rust adds. A message of several lines, as that of a wrong file is, keeps them.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    in_plain_words(text.trim_end()).replace('\r', " ")
}
