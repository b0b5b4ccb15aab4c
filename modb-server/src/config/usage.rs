//! What the command line has, made from the tables of options and tasks: its pages, of which come the parser, `--help`, the
//! manual page and the completions. Pure.

use modb_client::terminal::text::explained;
use modb_client::terminal::{Group, Opt, Page, Program, Shell};

use super::{PARAMS, Param};

/// The columns that every terminal has.
const COLUMNS: usize = 80;
/// Where what a task does begins.
const BRIEF_AT: usize = 20;

/// What an option is to the parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    /// A parameter: its index in [`PARAMS`].
    Param(usize),
    /// The configuration file.
    Config,
    /// A backup without links.
    Full,
    Completion,
    Man,
    Help,
    Version,
}

/// Something that is done with a data folder instead of serving it.
#[derive(Debug, PartialEq, Eq)]
pub struct Task {
    /// The word that asks for it.
    pub name: &'static str,
    /// What stands behind the word.
    pub operand: &'static str,
    /// What is said if it is missing and must not be.
    pub needs: Option<&'static str>,
    /// What it does, in one line.
    brief: &'static str,
    /// What else there is to know.
    more: &'static str,
    /// The options that mean something to it.
    options: &'static [&'static str],
    /// Whether it takes `--full`.
    pub(super) can_be_full: bool,
}

impl Task {
    /// All tasks.
    pub const ALL: &[Self] = &[
        Self {
            name: "check",
            operand: "[FOLDER]",
            needs: None,
            brief: "reads everything and says whether it is whole",
            more: "FOLDER is the data folder (--dir) or a backup; no server may use it. Nothing is changed in it.",
            options: &["dir"],
            can_be_full: false,
        },
        Self {
            name: "backup",
            operand: "TARGET",
            needs: Some("name the folder of the backup"),
            brief: "copies the data into a new folder, also while a server runs",
            more: "TARGET must be empty or not there. If a server has the data folder, it is asked to do it, and found \
                   by the same --bind, --port and --requirepass. The copy holds every write that was acknowledged \
                   before the backup began. On the disk of the data, table files, which never change, get a second \
                   name instead of being copied: damage to that disk harms both.",
            options: &["dir", "bind", "port", "requirepass"],
            can_be_full: true,
        },
        Self {
            name: "restore",
            operand: "BACKUP",
            needs: Some("name the folder of the backup"),
            brief: "makes the data folder from a backup, and checks it",
            more: "The data folder (--dir) must be empty or not there. A copy that turns out to be damaged is removed.",
            options: &["dir"],
            can_be_full: false,
        },
        Self {
            name: "compact",
            operand: "",
            needs: None,
            brief: "gives back the space of what was removed",
            more: "If a server has the data folder, it is asked to do it, and found by the same --bind, --port and \
                   --requirepass. What is merged is written anew before the old is removed, so it needs room.",
            options: &["dir", "bind", "port", "requirepass"],
            can_be_full: false,
        },
        Self {
            name: "service",
            operand: "install|remove|status",
            needs: Some("install, remove or status"),
            brief: "makes this a service of Windows, or takes it away",
            more: "Stands first, as in 'modb-server service install --port 6380'; the options are those of the server. The \
                   service, 'modb', runs as LocalService in the folder in which it was installed, writes its log there \
                   (modb-server.log), starts with the system, and ends gracefully when it is stopped. 'remove' stops it. \
                   'status' ends with 0 if it runs and with 1 if not. On other systems the service manager has a file \
                   that says what to start: see packaging/modb.service.",
            options: &["dir", "bind", "port", "requirepass-file"],
            can_be_full: false,
        },
    ];

    /// The word, and what stands behind it.
    pub(super) fn usage(&self) -> String {
        format!("{} {}", self.name, self.operand).trim_end().to_owned()
    }

    fn page(&self) -> Page<Id> {
        let mut summary = self.brief.to_owned();
        summary[..1].make_ascii_uppercase();
        let options = parameters(|param| self.options.contains(&param.name));
        Page {
            name: format!("modb-server {}", self.name).into(),
            summary: self.brief.into(),
            usage: vec![format!("{} [OPTIONS]", self.operand).trim_start().to_owned().into()],
            about: format!("{summary}. {}", self.more).into(),
            groups: vec![
                if self.can_be_full {
                    options.with(Id::Full, "--full", "copy table files, also where they could be linked")
                } else {
                    options
                },
                Group::new("About").with(Id::Help, "-h, --help", "print this"),
            ],
            sections: vec![("Exit status".into(), STATUS.into())],
            takes_paths: !self.operand.is_empty(),
        }
    }
}

/// What the exit status says, for all programs of Modb.
const STATUS: &str = "0 (done), 1 (done, and the answer is bad: the data is damaged, the server failed while it ran) or \
                      2 (it could not be done: one line on standard error says why).";

/// The page of the program without a task; it has every option that the parser takes.
pub(super) fn page() -> Page<Id> {
    let mut about =
        "Serves a Modb database over RESP, the protocol of Redis. With a TASK, does that instead:\n"
            .to_owned();
    let help = ("help [TASK]".to_owned(), "prints this, or what there is to know about a task");
    for (usage, brief) in Task::ALL.iter().map(|task| (task.usage(), task.brief)).chain([help]) {
        for line in explained(&format!("  {usage}"), brief, BRIEF_AT, COLUMNS) {
            about += "\n";
            about += &line;
        }
    }
    let tasks = Task::ALL.iter().map(|task| format!("{} [OPTIONS]", task.usage()).into());
    Page {
        name: "modb-server".into(),
        summary: "serves a Modb database over RESP, the protocol of Redis".into(),
        usage: ["[OPTIONS]".into()].into_iter().chain(tasks).collect(),
        about: about.into(),
        groups: vec![
            parameters(|_| true).with_hidden(Id::Full, "--full"),
            Group::new("About")
                .with(
                    Id::Completion,
                    &format!("--completion {}", Shell::CHOICES),
                    "print the script with which the shell completes this command",
                )
                .with(Id::Man, "--man", "print the manual page (modb-server --man | man -l -)")
                .with(Id::Help, "-h, --help", "print this; of a task, what there is to know about it")
                .with(Id::Version, "-v, --version", "print the version")
                .with_hidden(Id::Version, "-V"),
        ],
        sections: vec![("Exit status".into(), STATUS.into())],
        takes_paths: false,
    }
}

/// The pages of program and tasks.
pub(super) fn program() -> Program {
    let tasks = Task::ALL.iter().map(|task| (task.name, task.page().without_ids()));
    Program { main: page().without_ids(), commands: tasks.collect() }
}

/// The configuration file, and the parameters that are `wanted`; those that do nothing here, and older names, work and are
/// not told of.
fn parameters(wanted: impl Fn(&Param) -> bool) -> Group<Id> {
    let config = "a file with these options, in TOML; the command line has the last word";
    let mut group = Group::new("Options").with(Id::Config, "--config FILE", config);
    for (at, param) in PARAMS.iter().enumerate().filter(|(_, param)| wanted(param)) {
        let spec =
            format!("--{} {}", param.name, if param.is_used() { param.takes() } else { "VALUE".to_owned() });
        let option = Opt::new(Id::Param(at), &spec, format!("{}{}", param.help, default(param)));
        group.options.push(if param.is_used() { option } else { option.hidden() });
        if let Some(alias) = param.alias {
            group = group.with_hidden(Id::Param(at), &format!("--{alias} VALUE"));
        }
    }
    group
}

/// As help shows it.
fn default(param: &Param) -> String {
    match param.default {
        "" if param.name == "store" => " [log]".to_owned(),
        "" => String::new(),
        default => format!(" [{default}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_fits_80_columns_and_names_what_it_is_about() {
        let program = program();
        for task in Task::ALL.iter().map(Some).chain([None]) {
            let page = program.help(task.map(|task| task.name));
            for line in page.lines() {
                assert!(line.chars().count() <= COLUMNS, "{line:?}");
                assert_eq!(line.trim_end(), line);
            }
            if let Some(task) = task {
                assert!(page.contains(&task.usage()) && page.lines().count() < 35, "{page}");
                assert!(!page.contains("--workers"), "{page}");
                assert!(task.options.iter().all(|name| page.contains(&format!("--{name} "))), "{page}");
            }
        }
        let page = program.help(None);
        assert!(page.contains("--durability always|everysec|os") && page.contains("--store log|"), "{page}");
        assert!(
            PARAMS.iter().all(|param| page.contains(&format!("--{} ", param.name)) == param.is_used()),
            "{page}"
        );
    }

    #[test]
    fn every_option_is_one_of_the_command_line_and_takes_a_value() {
        let page = page();
        for name in PARAMS.iter().flat_map(|param| [Some(param.name), param.alias]).flatten() {
            let found: Vec<_> =
                page.options().filter(|option| option.long.as_deref() == Some(name)).collect();
            assert!(found.len() == 1 && found[0].value.is_some(), "{name}");
        }
    }
}
