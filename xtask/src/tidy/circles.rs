//! No files use each other in a circle: whoever opens one can read downward from it, to an end.
//!
//! A folder is a house: what its `mod.rs` and the files in it use of each other is not looked at. What a path names is
//! followed to the file that defines it, through all that is only passed on.

use std::collections::BTreeMap;

use super::exports::Modules;
use super::paths::{module_of, named};
use super::{File, Finding, shipped};

const CRATES: &[&str] = &["modb-net", "modb-server", "modb-client", "xtask"];

/// Folders whose files may, for this reason.
const KNOTS: &[(&str, &str)] = &[
    (
        "modb-server/src/command/machine/",
        "a command's function takes the context, in which the table of commands is",
    ),
    ("modb-server/src/command/language/", "what a command waits for is an error, and fails with one"),
];

/// Which modules one module uses, and on which line first.
type Uses<'f> = BTreeMap<Vec<String>, BTreeMap<Vec<String>, (&'f File, usize)>>;

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    CRATES.iter().flat_map(|folder| within(folder, files)).collect()
}

fn within(folder: &str, files: &[File]) -> Vec<Finding> {
    let source = format!("{folder}/src/");
    let own: Vec<&File> = files.iter().filter(|file| file.path.starts_with(&source)).collect();
    let modules = Modules::of(folder, &own);
    let mut uses = Uses::new();
    for file in own.iter().filter(|file| file.is_rust() && !file.is_test()) {
        let module = module_of(&file.path[source.len()..]);
        for used in named(shipped(file), &module) {
            let other = modules.module_of(&modules.follow(&used.path).to);
            // Its own, or a folder and what is in it.
            if !other.starts_with(&module) && !module.starts_with(&other) {
                uses.entry(module.clone()).or_default().entry(other).or_insert((file, used.line));
            }
        }
    }
    let mut findings = Vec::new();
    for (module, used) in &uses {
        for (other, (file, line)) in used {
            let is_knot = KNOTS.iter().any(|(folder, _)| file.path.starts_with(folder));
            if !is_knot && let Some(way) = way_back(&uses, other, module) {
                let way: Vec<String> = way.iter().map(|module| module.join("/")).collect();
                findings.push(file.finding(*line, format!("a circle of files: {}", way.join(" uses "))));
            }
        }
    }
    findings
}

/// The shortest way by which `from` comes to use `to`, said from `to` on.
pub(super) fn way_back<'u, K: Ord, V>(
    uses: &'u BTreeMap<K, BTreeMap<K, V>>,
    from: &'u K,
    to: &'u K,
) -> Option<Vec<&'u K>> {
    let mut before: BTreeMap<&K, &K> = BTreeMap::new();
    let mut ring = vec![from];
    while !ring.is_empty() {
        let mut next = Vec::new();
        for at in ring {
            if at == to {
                let mut way = vec![to];
                while way.last().is_some_and(|last| *last != from) {
                    way.extend(way.last().and_then(|last| before.get(last)));
                }
                way.push(to);
                way.reverse();
                return Some(way);
            }
            for other in uses.get(at).into_iter().flat_map(BTreeMap::keys) {
                if other != from && !before.contains_key(other) {
                    before.insert(other, at);
                    next.push(other);
                }
            }
        }
        ring = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> =
            files.iter().map(|(path, text)| File::new(format!("xtask/src/{path}"), *text)).collect();
        check(&files).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_circle_is_found_through_names_that_are_passed_on() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::Two;"),
            ("a/one.rs", "use crate::b::B;\npub struct One;"),
            ("a/two.rs", "pub struct Two;"),
            ("b.rs", "use crate::a::Two;\nuse crate::a::One;\npub struct B;"),
        ];
        assert_eq!(
            found(&files),
            [
                "xtask/src/a/one.rs:1: a circle of files: a/one uses b uses a/one",
                "xtask/src/b.rs:2: a circle of files: b uses a/one uses b"
            ]
        );
    }

    #[test]
    fn a_circle_of_three_is_told_whole_and_those_who_only_use_it_are_not_of_it() {
        let files = [
            ("a.rs", "use crate::b::B;\npub struct A;"),
            ("b.rs", "use crate::c::C;\npub struct B;"),
            ("c.rs", "use crate::a::A;\npub struct C;"),
            ("d.rs", "use crate::a::A;"),
        ];
        assert_eq!(found(&files).len(), 3);
        assert_eq!(found(&files)[0], "xtask/src/a.rs:1: a circle of files: a uses b uses c uses a");
    }

    #[test]
    fn a_folder_and_what_is_in_it_are_one_house() {
        let files = [
            ("a/mod.rs", "mod one;\nuse self::one::One;\npub struct A;"),
            ("a/one.rs", "use super::A;\npub struct One;"),
        ];
        assert!(found(&files).is_empty());
    }
}
