//! redis-py, in a virtual environment of its own in the cache folder.
//!
//! Where packages come from is pip's own setting. The folder is named after what it holds, so another version in the
//! list below is another folder.

use std::path::PathBuf;

use crate::process::{self, Context as _, Result};
use crate::workspace;

/// Exact versions: a client that changes by itself would change what is tested.
const PACKAGES: &[&str] = &["redis==8.1.0"];

/// The interpreter of the environment, if it is complete. Only Linux runs Python clients.
pub(super) fn interpreter() -> Result<Option<PathBuf>> {
    let folder = folder()?;
    Ok(folder.join("complete").exists().then(|| folder.join("bin/python")))
}

pub(super) fn is_installed() -> Result<bool> {
    Ok(!applies() || interpreter()?.is_some())
}

/// Makes the environment; `true` if there was something to do.
pub(super) fn install() -> Result<bool> {
    if is_installed()? {
        return Ok(false);
    }
    let folder = folder()?;
    println!("setup: {} in {}", PACKAGES.join(", "), folder.display());
    process::run_quietly(process::command("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = process::command(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    process::run_quietly(&mut pip)?;
    std::fs::write(folder.join("complete"), "").context("cannot mark the environment as complete")?;
    Ok(true)
}

fn applies() -> bool {
    std::env::consts::OS == "linux"
}

fn folder() -> Result<PathBuf> {
    Ok(workspace::cache()?.join("python").join(PACKAGES.join("-").replace("==", "-")))
}
