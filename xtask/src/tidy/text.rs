//! What every file has, and what none may hold.

use super::{File, Finding};

/// Above this a file holds more than one idea.
const MAX_LINES: usize = 600;

/// Longer files, each with the reason why it is one idea all the same.
const LONGER: &[(&str, usize, &str)] = &[];

/// A promise to finish later belongs to no file that is called done.
const MARKERS: &[&str] = &["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "dbg!("];

/// Paths that exist on one machine only.
const MACHINE_PATHS: &[&str] = &["/root/", "/home/", "/Users/", "C:\\Users\\"];

/// Where packages come from is the machine's setting, never the project's.
const REGISTRIES: &[&str] = &[
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "pypi.org",
    "pythonhosted.org",
    "index.crates.io",
    "static.crates.io",
    "deb.debian.org",
    "static.rust-lang.org",
];

/// The rules themselves, which must name what they forbid; and the lock file, whose form is cargo's.
const EXCEPT: &[&str] = &["xtask/src/tidy/text.rs", "Cargo.lock"];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    files.iter().flat_map(|file| [header(file), length(file), lints(file), words(file)]).flatten().collect()
}

fn header(file: &File) -> Vec<Finding> {
    let missing = file.is_rust() && !file.text.starts_with("//! ");
    missing
        .then(|| file.finding(1, "no `//!` header: what it is, what it must never do"))
        .into_iter()
        .collect()
}

fn length(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().count();
    let allowed =
        LONGER.iter().find(|(path, ..)| *path == file.path).map_or(MAX_LINES, |(_, lines, _)| *lines);
    let too_long = file.is_rust() && lines > allowed;
    too_long
        .then(|| file.finding(lines, format!("{lines} lines, {allowed} allowed: split it")))
        .into_iter()
        .collect()
}

fn lints(file: &File) -> Vec<Finding> {
    let is_member = file.path.ends_with("/Cargo.toml") && file.text.contains("[package]");
    let missing = is_member && !file.text.contains("[lints]\nworkspace = true");
    missing.then(|| file.finding(1, "the workspace's lints are not taken over")).into_iter().collect()
}

fn words(file: &File) -> Vec<Finding> {
    if EXCEPT.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let kinds =
        [(MARKERS, "a marker"), (MACHINE_PATHS, "a path of one machine"), (REGISTRIES, "a registry's host")];
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        for (words, kind) in kinds {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                findings.push(file.finding(number, format!("{kind}: {word}")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&[File::new(path, text)]).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        assert_eq!(found("a/src/b.rs", "fn f() {}").len(), 1);
        assert_eq!(found("a/src/b.rs", "//! What it is.\nfn f() {}"), [""; 0]);
    }

    #[test]
    fn a_file_that_is_too_long_is_found() {
        let lines = |n| format!("//! Long.\n{}", "\n".repeat(n - 1));
        assert_eq!(found("a/src/b.rs", &lines(MAX_LINES)), [""; 0]);
        assert_eq!(found("a/src/b.rs", &lines(MAX_LINES + 1)).len(), 1);
    }

    #[test]
    fn a_member_without_the_lints_is_found() {
        assert_eq!(found("a/Cargo.toml", "[package]\n").len(), 1);
        assert_eq!(found("a/Cargo.toml", "[package]\n[lints]\nworkspace = true\n"), [""; 0]);
    }

    #[test]
    fn markers_machine_paths_and_registries_are_found() {
        for text in ["# TODO later", "see /home/me/x", "\"resolved\": \"https://registry.npmjs.org/a\""] {
            assert_eq!(found("docs/a.md", text).len(), 1, "{text}");
        }
        assert_eq!(found("docs/a.md", "Everything is done, and stands in ~/.cache."), [""; 0]);
    }
}
