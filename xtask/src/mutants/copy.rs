//! A copy of the working tree, with a target folder of its own that stays from run to run.
//!
//! Invariants: nothing outside `target/mutants` is ever written to; after [`Copy::refresh`] the copy holds what the tree
//! holds, and what was the same already is not written again, so that cargo builds only what has changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

pub(super) struct Copy {
    folder: PathBuf,
}

impl Copy {
    pub(super) fn of_the_working_tree() -> Result<Self> {
        let copy = Self { folder: workspace::target_dir().join("mutants") };
        workspace::make_folder(&copy.tree())?;
        workspace::make_folder(&copy.folder.join("logs"))?;
        copy.refresh()?;
        Ok(copy)
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    pub(super) fn target(&self) -> PathBuf {
        self.folder.join("target")
    }

    /// Where the output of a run goes.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(name).with_extension("log")
    }

    /// Makes the copy what the working tree is: the files that git knows or would add.
    pub(super) fn refresh(&self) -> Result<()> {
        let here = files(workspace::root())?;
        for path in &here {
            let (from, to) = (workspace::root().join(path), self.tree().join(path));
            let bytes = std::fs::read(&from).context(format_args!("cannot read {}", from.display()))?;
            if std::fs::read(&to).is_ok_and(|there| there == bytes) {
                continue;
            }
            workspace::make_folder(to.parent().unwrap_or(&to))?;
            std::fs::write(&to, bytes).context(format_args!("cannot write {}", to.display()))?;
        }
        for path in held(&self.tree(), Path::new(""))?.difference(&here) {
            let extra = self.tree().join(path);
            std::fs::remove_file(&extra).context(format_args!("cannot remove {}", extra.display()))?;
        }
        Ok(())
    }

    /// Applies a patch to the copy.
    pub(super) fn apply(&self, patch: &Path) -> Result<()> {
        let mut git = process::command("git");
        // Within the build folder of a repository git would look for the files in that repository.
        git.current_dir(self.tree()).env("GIT_CEILING_DIRECTORIES", &self.folder);
        process::run_quietly(git.arg("apply").arg(patch)).map(drop)
    }
}

/// What git knows or would add, without what is deleted but not yet committed.
fn files(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut git = process::command("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = process::answer(&mut git).ok_or("git does not list the files of the working tree")?;
    let paths = listed.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(paths.filter(|path| root.join(path).is_file()).collect())
}

/// Every file under `root`, relative to it.
fn held(root: &Path, within: &Path) -> Result<BTreeSet<PathBuf>> {
    let folder = root.join(within);
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).context(format_args!("cannot read {}", folder.display()))? {
        let entry = entry.context(format_args!("cannot read {}", folder.display()))?;
        let path = within.join(entry.file_name());
        if entry.file_type().context("cannot see what a file is")?.is_dir() {
            found.append(&mut held(root, &path)?);
        } else {
            found.insert(path);
        }
    }
    Ok(found)
}
