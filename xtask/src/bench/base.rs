//! An earlier commit to compare with, built by the compiler of today.
//!
//! Invariant: it has a target folder of its own. In a shared one cargo would leave the program of whichever was built last.

use std::path::PathBuf;

use crate::failure::Result;
use crate::process;
use crate::workspace;

/// Before the networking layer enforced its limits by itself, and before the types beside strings, transactions and messages.
pub(super) const DEFAULT: &str = "4f951ac";

/// Builds the server of a commit, from a copy of its files.
pub(super) fn build(base: &str) -> Result<PathBuf> {
    let git = || {
        let mut git = process::command("git");
        git.current_dir(workspace::root());
        git
    };
    let commit =
        process::answer(git().args(["rev-parse", "--verify", "--quiet", &format!("{base}^{{commit}}")]));
    let commit = commit.ok_or_else(|| format!("git knows no commit {base} here"))?;
    let folder = workspace::target_dir().join("bench-base").join(&commit);
    let (tree, target, index) = (folder.join("tree"), folder.join("target"), folder.join("index"));
    workspace::make_folder(&tree)?;
    process::run_quietly(git().env("GIT_INDEX_FILE", &index).args(["read-tree", &commit]))?;
    // Git takes it as the beginning of each path: with the slash it is the folder.
    let prefix = format!("--prefix={}/", tree.display());
    // What is there already is the same, and keeps its time, so that cargo has nothing to do.
    process::answer(git().env("GIT_INDEX_FILE", &index).args([
        "checkout-index",
        "--all",
        "--quiet",
        &prefix,
    ]));
    let mut cargo = process::cargo();
    cargo.current_dir(&tree).env("CARGO_TARGET_DIR", &target);
    process::run(cargo.args(["build", "--release", "--quiet", "-p", "modb-server", "--bin", "modb-server"]))?;
    Ok(target.join("release").join(format!("modb-server{}", std::env::consts::EXE_SUFFIX)))
}
