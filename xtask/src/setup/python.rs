//! redis-py and what its own tests need, in a virtual environment of its own in the cache folder.
//!
//! Where packages come from is pip's own setting. The folder is named after what it holds, so another version in the
//! list below is another folder.

use std::path::PathBuf;

use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

/// Exact versions: a client that changes by itself would change what is tested.
const PACKAGES: &[&str] = &[CLIENT, "pytest==8.4.2", "pytest-asyncio==1.5.0", "pytest-timeout==2.4.0"];

/// The client itself: its source archive, unlike what is installed, holds its tests.
const CLIENT: &str = "redis==8.1.0";

/// The interpreter of the environment, if it is complete. Only Linux runs Python clients.
pub(super) fn interpreter() -> Result<Option<PathBuf>> {
    let folder = folder()?;
    Ok(folder.join("complete").exists().then(|| folder.join("bin/python")))
}

/// The folder of the client's own tests, if there is an environment.
pub(super) fn suite() -> Result<Option<PathBuf>> {
    Ok(interpreter()?.is_some().then_some(folder()?.join("source").join(CLIENT.replace("==", "-"))))
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
    let python = || process::command(folder.join("bin/python"));
    let pip = |task: &str| {
        let mut pip = python();
        pip.args(["-m", "pip", task, "--quiet", "--disable-pip-version-check"]);
        pip
    };
    process::run_quietly(pip("install").args(PACKAGES))?;
    let source = folder.join("source");
    let mut download = pip("download");
    download.args(["--no-deps", "--no-binary=:all:", CLIENT, "--dest"]).arg(&source);
    process::run_quietly(&mut download)?;
    let archive = source.join(format!("{}.tar.gz", CLIENT.replace("==", "-")));
    process::run_quietly(python().args(["-m", "tarfile", "-e"]).arg(&archive).arg(&source))?;
    std::fs::write(folder.join("complete"), "").context("cannot mark the environment as complete")?;
    Ok(true)
}

fn applies() -> bool {
    std::env::consts::OS == "linux"
}

fn folder() -> Result<PathBuf> {
    Ok(workspace::cache()?.join("python").join(PACKAGES.join("-").replace("==", "-")))
}
