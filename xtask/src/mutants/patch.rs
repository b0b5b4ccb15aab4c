//! The file of a mutant: `what:`, `test:` and perhaps `long: yes`, then the change as `git diff` writes it.
//!
//! Git passes over what stands before the change, so the file is a patch as it is.

use std::path::{Path, PathBuf};

use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

/// One defence taken away, and who misses it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mutant {
    /// The file's name without its ending.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// What it takes away, in one line.
    pub(super) what: String,
    /// Arguments of `cargo test`, which must then fail.
    pub(super) test: Vec<String>,
    /// These tests take minutes even if all is well.
    pub(super) is_long: bool,
}

/// All of them, by name.
pub(super) fn all() -> Result<Vec<Mutant>> {
    let folder = workspace::root().join("tests/mutants");
    let entries = std::fs::read_dir(&folder).context(format_args!("cannot read {}", folder.display()))?;
    let mut mutants = Vec::new();
    for entry in entries {
        let path = entry.context(format_args!("cannot read {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let text =
                std::fs::read_to_string(&path).context(format_args!("cannot read {}", path.display()))?;
            mutants.push(read(&path, &text)?);
        }
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutants)
}

fn read(path: &Path, text: &str) -> Result<Mutant> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let head = text.split_once("\ndiff --git ").map(|(head, _)| head);
    let head = head.ok_or_else(|| format!("{name}: no change in it, as `git diff` writes it"))?;
    let field = |field: &str| head.lines().find_map(|line| line.strip_prefix(field)).map(str::trim);
    let given = |key: &str| {
        field(key).filter(|value| !value.is_empty()).ok_or_else(|| format!("{name}: no line `{key} ...`"))
    };
    Ok(Mutant {
        what: given("what:")?.to_owned(),
        test: given("test:")?.split_whitespace().map(str::to_owned).collect(),
        is_long: field("long:") == Some("yes"),
        path: path.to_owned(),
        name,
    })
}

impl Mutant {
    /// Why it cannot be applied to the working tree, if it cannot.
    pub(super) fn fault(&self) -> Option<String> {
        let mut git = process::command("git");
        git.current_dir(workspace::root()).args(["apply", "--check"]).arg(&self.path);
        match git.output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(format!("does not apply: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => Some(format!("cannot start git: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: &str = "\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";

    fn parse(head: &str) -> Result<Mutant> {
        read(Path::new("some/no_drain.patch"), &format!("{head}{CHANGE}"))
    }

    #[test]
    fn the_lines_before_the_change_say_what_and_which_tests() {
        let mutant =
            parse("what: nothing is drained\ntest: -p modb-net --lib core::tests::ends\nlong: yes\n");
        let mutant = mutant.expect("it is whole");
        assert_eq!((mutant.name.as_str(), mutant.what.as_str()), ("no_drain", "nothing is drained"));
        assert_eq!(mutant.test, ["-p", "modb-net", "--lib", "core::tests::ends"]);
        assert!(mutant.is_long);
        assert!(!parse("what: a\ntest: -p b").expect("it is whole").is_long);
    }

    #[test]
    fn what_is_missing_is_named() {
        let fault = |head: &str| parse(head).expect_err("it is not whole").to_string();
        assert!(fault("what: a\n").contains("test:"));
        assert!(fault("test: -p b\n").contains("what:"));
        assert!(fault("what:\ntest: -p b\n").contains("what:"));
        assert!(read(Path::new("x.patch"), "what: a\ntest: b\n").is_err());
    }
}
