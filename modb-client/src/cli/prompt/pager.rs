//! A program that shows what is higher than the window, such as `less`.
//!
//! Invariant: what is to be shown is shown, by the prompt itself if there is no such program or it cannot be started.

use std::io::Write as _;
use std::process::Stdio;

use modb_client::terminal::window::{self, Stream, shell};

/// Where the program may be named; the first that is set has the last word.
const VARIABLES: [&str; 2] = ["MODB_PAGER", "PAGER"];
/// What a shell says of a program that it cannot start.
const NOT_STARTED: [i32; 2] = [126, 127];

/// The program, if the user has one.
#[derive(Debug)]
pub(super) struct Pager {
    command: Option<String>,
}

impl Pager {
    /// The one that the environment names.
    pub(super) fn of_environment() -> Self {
        let command = VARIABLES.iter().find_map(|name| std::env::var(name).ok());
        Self { command: command.filter(|command| !command.trim().is_empty()) }
    }

    /// Shows `text` if it is higher than the window; whether it did.
    pub(super) fn shows(&self, text: &[u8]) -> bool {
        let Some(command) = &self.command else { return false };
        let (Some(columns), Some(rows)) = (window::columns(Stream::Stdout), window::rows(Stream::Stdout))
        else {
            return false;
        };
        if height(text, columns) < rows {
            return false;
        }
        let mut shell = shell(command);
        if std::env::var_os("LESS").is_none() {
            // Colours, no alternate screen, and the end of the text is its end.
            shell.env("LESS", "FRX");
        }
        let Ok(mut child) = shell.stdin(Stdio::piped()).spawn() else { return false };
        if let Some(mut input) = child.stdin.take() {
            // It may end before it has read everything.
            let _ = input.write_all(text);
        }
        let status = child.wait();
        status.is_ok_and(|status| !status.code().is_some_and(|code| NOT_STARTED.contains(&code)))
    }
}

/// How many rows `text` takes, about: what has no width counts as well.
fn height(text: &[u8], columns: usize) -> usize {
    let text = String::from_utf8_lossy(text);
    text.lines().map(|line| line.chars().count().div_ceil(columns.max(1)).max(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_high_as_they_are_wrapped() {
        assert_eq!(height(b"", 10), 0);
        assert_eq!(height(b"a\n\nb\n", 10), 3);
        assert_eq!(height("ü".repeat(21).as_bytes(), 10), 3);
    }
}
