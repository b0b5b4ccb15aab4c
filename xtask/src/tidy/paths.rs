//! Which modules a Rust file names: every path that begins with `crate`, `super` or `self`, as seen from the crate's root.
//!
//! Not a parser: it reads code whose comments and literals are blank, and knows the grammar of paths and of `use` trees. A
//! path inside of an inline `mod x { }` counts as its file's.

/// A path that a file names, from the crate's root on: `["system", "poll", "Poller"]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) path: Vec<String>,
}

/// The module that a file of `src/` is, `inside` being its path there: `system/poll.rs` is `["system", "poll"]`.
pub(super) fn module_of(inside: &str) -> Vec<String> {
    let mut parts: Vec<String> = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    let last = parts.last().map(String::as_str);
    if last == Some("mod") || (parts.len() == 1 && matches!(last, Some("lib" | "main"))) {
        parts.pop();
    }
    parts
}

/// Every path of the crate that `code`, which is `module`, names.
pub(super) fn named(code: &str, module: &[String]) -> Vec<Named> {
    let mut found = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            // `x_crate::` is another word, and what stands behind `::` is the middle of a path.
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let line = 1 + code[..at].matches('\n').count();
            let paths = Branch::all(&code[at..]).into_iter();
            found.extend(paths.map(|branch| Named { line, path: absolute(module, branch.path) }));
        }
    }
    found
}

/// A path seen from `module` as it is seen from the crate's root.
pub(super) fn absolute(module: &[String], path: Vec<String>) -> Vec<String> {
    let mut base = module.to_vec();
    let mut rest = path.into_iter().peekable();
    while let Some(step) = rest.next_if(|step| matches!(step.as_str(), "crate" | "super" | "self")) {
        match step.as_str() {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            _ => {}
        }
    }
    base.extend(rest);
    base
}

/// One path of a `use` tree, and the name that it brings in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Branch {
    /// Ends with `*` where all is meant.
    pub(super) path: Vec<String>,
    pub(super) name: String,
}

impl Branch {
    /// The paths of a `use` tree, or the one path that begins here: `a::{b::c, d}` gives `a::b::c` and `a::d`.
    pub(super) fn all(text: &str) -> Vec<Self> {
        let mut path = Vec::new();
        let mut rest = text;
        loop {
            rest = rest.trim_start();
            if let Some(group) = rest.strip_prefix('{') {
                let inner = branches(group).into_iter().flat_map(Self::all);
                return inner.map(|branch| branch.behind(&path)).collect();
            }
            if rest.starts_with('*') {
                path.push("*".to_owned());
                break;
            }
            let len = word_len(rest);
            if len == 0 {
                break;
            }
            path.push(rest[..len].to_owned());
            rest = rest[len..].trim_start();
            match rest.strip_prefix("::") {
                Some(behind) => rest = behind,
                None => break,
            }
        }
        let renamed = rest.strip_prefix("as ").map(|name| name.trim_start());
        let name = renamed.map(|name| name[..word_len(name)].to_owned()).or_else(|| path.last().cloned());
        name.map(|name| Self { path, name }).into_iter().collect()
    }

    fn behind(mut self, path: &[String]) -> Self {
        // `{self}` in a group is the module before it.
        if self.path == ["self"] {
            self.path.clear();
            if self.name == "self" {
                self.name = path.last().cloned().unwrap_or_default();
            }
        }
        Self { path: path.iter().cloned().chain(self.path).collect(), name: self.name }
    }
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// The words of code.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// What stands between the commas of a group, up to its end.
fn branches(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(code: &str, module: &str) -> Vec<String> {
        named(code, &module_of(module)).into_iter().map(|named| named.path.join("::")).collect()
    }

    #[test]
    fn a_path_is_named_from_the_root_wherever_it_stands() {
        assert_eq!(paths("use crate::a::B;", "c.rs"), ["a::B"]);
        assert_eq!(paths("fn f() -> super::B { crate::g() }", "c/d.rs"), ["g", "c::B"]);
        assert_eq!(paths("use super::super::x;", "c/d/mod.rs"), ["x"]);
        assert_eq!(paths("pub use self::x;", "lib.rs"), ["x"]);
        assert_eq!(paths("use my_crate::x; use std::super::y;", "c.rs"), [""; 0]);
    }

    #[test]
    fn every_branch_of_a_use_is_a_path() {
        assert_eq!(
            paths("use crate::{a, b::{C, d::E as F}, g::*, };", "c.rs"),
            ["a", "b::C", "b::d::E", "g::*"]
        );
        assert_eq!(
            paths("use super::{self, connect::{self, X}};", "c/d.rs"),
            ["c", "c::connect", "c::connect::X"]
        );
    }
}
