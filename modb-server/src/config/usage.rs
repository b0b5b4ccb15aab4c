//! How the program is used, made from the tables of options and tasks. Pure.
//!
//! Invariant: every line fits a terminal of 80 columns.

use super::PARAMS;

/// The columns that every terminal has.
const COLUMNS: usize = 80;

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
}

impl Task {
    /// All tasks.
    pub const ALL: &[Self] = &[
        Self {
            name: "check",
            operand: "[FOLDER]",
            needs: None,
            brief: "reads everything and says whether it is whole",
            more: "FOLDER is the data folder (--dir) or a backup; no server may use it. Nothing is changed, except \
                   that, like every start, it cuts off what a crash left half written.",
            options: &["dir"],
        },
        Self {
            name: "backup",
            operand: "TARGET",
            needs: Some("name the folder of the backup"),
            brief: "copies the data into a new folder, also while a server runs",
            more: "TARGET must be empty or not there. If a server has the data folder, it is asked to do it, and found \
                   by the same --bind, --port and --requirepass. The copy holds every write that was acknowledged \
                   before the backup began.",
            options: &["dir", "bind", "port", "requirepass"],
        },
        Self {
            name: "restore",
            operand: "BACKUP",
            needs: Some("name the folder of the backup"),
            brief: "makes the data folder from a backup, and checks it",
            more: "The data folder (--dir) must be empty or not there. A copy that turns out to be damaged is left as \
                   something that no server opens.",
            options: &["dir"],
        },
        Self {
            name: "compact",
            operand: "",
            needs: None,
            brief: "gives back the space of what was removed",
            more: "If a server has the data folder, it is asked to do it, and found by the same --bind, --port and \
                   --requirepass.",
            options: &["dir", "bind", "port", "requirepass"],
        },
    ];

    fn usage(&self) -> String {
        format!("{} {}", self.name, self.operand).trim_end().to_owned()
    }
}

/// What the exit status says, for all programs of Modb.
const STATUS: &str = "The exit status is 0 (done), 1 (done, and the answer is bad: the data is damaged, the server \
                      failed while it ran) or 2 (it could not be done: one line on standard error says why).";

/// How the program is used, or how a task is.
pub fn help(task: Option<&Task>) -> String {
    let mut text = String::new();
    match task {
        None => {
            let version = env!("CARGO_PKG_VERSION");
            paragraph(
                &mut text,
                &format!("modb-server {version} serves a Modb database over RESP, the protocol of Redis."),
            );
            text += "usage: modb-server [--config FILE] [--OPTION VALUE]...\n";
            text += "       modb-server TASK [--config FILE] [--OPTION VALUE]...\n\n";
            for task in Task::ALL {
                wrapped(&mut text, &format!("  {:18}", task.usage()), 20, task.brief);
            }
            text.push('\n');
            paragraph(
                &mut text,
                "modb-server TASK --help says more. FILE is TOML with the same options; the command \
                                  line has the last word.",
            );
            paragraph(&mut text, STATUS);
            options(&mut text, |name| PARAMS.iter().any(|param| param.name == name && param.is_used()));
        }
        Some(task) => {
            paragraph(
                &mut text,
                &format!("usage: modb-server {} [--config FILE] [--OPTION VALUE]...", task.usage()),
            );
            let mut brief = task.brief.to_owned();
            brief[..1].make_ascii_uppercase();
            paragraph(&mut text, &format!("{brief}. {}", task.more));
            paragraph(&mut text, STATUS);
            options(&mut text, |name| task.options.contains(&name));
        }
    }
    text
}

fn options(text: &mut String, wanted: impl Fn(&str) -> bool) {
    for param in PARAMS.iter().filter(|param| wanted(param.name)) {
        let default = match param.default {
            "" if param.name == "store" => " [log]".to_owned(),
            "" => String::new(),
            default => format!(" [{default}]"),
        };
        wrapped(text, "", 2, &format!("--{} {}", param.name, param.takes()));
        wrapped(text, "", 8, &format!("{}{default}", param.help));
    }
    *text += "  --config FILE\n        a file with options, in TOML\n";
    *text += "  --version, -v\n  --help, -h\n";
}

fn paragraph(text: &mut String, words: &str) {
    wrapped(text, "", 0, words);
    text.push('\n');
}

/// Words behind `first`, broken into lines that begin at column `indent`.
fn wrapped(text: &mut String, first: &str, indent: usize, words: &str) {
    let mut line = format!("{first:indent$}");
    let mut begins = true;
    for word in words.split_whitespace() {
        if !begins && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            *text += &line;
            text.push('\n');
            line = " ".repeat(indent);
            begins = true;
        }
        if !begins {
            line.push(' ');
        }
        line += word;
        begins = false;
    }
    *text += &line;
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_fits_80_columns_and_names_what_it_is_about() {
        for task in Task::ALL.iter().map(Some).chain([None]) {
            let page = help(task);
            for line in page.lines() {
                assert!(line.chars().count() <= COLUMNS, "{line:?}");
                assert_eq!(line.trim_end(), line);
            }
            if let Some(task) = task {
                assert!(page.contains(task.name) && page.lines().count() < 35, "{page}");
                assert!(!page.contains("--workers"), "{page}");
                assert!(task.options.iter().all(|name| PARAMS.iter().any(|param| param.name == *name)));
            }
        }
        let page = help(None);
        assert!(page.contains("--durability always|everysec|os") && page.contains("--store log|"), "{page}");
        assert!(
            PARAMS.iter().all(|param| page.contains(&format!("--{} ", param.name)) == param.is_used()),
            "{page}"
        );
    }
}
