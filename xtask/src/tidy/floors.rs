//! Imports go only downward: between crates, and between the floors within a crate.
//!
//! The tables below are `docs/ARCHITECTURE.md`'s map as data. A module may use its own floor and those under it;
//! within a floor no two modules may use each other, directly or around a corner. Where a floor is a folder, its modules
//! are those in it, and the folder's own `mod.rs` only lists them. A name that a module passes on (`pub use`) stands on the
//! floor of what it names; and what only the crate's root or a floor's folder passes on, for others, is not named so here.

use std::collections::BTreeMap;

use super::circles::way_back;
use super::exports::Modules;
use super::paths::{module_of, named, words};
use super::{File, Finding, shipped};

/// A crate, what it may import of this workspace, and its floors from the ground up.
struct Crate {
    folder: &'static str,
    may_use: &'static [&'static str],
    /// Empty for a crate that has no floors.
    floors: &'static [&'static [&'static str]],
}

const CRATES: &[Crate] = &[
    Crate {
        folder: "modb-net",
        may_use: &[],
        floors: &[
            &["base/limits", "base/seq", "base/token", "base/buf", "base/deadline", "base/alarms", "resp"],
            &[
                "system/sys",
                "system/socketpair",
                "system/poll",
                "system/notify",
                "system/peer",
                "system/unix_listener",
                "system/descriptors",
            ],
            &[
                "connection/place",
                "connection/seat",
                "connection/budget",
                "connection/lane",
                "connection/io",
                "connection/reason",
                "connection/counts",
                "connection/workers",
                "connection/service",
                "connection/conn",
            ],
            &["many/core", "many/handoff", "many/hub"],
            &[
                "threads/last_look",
                "threads/trial",
                "threads/refuse",
                "threads/worker",
                "threads/accept",
                "threads/runtime",
            ],
        ],
    },
    Crate {
        folder: "modb-server",
        may_use: &["modb_net", "modb_client"],
        floors: &[
            &["sys", "store", "settled", "farewell", "glob", "messages", "output", "present", "value"],
            &["config", "data", "limits", "log"],
            &["command/language"],
            &["command/machine"],
            &[
                "command/connection",
                "command/geo",
                "command/hashes",
                "command/hyperloglog",
                "command/keys",
                "command/lists",
                "command/messages",
                "command/server",
                "command/sets",
                "command/sorted_sets",
                "command/strings",
                "command/transactions",
                "command/waiting",
            ],
            &["command/catalog", "command/execute"],
            &["command/streak"],
            &["command/testing", "command/chance"],
            &["session"],
            &["handle", "error", "database", "server", "embed", "care", "program"],
        ],
    },
    Crate { folder: "modb-client", may_use: &["modb_net"], floors: &[] },
    Crate { folder: "xtask", may_use: &[], floors: &[] },
    Crate { folder: "tests", may_use: &["modb_net", "modb_server", "modb_client"], floors: &[] },
];

/// Folders of several floors that stand for all of them: others name what is in them by the folder, which passes it on.
const FACADES: &[(&str, &str)] = &[("modb-server", "command")];

/// The lowest floor of modb-net is pure: given the same arguments it does the same, at any time, on any system.
const PURE_FLOOR: (&str, usize) = ("modb-net", 0);
const IMPURE: &[&str] = &["std::net", "std::fs", "std::thread", "std::env", "Instant::now", "SystemTime"];

/// What only one place may name.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    (
        "polling::",
        &["modb-net/src/system/poll.rs", "modb-net/src/system/sys/"],
        "the poller has one wrapper, and how it waits is the platform's",
    ),
    (
        "fjall::",
        &["modb-server/src/store/", "xtask/embedder/"],
        "nothing above the store knows which engine runs",
    ),
    (
        "modb_client::",
        &[
            "modb-client/",
            "modb-server/src/care/",
            "modb-server/src/config/args.rs",
            "modb-server/src/config/usage.rs",
            "modb-server/src/output.rs",
            "modb-server/src/main.rs",
        ],
        "the server takes only what command lines share",
    ),
];

/// The store knows bytes only, though the crate around it knows the network: place, crate, what it may take of it.
const STORE: (&str, &str, &[&str]) = ("modb-server/src/store/", "modb_net", &["Seq"]);

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for krate in CRATES {
        let own: Vec<&File> =
            files.iter().filter(|file| file.path.starts_with(&format!("{}/", krate.folder))).collect();
        for file in &own {
            between_crates(krate, file, &mut findings);
        }
        within_crate(krate, &own, &mut findings);
    }
    for file in files.iter().filter(|file| file.is_rust() && !file.is_test()) {
        places(file, &mut findings);
    }
    findings
}

fn between_crates(krate: &Crate, file: &File, findings: &mut Vec<Finding>) {
    if file.path.ends_with("/Cargo.toml") {
        let mut section = "";
        for (number, line) in (1..).zip(file.text.lines()) {
            let line = line.trim();
            if line.starts_with('[') {
                section = line;
            }
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default().replace('-', "_");
            if section.ends_with("dependencies]") && !section.contains("dev-") {
                refuse_crate(krate, file, number, &name, findings);
            }
        }
    } else if file.is_rust() && !file.is_test() {
        for (number, line) in (1..).zip(shipped(file).lines()) {
            for other in words(line).filter(|word| word.starts_with("modb_")) {
                if line.contains(&format!("{other}::")) {
                    refuse_crate(krate, file, number, other, findings);
                }
            }
        }
    }
}

fn refuse_crate(krate: &Crate, file: &File, line: usize, other: &str, findings: &mut Vec<Finding>) {
    let of_workspace = CRATES.iter().any(|c| c.folder.replace('-', "_") == other) || other == "modb_tests";
    let itself =
        krate.folder.replace('-', "_") == other || (krate.folder == "tests" && other == "modb_tests");
    if of_workspace && !itself && !krate.may_use.contains(&other) {
        findings.push(
            file.finding(line, format!("{} may not use {other}: imports go only downward", krate.folder)),
        );
    }
}

impl Crate {
    /// The module of the table that a path leads into, and its floor.
    fn place(&self, path: &[String]) -> Option<(&'static str, usize)> {
        let leads_into = |module: &str| module.split('/').zip(path).filter(|(a, b)| a == b).count();
        self.floors.iter().enumerate().find_map(|(floor, modules)| {
            let module = modules.iter().find(|module| leads_into(module) == module.split('/').count())?;
            Some((*module, floor))
        })
    }

    /// The crate's root, a program, or a folder that is a floor: they only list and pass on what others define.
    fn is_roof(&self, path: &[String]) -> bool {
        let folder = format!("{}/", path.join("/"));
        path.is_empty()
            || path[0] == "bin"
            || self.floors.iter().copied().flatten().any(|module| module.starts_with(&folder))
    }

    fn is_facade(&self, path: &[String]) -> bool {
        FACADES.contains(&(self.folder, &path.join("/")))
    }
}

fn within_crate(krate: &Crate, files: &[&File], findings: &mut Vec<Finding>) {
    let modules = Modules::of(krate.folder, files);
    // Uses within a floor, for the search for cycles, with the place where each stands.
    let mut level: BTreeMap<String, BTreeMap<String, (&File, usize)>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_rust() && !file.is_test()) {
        let Some(inside) = file.path.strip_prefix(&format!("{}/src/", krate.folder)) else { continue };
        let path = module_of(inside);
        // The roof: it may use everything. A floor's folder only lists what is in it.
        if krate.is_roof(&path) {
            continue;
        }
        let place = krate.place(&path);
        if place.is_none() && !krate.floors.is_empty() {
            findings.push(file.finding(
                1,
                format!(
                    "{} stands on no floor: add it to docs/ARCHITECTURE.md and xtask's table",
                    path.join("/")
                ),
            ));
            continue;
        }
        for used in named(shipped(file), &path) {
            let led = modules.follow(&used.path);
            if led.through.iter().any(|module| krate.is_roof(module) && !krate.is_facade(module)) {
                findings.push(file.finding(
                    used.line,
                    format!(
                        "crate::{} is only passed on there: name {}",
                        used.path.join("::"),
                        led.to.join("::")
                    ),
                ));
            }
            let (Some((module, own)), Some((name, floor))) = (place, krate.place(&led.to)) else { continue };
            if floor > own {
                findings.push(file.finding(
                    used.line,
                    format!("{module} (floor {own}) uses {name} (floor {floor}): imports go only downward"),
                ));
            } else if floor == own && name != module {
                let used_by = level.entry(module.to_owned()).or_default();
                used_by.entry(name.to_owned()).or_insert((file, used.line));
            }
        }
        if place.is_some_and(|(_, own)| (krate.folder, own) == PURE_FLOOR) {
            impure(file, findings);
        }
    }
    cycles(&level, findings);
}

fn impure(file: &File, findings: &mut Vec<Finding>) {
    for (number, line) in (1..).zip(shipped(file).lines()) {
        for word in IMPURE.iter().filter(|word| line.contains(**word)) {
            findings.push(
                file.finding(number, format!("{word} on the pure floor: no I/O, no clock, no thread there")),
            );
        }
    }
}

/// The first name of a path, or of each path in a group: `{a::b, c}` gives a and c.
fn heads(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return words(path).next().map(str::to_owned).into_iter().collect();
    };
    let (mut depth, mut heads, mut fresh) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && (c.is_alphabetic() || c == '_') => {
                heads.extend(words(&group[at..]).next().map(str::to_owned));
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

fn cycles(level: &BTreeMap<String, BTreeMap<String, (&File, usize)>>, findings: &mut Vec<Finding>) {
    for (module, used) in level {
        for (next, (file, line)) in used {
            if way_back(level, next, module).is_some() {
                findings
                    .push(file.finding(*line, format!("{module} and {next} use each other, on one floor")));
            }
        }
    }
}

fn places(file: &File, findings: &mut Vec<Finding>) {
    for (number, line) in (1..).zip(shipped(file).lines()) {
        for (name, places, why) in ONLY_IN {
            if line.contains(name) && !places.iter().any(|place| file.path.starts_with(place)) {
                let text = format!("{name} belongs to {} alone: {why}", places.join(" and "));
                findings.push(file.finding(number, text));
            }
        }
        let (place, name, allowed) = STORE;
        if file.path.starts_with(place) {
            for (at, _) in line.match_indices(&format!("{name}::")) {
                for head in heads(&line[at + name.len() + 2..])
                    .iter()
                    .filter(|head| !allowed.contains(&head.as_str()))
                {
                    findings.push(
                        file.finding(
                            number,
                            format!("{name}::{head} in {place}: the store knows bytes only"),
                        ),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&[File::new(path, text)]).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_use_of_a_higher_floor_is_found() {
        for code in [
            "use crate::threads::worker::Worker;",
            "use crate::{base::buf, threads::worker};",
            "use super::super::threads::worker::Worker;",
            "fn f() { crate::threads::worker::g() }",
        ] {
            assert_eq!(found("modb-net/src/connection/conn.rs", code).len(), 1, "{code}");
        }
        assert_eq!(
            found("modb-net/src/connection/conn/state.rs", "use super::super::super::threads::worker;").len(),
            1
        );
    }

    #[test]
    fn a_use_of_a_lower_floor_its_own_parts_or_a_test_is_not() {
        for code in [
            "use crate::base::buf::Out;",
            "use crate::{base::buf::{In, Out}, connection::service};",
            "// crate::threads::worker",
            "#[cfg(test)]\nmod tests {\n use crate::threads::worker;\n}",
        ] {
            assert_eq!(found("modb-net/src/connection/conn.rs", code), [""; 0], "{code}");
        }
        assert_eq!(found("modb-net/src/connection/conn/state.rs", "use super::worker;"), [""; 0]);
        assert_eq!(found("modb-net/src/lib.rs", "use crate::threads::worker;"), [""; 0]);
    }

    #[test]
    fn a_name_that_is_passed_on_does_not_hide_its_floor() {
        let passed_on = |place: &str, text: &str, user: &str| {
            let files = [
                File::new("modb-net/src/threads/worker.rs", "pub struct Worker;"),
                File::new(place, text),
                File::new("modb-net/src/connection/conn.rs", user),
            ];
            check(&files).into_iter().map(|finding| finding.what).collect::<Vec<_>>()
        };
        let (root, low) = ("modb-net/src/lib.rs", "modb-net/src/system/peer.rs");
        // By the root, under another name, by all of a module, and by one chain of `super`.
        for (text, user) in [
            ("pub use threads::worker::Worker;", "use crate::Worker;"),
            ("pub use threads::worker::{Worker as Thread};", "fn f() { crate::Thread::new() }"),
            ("pub use crate::threads::worker::*;", "use super::super::Worker;"),
        ] {
            let found = passed_on(root, text, user);
            assert!(found.iter().any(|what| what.contains("uses threads/worker")), "{user}: {found:?}");
            assert!(found.iter().any(|what| what.contains("only passed on")), "{user}: {found:?}");
        }
        // By a module of a lower floor, which is wrong already: so is who uses it there.
        let found =
            passed_on(low, "pub use crate::threads::worker::Worker;", "use crate::system::peer::Worker;");
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn inside_of_a_crate_a_thing_is_named_by_its_own_module() {
        let files = |user: &str| {
            [
                File::new(
                    "modb-client/src/lib.rs",
                    "mod error;\npub use error::Error;\npub use modb_net::Seq;",
                ),
                File::new("modb-client/src/error.rs", "pub enum Error {}"),
                File::new("modb-client/src/pool.rs", user),
            ]
        };
        let found = |user: &str| check(&files(user)).len();
        assert_eq!(found("use crate::Error;"), 1);
        assert_eq!(found("use crate::{error, Seq};"), 1);
        assert_eq!(found("use crate::error::Error; use modb_net::Seq; // crate::Error"), 0);
        assert_eq!(found("#[cfg(test)]\nmod tests {\n use crate::Error;\n}"), 0);
    }

    #[test]
    fn two_modules_of_a_floor_that_use_each_other_are_found() {
        let files = [
            File::new("modb-net/src/many/core.rs", "use crate::many::handoff;"),
            File::new("modb-net/src/many/handoff.rs", "use super::core;"),
        ];
        assert_eq!(check(&files).len(), 2);
        assert_eq!(check(&files[..1]), []);
    }

    #[test]
    fn a_module_on_no_floor_is_found() {
        assert_eq!(found("modb-net/src/attic.rs", "").len(), 1);
        assert_eq!(found("modb-net/src/many/attic.rs", "").len(), 1);
        assert_eq!(found("modb-net/src/many/mod.rs", "pub(crate) mod attic;"), [""; 0]);
    }

    #[test]
    fn the_pure_floor_reads_no_clock() {
        assert_eq!(found("modb-net/src/base/deadline.rs", "let now = Instant::now();").len(), 1);
        assert_eq!(found("modb-net/src/threads/worker.rs", "let now = Instant::now();"), [""; 0]);
    }

    #[test]
    fn a_crate_that_imports_upward_is_found() {
        assert_eq!(found("modb-net/src/connection/conn.rs", "use modb_server::Database;").len(), 1);
        assert_eq!(found("modb-net/Cargo.toml", "[dependencies]\nmodb-server.workspace = true\n").len(), 1);
        assert_eq!(
            found("modb-net/Cargo.toml", "[dev-dependencies]\nmodb-server.workspace = true\n"),
            [""; 0]
        );
        assert_eq!(found("modb-server/Cargo.toml", "[dependencies]\nmodb-net.workspace = true\n"), [""; 0]);
    }

    #[test]
    fn the_engine_and_the_poller_are_named_in_one_place() {
        assert_eq!(found("modb-server/src/data/mod.rs", "use fjall::Keyspace;").len(), 1);
        assert_eq!(found("modb-server/src/store/fjall.rs", "use fjall::Keyspace;"), [""; 0]);
        assert_eq!(found("modb-net/src/threads/worker.rs", "use polling::Poller;").len(), 1);
        assert_eq!(found("modb-net/src/system/sys/no_epoll.rs", "use polling::Poller;"), [""; 0]);
        assert_eq!(found("modb-server/src/store/mod.rs", "use modb_net::{Seq, Service};").len(), 1);
        assert_eq!(found("modb-server/src/store/mod.rs", "use modb_net::Seq;"), [""; 0]);
    }
}
