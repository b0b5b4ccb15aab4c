//! The prompt: lines with history, completion and hints from the server's own documentation.
//!
//! Ctrl-C clears a line that is being typed, and gives up whatever is waited for: a connection, or the reply to a command
//! (whose connection is then closed, since the reply may still come). Ctrl-D, `exit` and `quit` leave. A server that has gone, or
//! that refuses the password, does not end the prompt: each command tries to connect again, and AUTH can be typed. What is
//! typed ahead waits for the next prompt; of several lines that are pasted at once, each is executed by itself.
//!
//! What the server sends unasked is shown above the line that is typed, and so is that the connection is lost over which it was to come. Who
//! connects anew listens to the same as before.
//!
//! Floors: `docs ears history` -> `syntax` (all pure) -> `keys pager told` -> `helper session` -> here.

mod docs;
mod ears;
mod helper;
mod history;
mod keys;
mod pager;
mod session;
mod syntax;
mod told;

use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::PathBuf;

use modb_client::terminal::window::{self, Stream};
use modb_net::resp::parse_i64;
use rustyline::config::{BellStyle, Config};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Editor};

use self::helper::Assistant;
use self::session::Session;
use self::told::Told;
use super::options::Options;
use super::{Failure, Outcome, complain, pipe, print};

/// Lines kept in the history.
const HISTORY_LINES: usize = 1000;

/// Asks for commands until the user leaves.
pub(crate) fn run(options: &Options) -> Result<Outcome, Failure> {
    let mut session = Session::new(options)?;
    let mut editor = editor().map_err(input_failure)?;
    if let Err(error) = session.connect() {
        complain(&error.to_string());
    }
    if session.is_interrupted() {
        // Behind the ^C of the terminal.
        print(b"\n")?;
    }
    let assistant = Assistant {
        docs: session.load_docs(),
        has_colors: window::has_colors(Stream::Stdout),
        keys: RefCell::default(),
    };
    editor.set_helper(Some(assistant));
    let history = history::path();
    if let Some(path) = &history {
        // There is none the first time.
        let _ = editor.load_history(path);
    }
    // Where lines are not edited there is no place above them.
    if let Ok(printer) = editor.create_external_printer() {
        session.tell_by(Told::by(printer));
    }
    let mut prompt = Prompt { session, editor, history };
    while prompt.ask()? == Next::Line {}
    Ok(Outcome::Ok)
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Line,
    Leave,
}

struct Prompt {
    session: Session,
    editor: Editor<Assistant, DefaultHistory>,
    history: Option<PathBuf>,
}

impl Prompt {
    /// Asks for a line and does what it says; for several, if several were pasted.
    fn ask(&mut self) -> Result<Next, Failure> {
        if let Some(assistant) = self.editor.helper_mut() {
            assistant.keys.get_mut().follow(self.session.config());
        }
        let prompt = self.session.prompt();
        let entered = match self.session.while_told(|| self.editor.readline(&prompt)) {
            Ok(entered) => entered,
            Err(ReadlineError::Interrupted) => return Ok(Next::Line),
            Err(ReadlineError::Eof) => return Ok(Next::Leave),
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                complain("only UTF-8 can be typed; other bytes are written as \"\\xff\"");
                return Ok(Next::Line);
            }
            Err(error) => return Err(input_failure(error)),
        };
        self.session.begin();
        let is_pasted = entered.contains('\n');
        for line in entered.lines().filter(|line| !line.trim().is_empty()) {
            if is_pasted {
                print(format!("{}{line}\n", self.session.prompt()).as_bytes())?;
            }
            if self.take(line)? == Next::Leave {
                return Ok(Next::Leave);
            }
            if self.session.is_interrupted() {
                break;
            }
        }
        Ok(Next::Line)
    }

    /// Whether what removes everything is meant: anything but a clear yes is a no.
    fn is_meant(&mut self, words: &[Vec<u8>]) -> Result<bool, Failure> {
        let Some(removal) = removal(words, &self.session) else { return Ok(true) };
        match self.editor.readline(&format!("{removal} Go on? [y/N] ")) {
            Ok(answer) => {
                let answer = answer.trim();
                if !["", "y", "yes", "n", "no"].iter().any(|known| answer.eq_ignore_ascii_case(known)) {
                    complain(&format!("{answer:?} is neither y nor n, and was not executed"));
                }
                Ok(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
            }
            Err(ReadlineError::Io(error)) if error.kind() != ErrorKind::InvalidData => {
                Err(input_failure(error.into()))
            }
            Err(_) => Ok(false),
        }
    }

    /// Does what a line says.
    fn take(&mut self, line: &str) -> Result<Next, Failure> {
        // Pasted from the beginning of a file, where some programs put it.
        let line = line.trim_start_matches('\u{feff}');
        let Some(words) = pipe::words(line.as_bytes()) else {
            complain("unbalanced quotes");
            return Ok(Next::Line);
        };
        if words.is_empty() {
            return Ok(Next::Line);
        }
        let is_kept = !history::is_secret(&words) && self.editor.add_history_entry(line).unwrap_or(false);
        if let Some(path) = self.history.as_ref().filter(|_| is_kept) {
            // A prompt without a home still works.
            let _ = self.editor.append_history(path);
        }
        match words[0].to_ascii_lowercase().as_slice() {
            b"exit" | b"quit" if words.len() == 1 => return Ok(Next::Leave),
            b"clear" if words.len() == 1 => self.editor.clear_screen().map_err(input_failure)?,
            b"help" | b"?" => print(help(&self.editor, &words[1..]).as_bytes())?,
            _ if !self.is_meant(&words)? => print(b"Nothing was removed.\n")?,
            _ => {
                self.session.execute(words)?;
                let has_none = self.editor.helper().is_some_and(|assistant| assistant.docs.len() == 0);
                if has_none && self.session.can_load_docs() {
                    let docs = self.session.load_docs();
                    if let Some(assistant) = self.editor.helper_mut() {
                        assistant.docs = docs;
                    }
                }
            }
        }
        Ok(Next::Line)
    }
}

/// What a command removes that removes everything, in half a sentence; `None`: it removes less.
fn removal(words: &[Vec<u8>], session: &Session) -> Option<String> {
    // A number before a command repeats it.
    let name = words.iter().find(|word| parse_i64(word).is_none())?.to_ascii_uppercase();
    let address = session.config().address();
    match name.as_slice() {
        b"FLUSHALL" => Some(format!("FLUSHALL removes all keys of all databases of {address}.")),
        b"FLUSHDB" => {
            Some(format!("FLUSHDB removes all keys of database {} of {address}.", session.config().database))
        }
        _ => None,
    }
}

fn editor() -> rustyline::Result<Editor<Assistant, DefaultHistory>> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .bell_style(BellStyle::None)
        .history_ignore_space(true)
        .history_ignore_dups(true)?
        .max_history_size(HISTORY_LINES)?
        .build();
    Editor::with_config(config)
}

/// What the editor could not do. It reads and writes, and does not say which of both failed: the output is asked.
fn input_failure(error: ReadlineError) -> Failure {
    match print(b"\n") {
        Err(failure) => failure,
        Ok(()) => Failure::Input(std::io::Error::other(error)),
    }
}

/// Words with spaces between, in lines that fit the window.
fn in_lines(words: &[String]) -> String {
    let width = window::columns(Stream::Stdout).unwrap_or(window::DEFAULT_COLUMNS).saturating_sub(1);
    let mut text = String::new();
    let mut used = 0;
    for word in words {
        if used > 0 && used + 2 + word.len() > width {
            text.push('\n');
            used = 0;
        }
        text.push_str("  ");
        text.push_str(word);
        used += 2 + word.len();
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// What is known of a command, or how the prompt works.
fn help(editor: &Editor<Assistant, DefaultHistory>, words: &[Vec<u8>]) -> String {
    if words.is_empty() {
        return "help COMMAND tells about a command, help @GROUP what a group has, help @ which there are.\n\
                Tab completes, a number before a command repeats it.\n\
                Ctrl-C gives up a command, Ctrl-D or exit leaves.\n"
            .to_owned();
    }
    let Some(docs) = editor.helper().map(|assistant| &assistant.docs) else { return String::new() };
    if let Some(group) = words[0].strip_prefix(b"@") {
        let group = String::from_utf8_lossy(group).to_lowercase();
        let names = docs.of_group(&group);
        let names =
            if names.is_empty() { docs.groups().map(|group| format!("@{group}")).collect() } else { names };
        return in_lines(&names);
    }
    let Some((name, doc, _)) = docs.find(words) else {
        return "The server does not tell about this command.\n".to_owned();
    };
    let mut text = format!("\n  {} {}\n", name.to_uppercase(), syntax::syntax(&doc.arguments));
    let facts =
        [("summary", &doc.summary), ("since", &doc.since), ("group", &doc.group), ("cost", &doc.complexity)];
    for (label, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        text.push_str(&format!("  {label:<8} {fact}\n"));
    }
    text.push('\n');
    text
}
