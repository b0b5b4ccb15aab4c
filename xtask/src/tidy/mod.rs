//! `cargo xtask tidy`: the layout's promises, checked. Also a test, so that `cargo test` finds a breach.
//!
//! Each rule is a function from files to findings, in a file with its tests; every rule has a test that shows it fire.

mod circles;
mod exports;
mod floors;
mod items;
mod links;
mod paths;
mod platform;
mod rust_code;
mod surface;
mod text;

use std::fmt;
use std::path::Path;

use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

/// One file that git knows or would add.
pub(crate) struct File {
    /// Relative to the root, with `/` on every system.
    path: String,
    text: String,
    /// For Rust, `text` with comments and literals blanked, line for line; otherwise empty.
    code: String,
}

impl File {
    fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let code = if path.ends_with(".rs") { rust_code::without_literals(&text) } else { String::new() };
        Self { path, text, code }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Tests may reach where the product may not.
    fn is_test(&self) -> bool {
        let folder =
            |name| self.path.starts_with(&format!("{name}/")) || self.path.contains(&format!("/{name}/"));
        folder("tests") || folder("benches") || self.path.ends_with("/tests.rs")
    }

    fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, what: what.into() }
    }
}

/// The part of a file that ships: what comes before its test module.
fn shipped(file: &File) -> &str {
    file.code.find("#[cfg(test)]\nmod tests {").map_or(file.code.as_str(), |end| &file.code[..end])
}

/// A breach of a rule, at a line counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

pub(crate) fn command(_args: &[String]) -> Result<()> {
    let files = files()?;
    let findings = check(&files);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("tidy: {} files keep the rules", files.len()),
        n => return Err(format!("tidy: {n} breaches").into()),
    }
    Ok(())
}

/// `cargo xtask surface`: writes down what the libraries show, for a change that is meant.
pub(crate) fn write_surface(_args: &[String]) -> Result<()> {
    for (path, text) in surface::lists(&files()?) {
        let full = workspace::root().join(Path::new(&path));
        std::fs::write(full, text).context(format_args!("cannot write {path}"))?;
    }
    Ok(())
}

/// Every breach in the workspace.
pub(crate) fn findings() -> Result<Vec<Finding>> {
    Ok(check(&files()?))
}

fn check(files: &[File]) -> Vec<Finding> {
    let rules = [floors::check, circles::check, platform::check, surface::check, text::check, links::check];
    let mut findings: Vec<_> = rules.iter().flat_map(|rule| rule(files)).collect();
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    findings
}

/// The text files that git knows or would add; where git is missing, all that the folder holds.
fn files() -> Result<Vec<File>> {
    let mut git = process::command("git");
    git.current_dir(workspace::root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let paths = match process::answer(&mut git) {
        Some(listed) => listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect(),
        None => {
            let mut found = Vec::new();
            walk("", &mut found)?;
            found
        }
    };
    let mut files = Vec::new();
    for path in paths {
        let full = workspace::root().join(Path::new(&path));
        // Deleted but not yet committed.
        if !full.is_file() {
            continue;
        }
        let bytes = std::fs::read(&full).context(format_args!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File::new(path, text));
        }
    }
    Ok(files)
}

/// Every file under `folder`, which ends with `/` or is empty, without what is built or downloaded.
fn walk(folder: &str, found: &mut Vec<String>) -> Result<()> {
    let here = workspace::root().join(folder);
    for entry in std::fs::read_dir(&here).context(format_args!("cannot read {}", here.display()))? {
        let entry = entry.context(format_args!("cannot read {}", here.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type().context("cannot see what a file is")?.is_dir();
        match name.as_str() {
            ".git" | "target" | "node_modules" | "__pycache__" | "proptest-regressions" => {}
            _ if is_folder => walk(&format!("{folder}{name}/"), found)?,
            _ => found.push(format!("{folder}{name}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workspace_is_tidy() {
        let findings = super::findings().expect("git lists the files");
        let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(list.is_empty(), "{}", list.join("\n"));
    }
}
