//! `--askpass`: asks for the password at the terminal, whatever standard input and output are.
//!
//! Invariants: what is typed is never shown, nor kept in a history; Ctrl-C and Ctrl-D leave the terminal as it was.

use std::borrow::Cow;

use rustyline::completion::Completer;
use rustyline::config::{Behavior, BellStyle, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Editor, Helper};

use super::Failure;

/// Asks for it.
pub(crate) fn ask() -> Result<String, Failure> {
    let config = Config::builder().behavior(Behavior::PreferTerm).bell_style(BellStyle::None).build();
    let ask = || {
        let mut editor: Editor<Mask, DefaultHistory> = Editor::with_config(config)?;
        editor.set_helper(Some(Mask));
        editor.readline("Password: ")
    };
    ask().map_err(|error| {
        Failure::Password(match error {
            ReadlineError::Eof | ReadlineError::Interrupted => "it was not typed".to_owned(),
            error => format!("there is no terminal to ask at ({error}); MODB_PASSWORD can hold it"),
        })
    })
}

/// Shows a star for each character.
struct Mask;

impl Highlighter for Mask {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        "*".repeat(line.chars().count()).into()
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        true
    }
}

impl Completer for Mask {
    type Candidate = String;
}

impl Hinter for Mask {
    type Hint = String;
}

impl Validator for Mask {}

impl Helper for Mask {}
