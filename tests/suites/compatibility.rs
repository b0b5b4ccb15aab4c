//! What docs/COMPATIBILITY.md says is not supported; a test of the server keeps the page in step with its table.

use std::collections::BTreeMap;

/// What is no command of Redis 7.2 is of this group.
const NEWER: &str = "newer versions of Redis";

/// Commands that are not supported, with their group.
pub(crate) struct Unsupported {
    groups: BTreeMap<String, String>,
    supported: Vec<String>,
}

impl Unsupported {
    /// The group of a command (in upper case) that is not supported; none, if it is.
    pub(crate) fn get(&self, command: &str) -> Option<&str> {
        if self.supported.iter().any(|supported| supported == command) {
            return None;
        }
        Some(self.groups.get(command).map_or(NEWER, String::as_str))
    }
}

/// Reads the page.
pub(crate) fn unsupported() -> Unsupported {
    read(include_str!("../../docs/COMPATIBILITY.md"))
}

fn read(page: &str) -> Unsupported {
    let mut unsupported = Unsupported { groups: BTreeMap::new(), supported: Vec::new() };
    let mut group = "";
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            group = name;
        } else if let Some(names) = line.strip_prefix("Not supported: ") {
            for name in quoted(names) {
                unsupported.groups.insert(name.to_owned(), group.to_owned());
            }
        } else if line.starts_with("| `") {
            unsupported.supported.extend(quoted(line).next().map(str::to_owned));
        }
    }
    assert!(!unsupported.supported.is_empty(), "docs/COMPATIBILITY.md has another form now");
    unsupported
}

/// What stands between backquotes.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}
