//! The command line of `modb-server`: `--name value` for every parameter, a task, and a few words of its own.
//!
//! Invariants: what is wrong is named, with a similar name where there is one; a name is looked up before its value is
//! asked for; arguments that are no UTF-8 are taken where paths are, and refused by name elsewhere.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use lexopt::Arg;

use super::values::distance;
use super::{ConfigError, Settings};

pub use super::usage::{Task, help};

/// What the program was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// To serve.
    Serve {
        /// The configuration file, if one was named.
        file: Option<PathBuf>,
    },
    /// To do something with a data folder.
    Care {
        /// What.
        task: &'static Task,
        /// The folder behind the word.
        operand: Option<PathBuf>,
    },
    /// To say how it is used, or how the task is.
    Help(Option<&'static Task>),
    /// To say which version it is.
    Version,
}

/// What stands on the command line, before the file is read.
#[derive(Default)]
struct Given {
    options: Vec<(&'static str, OsString)>,
    file: Option<PathBuf>,
    task: Option<&'static Task>,
    operand: Option<PathBuf>,
    help: bool,
    version: bool,
}

/// Reads the arguments (without the name of the program) into `settings`. What a file says is read first, so
/// that the command line has the last word.
///
/// # Errors
/// A wrong option, named, with a similar one where there is one.
pub fn read(
    args: impl IntoIterator<Item = OsString, IntoIter: 'static>,
    settings: &Settings,
) -> Result<Asked, ConfigError> {
    let given = given(args)?;
    if given.help {
        return Ok(Asked::Help(given.task));
    }
    if given.version {
        return Ok(Asked::Version);
    }
    if let Some(file) = &given.file {
        super::file::read(file, settings)?;
    }
    for (name, value) in &given.options {
        set(settings, name, value)?;
    }
    Ok(match (given.task, given.operand) {
        (Some(task), operand) => Asked::Care { task, operand },
        (None, _) => Asked::Serve { file: given.file },
    })
}

fn given(args: impl IntoIterator<Item = OsString, IntoIter: 'static>) -> Result<Given, ConfigError> {
    let mut given = Given::default();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|error| wrong(&error))? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => given.help = true,
            Arg::Short('v' | 'V') | Arg::Long("version") => given.version = true,
            Arg::Long("config") => given.file = Some(value(&mut parser, "config")?.into()),
            Arg::Long(name) => {
                let name = super::params::find(name)?.1.name;
                let mut value = value(&mut parser, name)?;
                if name == "bind" {
                    more_addresses(&mut parser, &mut value)?;
                }
                given.options.push((name, value));
            }
            Arg::Short(letter) => {
                return Err(source(format!("unknown option '-{letter}'; options are written --name value")));
            }
            Arg::Value(word) => given.word(word)?,
        }
    }
    if let (Some(task), None, false) = (given.task, &given.operand, given.help)
        && let Some(missing) = task.needs
    {
        return Err(source(format!("{missing}: modb-server {} {}", task.name, task.operand)));
    }
    Ok(given)
}

impl Given {
    /// A word without dashes: the task, then what it is about.
    fn word(&mut self, word: OsString) -> Result<(), ConfigError> {
        match self.task {
            None => self.task = Some(task(&word)?),
            Some(task) if self.operand.is_none() && !task.operand.is_empty() => {
                check_folder(&word)?;
                self.operand = Some(word.into());
            }
            Some(_) => return Err(unexpected(&word)),
        }
        Ok(())
    }
}

fn task(word: &OsStr) -> Result<&'static Task, ConfigError> {
    if let Some(task) = Task::ALL.iter().find(|task| word == task.name) {
        return Ok(task);
    }
    let text = word.to_string_lossy();
    let near = Task::ALL.iter().map(|task| (distance(&text, task.name), task.name)).min();
    match near.filter(|(distance, name)| distance * 2 <= name.len()) {
        Some((_, name)) => Err(source(format!("unknown task '{}'; did you mean '{name}'?", shown(word)))),
        None => Err(unexpected(word)),
    }
}

fn unexpected(word: &OsStr) -> ConfigError {
    source(format!("unexpected argument '{}'; options are written --name value", shown(word)))
}

/// The value of an option, of which a path may be anything.
fn value(parser: &mut lexopt::Parser, name: &str) -> Result<OsString, ConfigError> {
    parser.value().map_err(|_| source(format!("option --{name} needs a value")))
}

/// `--bind 127.0.0.1 -::1` takes several words, as in Redis: those behind the first that are addresses.
fn more_addresses(parser: &mut lexopt::Parser, value: &mut OsString) -> Result<(), ConfigError> {
    let Ok(mut words) = parser.raw_args() else { return Ok(()) };
    let is_address = |word: &OsStr| {
        let word = word.to_string_lossy();
        let word = word.strip_prefix('-').unwrap_or(&word);
        !word.starts_with('-')
            && (word == "*" || word.contains(':') || word.parse::<std::net::IpAddr>().is_ok())
    };
    while let Some(next) = words.next_if(is_address) {
        value.push(" ");
        value.push(next);
    }
    Ok(())
}

fn set(settings: &Settings, name: &'static str, value: &OsStr) -> Result<(), ConfigError> {
    match (name, value.to_str()) {
        ("dir", _) => settings.set_folder(Path::new(value)),
        (_, Some(text)) => settings.set(name, text),
        (_, None) => Err(ConfigError::Invalid { name, why: "must be text in UTF-8".to_owned() }),
    }
}

/// A folder is named as `dir` names one.
fn check_folder(name: &OsStr) -> Result<(), ConfigError> {
    Settings::default().set_folder(Path::new(name))
}

fn source(text: String) -> ConfigError {
    ConfigError::CommandLine(text)
}

fn shown(word: &OsStr) -> String {
    word.to_string_lossy().escape_debug().to_string()
}

/// What the parser itself refuses: a value for an option that takes none.
fn wrong(error: &lexopt::Error) -> ConfigError {
    match error {
        lexopt::Error::UnexpectedValue { option, .. } => source(format!("option {option} takes no value")),
        error => source(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> (Result<Asked, String>, Settings) {
        let settings = Settings::default();
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let asked = read(words, &settings);
        (asked.map_err(|error| error.to_string()), settings)
    }

    fn refusal(line: &str) -> String {
        parse(line).0.expect_err(line)
    }

    #[test]
    fn options_are_read_in_both_forms() {
        let (asked, settings) = parse("--port 7 --bind 0.0.0.0 -::1 --durability=always --databases 3");
        assert_eq!(asked, Ok(Asked::Serve { file: None }));
        let got = ["port", "bind", "durability", "appendfsync", "databases"].map(|name| settings.get(name));
        assert_eq!(got, ["7", "0.0.0.0 -::1", "always", "always", "3"]);
    }

    #[test]
    fn wrong_options_are_named() {
        for (line, error) in [
            ("--prot 7", "unknown option 'prot'; did you mean 'port'?"),
            ("--nope", "unknown option 'nope'"),
            ("--port", "option --port needs a value"),
            ("--config", "option --config needs a value"),
            ("7000", "unexpected argument '7000'; options are written --name value"),
            ("-p 7000", "unknown option '-p'; options are written --name value"),
            ("--port x", "port: must be a number from 0 to 65535"),
            ("--help=x", "option --help takes no value"),
            ("--store lig", "store: must be one of log, fjall, memory"),
            ("chekc", "unknown task 'chekc'; did you mean 'check'?"),
            ("compact a", "unexpected argument 'a'; options are written --name value"),
            ("check a b", "unexpected argument 'b'; options are written --name value"),
            ("backup", "name the folder of the backup: modb-server backup TARGET"),
            ("restore --port 1", "name the folder of the backup: modb-server restore BACKUP"),
            ("check --nope 1", "unknown option 'nope'"),
        ] {
            assert_eq!(refusal(line), error, "{line}");
        }
    }

    #[test]
    fn a_task_is_a_word_and_options_stand_on_both_sides_of_it() {
        let check = Task::ALL.iter().find(|task| task.name == "check").unwrap();
        let asked =
            |operand: Option<&str>| Ok(Asked::Care { task: check, operand: operand.map(PathBuf::from) });
        for (line, operand, folder) in [
            ("check", None, "modb-data"),
            ("check d", Some("d"), "modb-data"),
            ("--dir e check", None, "e"),
            ("--bind 127.0.0.1 check d --dir e", Some("d"), "e"),
        ] {
            let (got, settings) = parse(line);
            assert_eq!((got, settings.get("dir")), (asked(operand), folder.to_owned()), "{line}");
        }
        assert_eq!(parse("check --help").0, Ok(Asked::Help(Some(check))));
        assert_eq!(
            parse("backup -h").0,
            Ok(Asked::Help(Task::ALL.iter().find(|task| task.name == "backup")))
        );
        assert_eq!(parse("--help").0, Ok(Asked::Help(None)));
        assert_eq!(parse("--version").0, Ok(Asked::Version));
    }
}
