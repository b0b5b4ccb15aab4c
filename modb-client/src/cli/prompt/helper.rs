//! What the line editor asks while a line is typed: completions and hints. Pure but for the editor's traits, and for the names
//! of keys, which the server is asked for.

use std::borrow::Cow;
use std::cell::RefCell;

use modb_client::terminal::Charset;
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::docs::Docs;
use super::keys::Keys;
use super::syntax::{missing, next_tokens, wants_key};
use crate::cli::format::push_quoted;
use crate::cli::pipe::words;

/// Commands of the prompt itself.
const OWN_COMMANDS: [&str; 4] = ["clear", "exit", "help", "quit"];

/// Knows the commands of the server.
#[derive(Debug)]
pub(super) struct Assistant {
    pub(super) docs: Docs,
    /// Whether hints may be grey (not with `NO_COLOR`).
    pub(super) has_colors: bool,
    /// The editor asks by shared reference.
    pub(super) keys: RefCell<Keys>,
}

/// A hint is only to be read: the right arrow does not insert it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ArgumentHint(String);

impl Hint for ArgumentHint {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Assistant {
    /// What to show behind `line`.
    fn hint_for(&self, line: &str) -> Option<String> {
        let words = words(line.as_bytes())?;
        let (_, doc, name_words) = self.docs.find(&words)?;
        let is_between_words = line.ends_with(char::is_whitespace);
        // A word that is being typed may become another one; the name of the command is recognised as it is.
        let typed = &words[name_words..];
        let missing = missing(&doc.arguments, typed);
        let separator = if is_between_words { "" } else { " " };
        (!missing.is_empty()).then(|| format!("{separator}{missing}"))
    }

    /// Where the word before the end of `line` begins, and what it can become.
    fn completions(&self, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let (before, word) = line.split_at(start);
        let Some(typed) = words(before.as_bytes()) else { return (start, Vec::new()) };
        let is_upper = !word.chars().any(char::is_lowercase);
        let cased = |text: &str| if is_upper { text.to_uppercase() } else { text.to_lowercase() };
        let lower = word.to_lowercase();
        let mut found: Vec<String> = match typed.as_slice() {
            [] => {
                let own = OWN_COMMANDS.into_iter().filter(|name| name.starts_with(&lower));
                let names = self.docs.names_from(&lower).filter(|name| !name.contains(' '));
                own.chain(names).map(cased).collect()
            }
            [first, rest @ ..] => {
                let is_help = first.eq_ignore_ascii_case(b"help");
                let name = if is_help { rest } else { typed.as_slice() };
                let mut found: Vec<String> =
                    self.after_name(name, &lower, is_help).iter().map(|text| cased(text)).collect();
                found.extend(if is_help { Vec::new() } else { self.keys_after(&typed, word) });
                found
            }
        };
        found.sort();
        found.dedup();
        (start, found)
    }

    /// Names of keys that begin with `word`, as they would be typed, if `words` are followed by one.
    fn keys_after(&self, words: &[Vec<u8>], word: &str) -> Vec<String> {
        let Some((_, doc, name_words)) = self.docs.find(words) else { return Vec::new() };
        // In quotes everything is written as it is shown in quotes, and what would be an escape is not completed.
        let (is_quoted, start) = word.strip_prefix('"').map_or((false, word), |start| (true, start));
        if start.contains(['"', '\'', '\\']) || !wants_key(&doc.arguments, &words[name_words..]) {
            return Vec::new();
        }
        let names = self.keys.borrow_mut().beginning_with(start.as_bytes());
        names.iter().map(|name| written(name, is_quoted)).collect()
    }

    /// Subcommands and tokens that can follow `words` and begin with `start`.
    fn after_name(&self, words: &[Vec<u8>], start: &str, names_only: bool) -> Vec<String> {
        let prefix: String =
            words.iter().map(|word| format!("{} ", String::from_utf8_lossy(word).to_lowercase())).collect();
        let sought = format!("{prefix}{start}");
        let names = self.docs.names_from(&sought).filter_map(|name| name[prefix.len()..].split(' ').next());
        let mut found: Vec<String> = names.map(str::to_owned).collect();
        if let Some((_, doc, name_words)) = self.docs.find(words).filter(|_| !names_only) {
            let tokens = next_tokens(&doc.arguments, &words[name_words..]).into_iter();
            found.extend(tokens.filter(|token| token.to_lowercase().starts_with(start)).map(str::to_owned));
        }
        found
    }
}

/// A key as it is typed: in quotes where it must be.
fn written(name: &[u8], is_quoted: bool) -> String {
    let is_plain = |c: &u8| c.is_ascii_graphic() && !b"\"'\\".contains(c);
    if !is_quoted && !name.is_empty() && name.iter().all(is_plain) {
        return String::from_utf8_lossy(name).into_owned();
    }
    let mut quoted = Vec::new();
    push_quoted(&mut quoted, name, Charset::Unicode);
    String::from_utf8_lossy(&quoted).into_owned()
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let (start, mut found) = self.completions(&line[..pos]);
        if let [only] = found.as_mut_slice() {
            only.push(' ');
        }
        Ok((start, found))
    }
}

impl Hinter for Assistant {
    type Hint = ArgumentHint;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<ArgumentHint> {
        // Several lines that were pasted are several commands.
        let is_one_command = pos == line.len() && !line.contains('\n');
        is_one_command.then(|| self.hint_for(line).map(ArgumentHint))?
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.has_colors { format!("\x1b[90m{hint}\x1b[0m").into() } else { hint.into() }
    }
}

impl Validator for Assistant {}

impl Helper for Assistant {}

#[cfg(test)]
mod tests {
    use super::*;
    use modb_net::resp::ReplyDecoder;

    /// What a server answers to COMMAND DOCS, in short.
    fn assistant() -> Assistant {
        let argument = |name: &str, kind: &str| format!("%2\r\n+name\r\n+{name}\r\n+type\r\n+{kind}\r\n");
        let ex =
            "%4\r\n+name\r\n+seconds\r\n+type\r\n+integer\r\n+token\r\n+EX\r\n+flags\r\n*1\r\n+optional\r\n";
        let reply = format!(
            "%3\r\n+set\r\n%2\r\n+summary\r\n+Sets.\r\n+arguments\r\n*3\r\n{}{}{ex}\
             +select\r\n%0\r\n+config\r\n%1\r\n+subcommands\r\n%2\r\n\
             +config|get\r\n%1\r\n+arguments\r\n*1\r\n{}+config|set\r\n%0\r\n",
            argument("key", "key"),
            argument("value", "string"),
            argument("parameter", "string"),
        );
        let reply = ReplyDecoder::default().decode(&mut reply.as_bytes()).unwrap().unwrap();
        Assistant { docs: Docs::from_reply(reply), has_colors: false, keys: RefCell::default() }
    }

    #[test]
    fn names_subcommands_and_tokens_are_completed_in_the_case_of_the_word() {
        let assistant = assistant();
        let completed = |line: &str| assistant.completions(line);
        assert_eq!(completed("SE"), (0, vec!["SELECT".to_owned(), "SET".to_owned()]));
        assert_eq!(completed("se"), (0, vec!["select".to_owned(), "set".to_owned()]));
        assert_eq!(completed("CONFIG "), (7, vec!["GET".to_owned(), "SET".to_owned()]));
        assert_eq!(completed("config g"), (7, vec!["get".to_owned()]));
        assert_eq!(completed("help co"), (5, vec!["config".to_owned()]));
        assert_eq!(completed("set k v e"), (8, vec!["ex".to_owned()]));
        assert_eq!(completed("ex"), (0, vec!["exit".to_owned()]));
        assert_eq!(completed("set k \"v e"), (9, vec![]), "within quotes nothing is completed");
    }

    #[test]
    fn keys_are_written_so_that_they_can_be_read_back() {
        for (name, is_quoted, expected) in [
            (&b"user:1"[..], false, "user:1"),
            (b"user:1", true, "\"user:1\""),
            (b"a b\xff", false, "\"a b\\xff\""),
        ] {
            assert_eq!(written(name, is_quoted), expected);
            assert_eq!(words(expected.as_bytes()).unwrap(), [name.to_vec()]);
        }
    }

    #[test]
    fn hints_follow_the_words() {
        let assistant = assistant();
        assert_eq!(assistant.hint_for("set").as_deref(), Some(" key value [EX seconds]"));
        assert_eq!(assistant.hint_for("SET k ").as_deref(), Some("value [EX seconds]"));
        assert_eq!(assistant.hint_for("set k v EX ").as_deref(), Some("seconds"));
        assert_eq!(assistant.hint_for("set k v EX 1"), None);
        assert_eq!(assistant.hint_for("config get").as_deref(), Some(" parameter"));
        assert_eq!(assistant.hint_for("nothing"), None);
    }
}
