//! The command line of `modb-server`: `--name value` for every parameter, a task, and a few words of its own.
//!
//! Invariants: what is wrong is named, with a similar name where there is one; a name is looked up before its value is
//! asked for; arguments that are no UTF-8 are taken where paths are, and refused by name elsewhere.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use modb_client::terminal::options::similar;
use modb_client::terminal::{Args, Given as Written, Item, Shell, UsageError};

pub use super::usage::Task;
use super::usage::{Id, page, program};
use super::{ConfigError, PARAMS, Param, Settings};

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
        /// A backup is to hold copies only.
        full: bool,
    },
    /// To print this text: how it is used, or its version.
    Print(String),
}

/// What stands on the command line, before the file is read.
#[derive(Default)]
struct Given {
    options: Vec<(&'static Param, OsString)>,
    file: Option<PathBuf>,
    task: Option<&'static Task>,
    operand: Option<PathBuf>,
    full: bool,
    text: Option<Text>,
}

/// What is printed instead of doing anything.
#[derive(Clone, Copy)]
enum Text {
    Help,
    Version,
    Man,
    Completion(Shell),
}

/// Reads the arguments (without the name of the program) into `settings`. What a file says is read first, so
/// that the command line has the last word.
///
/// # Errors
/// A wrong option, named, with a similar one where there is one.
pub fn read(args: impl IntoIterator<Item = OsString>, settings: &Settings) -> Result<Asked, ConfigError> {
    let given = given(args)?;
    if let Some(text) = given.text {
        return Ok(Asked::Print(match text {
            Text::Help => program().help(given.task.map(|task| task.name)),
            Text::Version => format!("modb-server {}\n", env!("CARGO_PKG_VERSION")),
            Text::Man => program().man(env!("CARGO_PKG_VERSION")),
            Text::Completion(shell) => program().completion(shell),
        }));
    }
    if let Some(task) = given.task.filter(|_| given.operand.is_none())
        && let Some(missing) = task.needs
    {
        return Err(wrong(format!("{missing}: modb-server {}", task.usage())));
    }
    if given.full && !given.task.is_some_and(|task| task.can_be_full) {
        return Err(wrong("--full is said of a backup: modb-server backup TARGET --full".to_owned()));
    }
    if let Some(file) = &given.file {
        super::file::read(file, settings)?;
    }
    for (param, value) in &given.options {
        set(settings, param.name, value)?;
    }
    super::password::take(settings, std::env::var_os(super::password::VARIABLE))?;
    Ok(match (given.task, given.operand) {
        (Some(task), operand) => Asked::Care { task, operand, full: given.full },
        (None, _) => Asked::Serve { file: given.file },
    })
}

fn given(args: impl IntoIterator<Item = OsString>) -> Result<Given, ConfigError> {
    let page = page();
    let mut given = Given::default();
    let mut args = Args::new(&page, args);
    while let Some(item) = args.read().map_err(usage)? {
        match item {
            Item::Word(word) => given.word(word)?,
            Item::Option(option) => {
                let more = match option.id() {
                    Id::Param(at) if PARAMS[at].name == "bind" => more_addresses(&mut args),
                    _ => OsString::new(),
                };
                given.option(&option, &more)?;
            }
        }
    }
    Ok(given)
}

impl Given {
    fn option(&mut self, option: &Written<'_, Id>, more: &OsStr) -> Result<(), ConfigError> {
        let text = match option.id() {
            Id::Param(at) => {
                let mut value = option.value().to_owned();
                value.push(more);
                self.options.push((&PARAMS[at], value));
                return Ok(());
            }
            Id::Config => {
                self.file = Some(option.value().into());
                return Ok(());
            }
            Id::Full => {
                self.full = true;
                return Ok(());
            }
            Id::Help => Text::Help,
            Id::Version => Text::Version,
            Id::Man => Text::Man,
            Id::Completion => {
                Text::Completion(option.text().and_then(|name| shell(option, name)).map_err(usage)?)
            }
        };
        self.text = Some(text);
        Ok(())
    }

    /// A word without dashes: the task, then what it is about.
    fn word(&mut self, word: OsString) -> Result<(), ConfigError> {
        match self.task {
            None if word == HELP && self.text.is_none() => self.text = Some(Text::Help),
            None => self.task = Some(task(&word, self.text.is_some())?),
            Some(task) if self.operand.is_none() && !task.operand.is_empty() => {
                check_folder(&word)?;
                self.operand = Some(word.into());
            }
            Some(_) => return Err(unexpected(&word)),
        }
        Ok(())
    }
}

/// The word that asks for help, in front of a task or alone.
const HELP: &str = "help";

/// The task of that word, which was perhaps meant as one: behind `help` it was.
fn task(word: &OsStr, is_meant: bool) -> Result<&'static Task, ConfigError> {
    if let Some(task) = Task::ALL.iter().find(|task| word == task.name) {
        return Ok(task);
    }
    let names = || Task::ALL.iter().map(|task| task.name);
    match similar(&word.to_string_lossy(), names().chain([HELP]).map(str::to_owned)) {
        Some(name) => Err(wrong(format!("there is no task '{}'; did you mean {name}?", shown(word)))),
        None if is_meant => {
            let all = names().collect::<Vec<_>>().join(", ");
            Err(wrong(format!("there is no task '{}', only {all}", shown(word))))
        }
        None => Err(unexpected(word)),
    }
}

fn shell(option: &Written<'_, Id>, name: &str) -> Result<Shell, UsageError> {
    Shell::named(name).ok_or_else(|| option.wrong(&format!("is not one of {}", Shell::CHOICES)))
}

/// `--bind 127.0.0.1 -::1` takes several words, as in Redis: those behind the first that are addresses.
fn more_addresses(args: &mut Args<'_, Id>) -> OsString {
    let is_address = |word: &OsStr| {
        let word = word.to_string_lossy();
        let word = word.strip_prefix('-').unwrap_or(&word);
        !word.starts_with('-')
            && (word == "*" || word.contains(':') || word.parse::<std::net::IpAddr>().is_ok())
    };
    let mut more = OsString::new();
    while let Some(next) = args.next_if(is_address) {
        more.push(" ");
        more.push(next);
    }
    more
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

fn unexpected(word: &OsStr) -> ConfigError {
    wrong(format!("unexpected argument '{}'; options are written --name value", shown(word)))
}

fn shown(word: &OsStr) -> String {
    word.to_string_lossy().escape_debug().to_string()
}

fn usage(error: UsageError) -> ConfigError {
    wrong(error.0)
}

fn wrong(text: String) -> ConfigError {
    ConfigError::CommandLine(text)
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
        let one_of = format!("store: must be one of {}", crate::store::EngineKind::NAMES.join(", "));
        for (line, error) in [
            ("--prot 7", "there is no option --prot; did you mean --port?"),
            ("--nope", "there is no option --nope"),
            ("--port", "a value is missing: --port NUMBER"),
            ("--config", "a value is missing: --config FILE"),
            ("7000", "unexpected argument '7000'; options are written --name value"),
            ("-p 7000", "there is no option -p; options are written --name value"),
            ("--port x", "port: must be a number from 0 to 65535"),
            ("--help=x", "--help takes no value, and \"x\" was given"),
            ("--store lig", one_of.as_str()),
            ("chekc", "there is no task 'chekc'; did you mean check?"),
            ("help chekc", "there is no task 'chekc'; did you mean check?"),
            ("help GET", "there is no task 'GET', only check, backup, restore, compact, service"),
            ("--completion tcsh", "--completion: \"tcsh\" is not one of bash|zsh|fish|powershell"),
            ("compact a", "unexpected argument 'a'; options are written --name value"),
            ("check a b", "unexpected argument 'b'; options are written --name value"),
            ("backup", "name the folder of the backup: modb-server backup TARGET"),
            ("restore --port 1", "name the folder of the backup: modb-server restore BACKUP"),
            ("check --nope 1", "there is no option --nope"),
        ] {
            assert_eq!(refusal(line), error, "{line}");
        }
    }

    #[test]
    fn a_task_is_a_word_and_options_stand_on_both_sides_of_it() {
        let check = Task::ALL.iter().find(|task| task.name == "check").unwrap();
        let asked = |operand: Option<&str>| {
            Ok(Asked::Care { task: check, operand: operand.map(PathBuf::from), full: false })
        };
        for (line, operand, folder) in [
            ("check", None, "modb-data"),
            ("check d", Some("d"), "modb-data"),
            ("--dir e check", None, "e"),
            ("--bind 127.0.0.1 check d --dir e", Some("d"), "e"),
        ] {
            let (got, settings) = parse(line);
            assert_eq!((got, settings.get("dir")), (asked(operand), folder.to_owned()), "{line}");
        }
    }

    #[test]
    fn help_is_that_of_the_task_wherever_it_stands() {
        let printed = |line: &str| match parse(line).0 {
            Ok(Asked::Print(text)) => text,
            other => panic!("{line}: {other:?}"),
        };
        let check = printed("check --help");
        assert!(check.starts_with("Usage: modb-server check [FOLDER] [OPTIONS]\n"), "{check}");
        for line in ["help check", "-h check", "check d -h", "--dir x check --help"] {
            assert_eq!(printed(line), check, "{line}");
        }
        assert!(printed("backup --help").contains("modb-server backup TARGET"));
        assert_eq!(printed("help"), printed("--help"));
        let beside_or_below =
            ["\n  compact           gives", "\n  service install|remove|status\n                    makes"];
        assert!(beside_or_below.iter().all(|lines| printed("help").contains(lines)), "{}", printed("help"));
        assert!(printed("--version").starts_with("modb-server "));
        assert!(printed("--man").starts_with(".TH MODB\\-SERVER 1"));
        assert!(printed("--completion fish").contains("complete -c modb-server"));
    }

    #[test]
    fn options_of_redis_are_taken_by_every_name_and_in_any_case() {
        let (_, settings) = parse("--HZ 20 --hash-max-ziplist-value 5 --Port 7");
        let got = ["hz", "hash-max-listpack-value", "port"].map(|name| settings.get(name));
        assert_eq!(got, ["20", "5", "7"]);
    }
}
