//! The options of a command as one table, from which it is parsed, and its help, man page and completions are made. Pure.
//!
//! A [`Page`] is a command with its options, each under an `Id` of the command's own: matched without a wildcard, the
//! compiler sees to it that what the table promises is also done. A [`Program`] is a page with those of its subcommands.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// Numbers with so many digits are not chosen, but given by the machine.
const WORD_DIGITS: usize = 10;

/// Text of a table: written there, or made from another table.
pub type Text = Cow<'static, str>;

/// The command line is wrong: a sentence that names what, and says what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// An option.
#[derive(Clone, Debug)]
pub struct Opt<Id> {
    /// What the command knows it by.
    pub id: Id,
    /// `-p`.
    pub short: Option<char>,
    /// `--port`, without the dashes.
    pub long: Option<String>,
    /// What its value is called; words with `|` between are all it can be.
    pub value: Option<String>,
    /// A phrase or some sentences.
    pub help: Text,
    /// It works, and is not told of.
    pub is_hidden: bool,
}

impl<Id> Opt<Id> {
    /// One that is written as `spec` says: `-p, --port PORT`.
    ///
    /// # Panics
    /// If `spec` is not written like that.
    pub fn new(id: Id, spec: &str, help: impl Into<Text>) -> Self {
        let (mut short, mut long, mut value) = (None, None, None);
        for word in spec.split([' ', ',']).filter(|word| !word.is_empty()) {
            match word.strip_prefix("--") {
                Some(name) => long = Some(name.to_owned()),
                None => match word.strip_prefix('-') {
                    Some(name) => short = name.chars().next(),
                    None => value = Some(word.to_owned()),
                },
            }
        }
        assert!(short.is_some() || long.is_some(), "{spec:?} names no option");
        Self { id, short, long, value, help: help.into(), is_hidden: false }
    }

    /// The same, not told of.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.is_hidden = true;
        self
    }

    /// As it is written: `-p, --port PORT`.
    pub fn spec(&self) -> String {
        let mut spec = self.names().join(", ");
        if let Some(value) = &self.value {
            spec = format!("{spec} {value}");
        }
        spec
    }

    /// With dashes, the short one first.
    pub fn names(&self) -> Vec<String> {
        let short = self.short.map(|letter| format!("-{letter}"));
        short.into_iter().chain(self.long.as_ref().map(|name| format!("--{name}"))).collect()
    }

    /// What its value can be, if these are all.
    pub fn choices(&self) -> Vec<&str> {
        let value = self.value.as_deref().filter(|value| value.contains('|'));
        value.map(|value| value.split('|').collect()).unwrap_or_default()
    }

    /// Whether its value is the path of a file or a folder.
    pub fn is_path(&self) -> bool {
        matches!(self.value.as_deref(), Some("FILE" | "FOLDER"))
    }

    /// As in the configuration of Redis, capital letters make no difference.
    fn is_long(&self, name: &str) -> bool {
        self.long.as_ref().is_some_and(|long| long.eq_ignore_ascii_case(name))
    }

    fn without_id(self) -> Opt<()> {
        let Self { short, long, value, help, is_hidden, .. } = self;
        Opt { id: (), short, long, value, help, is_hidden }
    }
}

/// Options that belong together.
#[derive(Clone, Debug)]
pub struct Group<Id> {
    /// A word or two.
    pub title: Text,
    /// In the order in which they are told of.
    pub options: Vec<Opt<Id>>,
}

impl<Id> Group<Id> {
    /// A group without options yet.
    pub fn new(title: impl Into<Text>) -> Self {
        Self { title: title.into(), options: Vec::new() }
    }

    /// With one more, as [`Opt::new`] makes it.
    #[must_use]
    pub fn with(mut self, id: Id, spec: &str, help: impl Into<Text>) -> Self {
        self.options.push(Opt::new(id, spec, help));
        self
    }

    /// With one more that is not told of.
    #[must_use]
    pub fn with_hidden(mut self, id: Id, spec: &str) -> Self {
        self.options.push(Opt::new(id, spec, "").hidden());
        self
    }
}

/// A command: what its help tells, and what it takes.
#[derive(Clone, Debug)]
pub struct Page<Id> {
    /// With the program before it: `modb-client bench`.
    pub name: Text,
    /// What it is, in half a sentence: `loads a server and measures it`.
    pub summary: Text,
    /// What stands behind the name, a line each.
    pub usage: Vec<Text>,
    /// Before the options. Lines that begin with a space stay as they are.
    pub about: Text,
    /// Its options.
    pub groups: Vec<Group<Id>>,
    /// Behind the options: titles and texts.
    pub sections: Vec<(Text, Text)>,
    /// Whether its words are paths, which a shell can complete.
    pub takes_paths: bool,
}

impl<Id> Page<Id> {
    /// All options.
    pub fn options(&self) -> impl Iterator<Item = &Opt<Id>> {
        self.groups.iter().flat_map(|group| &group.options)
    }

    /// The same page for those who only read it.
    pub fn without_ids(self) -> Page<()> {
        let Self { name, summary, usage, about, groups, sections, takes_paths } = self;
        let of_group = |group: Group<Id>| Group {
            title: group.title,
            options: group.options.into_iter().map(Opt::without_id).collect(),
        };
        let groups = groups.into_iter().map(of_group).collect();
        Page { name, summary, usage, about, groups, sections, takes_paths }
    }
}

/// A program: its own page, and those of its subcommands by their word.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it does without a subcommand.
    pub main: Page<()>,
    /// The subcommands.
    pub commands: Vec<(&'static str, Page<()>)>,
}

/// The next of the arguments.
#[derive(Debug)]
pub enum Item<'a, Id> {
    /// An option of the page.
    Option(Given<'a, Id>),
    /// Not an option.
    Word(OsString),
}

/// An option that was given, with its value.
#[derive(Debug)]
pub struct Given<'a, Id> {
    option: &'a Opt<Id>,
    /// As it was written, with dashes.
    name: String,
    /// Empty for options that have none.
    value: OsString,
}

impl<Id: Copy> Given<'_, Id> {
    /// Which it is.
    pub fn id(&self) -> Id {
        self.option.id
    }

    /// Its value as it is, for paths.
    pub fn value(&self) -> &OsStr {
        &self.value
    }

    /// Its value as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str, UsageError> {
        self.value.to_str().ok_or_else(|| self.wrong("is not UTF-8"))
    }

    /// Its value as a number.
    ///
    /// # Errors
    /// It is none, or not in the range.
    pub fn number<T>(&self, min: T, max: T) -> Result<T, UsageError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let number: Option<T> = self.text()?.trim().parse().ok();
        let in_range = number.filter(|number| *number >= min && *number <= max);
        in_range.ok_or_else(|| {
            let max = max.to_string();
            // The greatest that a machine word holds is not what somebody reached who gave a wrong one.
            let range = if max.len() >= WORD_DIGITS { String::new() } else { format!(" to {max}") };
            self.wrong(&format!("is not a number from {min}{range}"))
        })
    }

    /// Its value as a time in seconds.
    ///
    /// # Errors
    /// It is none, or not in the range.
    pub fn seconds(&self, min: f64, max: f64) -> Result<Duration, UsageError> {
        self.number(min, max).map(Duration::from_secs_f64)
    }

    /// That its value is refused, and why: `is not a number`.
    pub fn wrong(&self, why: &str) -> UsageError {
        UsageError(format!("{}: {:?} {why}", self.name, self.value.to_string_lossy()))
    }
}

/// Arguments that are read by a table.
#[derive(Debug)]
pub struct Args<'a, Id> {
    page: &'a Page<Id>,
    parser: lexopt::Parser,
}

impl<'a, Id> Args<'a, Id> {
    /// `args` without the name of the program.
    pub fn new(page: &'a Page<Id>, args: impl IntoIterator<Item = OsString>) -> Self {
        Self { page, parser: lexopt::Parser::from_args(args) }
    }

    /// The next option or word.
    ///
    /// # Errors
    /// An option that is unknown, that lacks its value, or that takes none.
    pub fn read(&mut self) -> Result<Option<Item<'a, Id>>, UsageError> {
        let (option, name) = match self.parser.next().map_err(|error| usage(&error))? {
            None => return Ok(None),
            Some(lexopt::Arg::Value(word)) => return Ok(Some(Item::Word(word))),
            Some(lexopt::Arg::Short(letter)) => {
                let name = format!("-{letter}");
                (self.page.options().find(|option| option.short == Some(letter)), name)
            }
            Some(lexopt::Arg::Long(long)) => {
                let name = format!("--{long}");
                (self.page.options().find(|option| option.is_long(long)), name)
            }
        };
        let option = option.ok_or_else(|| self.unknown(&name))?;
        let value = match &option.value {
            // What follows a short one in the same word is the next option.
            None if name.starts_with("--") => match self.parser.optional_value() {
                Some(value) => return Err(takes_no_value(&name, &value)),
                None => OsString::new(),
            },
            None => OsString::new(),
            Some(_) => match self.parser.value() {
                Ok(value) => value,
                Err(_) => return Err(needs_value(option)),
            },
        };
        Ok(Some(Item::Option(Given { option, name, value })))
    }

    /// All that is left, whatever it looks like.
    pub fn rest(&mut self) -> Vec<OsString> {
        // Fails only in the middle of an option, which `read` has read to its end.
        self.parser.raw_args().map(Iterator::collect).unwrap_or_default()
    }

    /// The next argument as it is, if it is one more word of the option that was read last.
    pub fn next_if(&mut self, is_part: impl Fn(&OsStr) -> bool) -> Option<OsString> {
        self.parser.raw_args().ok()?.next_if(is_part)
    }

    fn unknown(&self, name: &str) -> UsageError {
        let names = self.page.options().filter(|option| !option.is_hidden).flat_map(Opt::names);
        let similar = similar(name, names);
        let has_short = self.page.options().any(|option| option.short.is_some() && option.value.is_some());
        let hint = match similar {
            Some(similar) => format!("; did you mean {similar}?"),
            None if !name.starts_with("--") && !has_short => "; options are written --name value".to_owned(),
            None => String::new(),
        };
        UsageError(format!("there is no option {name}{hint}"))
    }
}

fn usage(error: &lexopt::Error) -> UsageError {
    UsageError(match error {
        lexopt::Error::UnexpectedValue { option, value } => return takes_no_value(option, value),
        other => other.to_string(),
    })
}

fn takes_no_value(name: &str, value: &OsStr) -> UsageError {
    UsageError(format!("{name} takes no value, and {:?} was given", value.to_string_lossy()))
}

fn needs_value<Id>(option: &Opt<Id>) -> UsageError {
    let help = if option.short == Some('h') { " (for help: --help)" } else { "" };
    UsageError(format!("a value is missing: {}{help}", option.spec()))
}

/// The one of `names` that `name` was probably meant to be.
pub fn similar(name: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    let allowed = (name.chars().count() / 3).min(3);
    let rated = names.into_iter().map(|known| (distance(name, &known), known));
    rated.filter(|(distance, _)| *distance <= allowed).min().map(|(_, known)| known)
}

/// How many letters have to be changed, inserted, left out or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::terminal) enum Id {
        Port,
        Mode,
        File,
        Quiet,
        Help,
    }

    pub(in crate::terminal) fn page() -> Page<Id> {
        Page {
            name: "tool".into(),
            summary: "is a tool".into(),
            usage: vec!["[OPTIONS] [WORD ...]".into(), "bench [OPTIONS]".into()],
            about:
                "Does something with words, and takes as long a sentence to say so as an eighty-column line."
                    .into(),
            groups: vec![
                Group::new("Where").with(Id::Port, "-p, --port PORT", "where it's [7]").with(
                    Id::Mode,
                    "--mode fast|slow",
                    "which of both; the first is the one that is taken unless it is told otherwise [fast]",
                ),
                Group::new("Other")
                    .with(Id::File, "--a-very-long-option-name FILE", "what it reads")
                    .with(Id::Quiet, "-q", "says nothing")
                    .with(Id::Help, "--help", "this text")
                    .with_hidden(Id::Help, "-?"),
            ],
            sections: vec![("Exit status".into(), "0, or 2 for wrong usage.".into())],
            takes_paths: false,
        }
    }

    /// Each option with its value, and each word.
    fn read(args: &[&str]) -> Result<Vec<String>, String> {
        let page = page();
        let mut args = Args::new(&page, args.iter().map(OsString::from));
        let mut read = Vec::new();
        while let Some(item) = args.read().map_err(|error| error.to_string())? {
            match item {
                Item::Option(given) => read.push(format!("{:?}={}", given.id(), given.text().unwrap())),
                Item::Word(word) => {
                    read.push(word.into_string().unwrap());
                    read.extend(args.rest().into_iter().map(|word| word.into_string().unwrap()));
                }
            }
        }
        Ok(read)
    }

    #[test]
    fn options_are_read_in_every_spelling_and_what_is_behind_the_first_word_is_left_alone() {
        let expected = ["Port=1", "Quiet=", "Port=2", "Port=-3", "Help=", "word", "--port"];
        assert_eq!(read(&["-p1", "-qp", "2", "--port=-3", "-?", "word", "--port"]).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        for (args, expected) in [
            (&["--prot", "7"][..], "there is no option --prot; did you mean --port?"),
            (&["--zzz"], "there is no option --zzz"),
            (&["-x"], "there is no option -x"),
            (&["-p"], "a value is missing: -p, --port PORT"),
            (&["--help=x"], "--help takes no value, and \"x\" was given"),
        ] {
            assert_eq!(read(args).unwrap_err(), expected);
        }
        let page = page();
        let mut args = Args::new(&page, ["--port", "70000"].map(OsString::from));
        let Ok(Some(Item::Option(given))) = args.read() else { panic!() };
        assert_eq!(
            given.number(0, u16::MAX).unwrap_err().to_string(),
            "--port: \"70000\" is not a number from 0 to 65535"
        );
    }

    #[test]
    fn similar_names_are_found_and_others_are_not() {
        let of = |name| similar(name, ["check", "compact"].map(str::to_owned));
        assert_eq!(of("chekc").as_deref(), Some("check"));
        assert_eq!(of("compct").as_deref(), Some("compact"));
        assert_eq!(of("no"), None);
    }
}
