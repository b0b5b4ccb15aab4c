//! docs/COMPATIBILITY.md is made from the table of commands: this test fails when the two differ, and writes the
//! page anew with `MODB_BLESS=1 cargo test -p modb-server --test compatibility`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use modb_server::command::{Spec, TABLE};
use modb_server::config::{Change, Kind, PARAMS};

/// Every command of Redis 7.2 with its group.
const REDIS: &str = include_str!("redis-7.2-commands.txt");

fn find(name: &str) -> Option<&'static Spec> {
    let mut words = name.split(' ');
    let first = words.next()?;
    let spec = TABLE.commands().iter().find(|spec| spec.name == first)?;
    match words.next() {
        None => Some(spec),
        Some(sub) => spec.subcommands.iter().find(|spec| spec.name == sub),
    }
}

fn page() -> String {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in REDIS.lines().filter(|line| !line.starts_with('#')) {
        let (group, name) = line.split_once(' ').expect("a group and a name");
        groups.entry(group).or_default().push(name);
    }
    let (mut same, mut differing, mut missing) = (0, 0, 0);
    let mut body = String::new();
    for (group, names) in &groups {
        let _ = write!(body, "\n## {group}\n\n| command | |\n|---|---|\n");
        let mut absent = Vec::new();
        for name in names {
            let shown = name.to_uppercase();
            match find(name) {
                None => {
                    missing += 1;
                    absent.push(format!("`{shown}`"));
                }
                Some(spec) if spec.differs.is_empty() => {
                    same += 1;
                    let _ = writeln!(body, "| `{shown}` | as in Redis |");
                }
                Some(spec) => {
                    differing += 1;
                    let _ = writeln!(body, "| `{shown}` | {} |", spec.differs);
                }
            }
        }
        if !absent.is_empty() {
            let _ = writeln!(body, "\nNot supported: {}.", absent.join(", "));
        }
    }
    format!(
        "# Compatibility with Redis 7.2\n\n\
         Made from the table of commands (`modb-server/src/command`); a test keeps both in step.\n\n\
         Of the {} commands and subcommands of Redis 7.2, {same} are as in Redis, {differing} are supported with the \
         difference named here, and {missing} are not supported: they are answered as unknown.\n\n\
         What holds for all: errors have Redis's texts; keys are at most 65,500 bytes long and values 512 MiB; \
         `redis_version` in `INFO` and `HELLO` is that of the commands, `modb_version` beside it is our own; \
         there is one user, no replication, no cluster and no modules.\n{body}\n{}",
        same + differing + missing,
        options()
    )
}

/// Options of Redis that have one value here, or no effect.
fn options() -> String {
    let mut text = "## Options\n\n\
         Options with Redis's names do what they do in Redis; `modb-server --help` lists them. What follows is about those \
         of Redis whose subject does not exist here. Any other option of Redis is unknown.\n\n\
         Refused unless it has the value that asks for nothing, at the start and in `CONFIG SET`:\n\n\
         | option | value | why |\n|---|---|---|\n"
        .to_owned();
    for param in PARAMS {
        if let Kind::Only(value, why) = param.kind {
            let value = if value.is_empty() { "empty" } else { value };
            let _ = writeln!(text, "| `{}` | {value} | {why} |", param.name);
        }
        if let Kind::OnlyZero(why) = param.kind {
            let _ = writeln!(text, "| `{}` | 0 | {why} |", param.name);
        }
    }
    text += "\nTaken and shown again, since tools set them, but without effect; whoever sets one to something new is \
             warned in the log, once:\n\n| option | why it has none |\n|---|---|\n";
    for param in PARAMS.iter().filter(|param| param.change == Change::Kept) {
        let _ = writeln!(text, "| `{}` | {} |", param.name, param.help);
    }
    text
}

#[test]
fn the_compatibility_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/COMPATIBILITY.md");
    let page = page();
    if std::env::var_os("MODB_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert!(
        found == page,
        "docs/COMPATIBILITY.md is out of date; see the head of this test for how to write it anew"
    );
}

#[test]
fn every_command_is_documented_and_known_to_redis() {
    let known: Vec<&str> = REDIS.lines().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
    // `MODB` is our own, and so are these, which tests need: a slow command that holds up some keys and not the server, and
    // trees of few elements.
    const OWN: &[&str] = &["debug hold", "debug holds", "debug release", "debug small-pages"];
    for spec in TABLE.commands().iter().filter(|spec| spec.name != "modb") {
        assert!(known.contains(&spec.name), "{} is not in the list of Redis 7.2", spec.name);
        assert!(!spec.summary.is_empty() && spec.summary.ends_with('.'), "{}", spec.name);
        for sub in spec.subcommands {
            let name = format!("{} {}", spec.name, sub.name);
            assert!(
                known.contains(&&*name) || OWN.contains(&&*name),
                "{name} is not in the list of Redis 7.2"
            );
            assert!(!sub.summary.is_empty() && sub.summary.ends_with('.'), "{name}");
        }
    }
}
