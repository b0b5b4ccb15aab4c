//! Packages of the system: installed where that is possible without asking, otherwise told.

use std::path::Path;

use super::needs::Need;
use crate::failure::Result;
use crate::process;

/// Installs the packages of what is missing; `true` if there were any.
pub(super) fn install(missing: &[&Need]) -> Result<bool> {
    if missing.is_empty() {
        return Ok(false);
    }
    for need in missing {
        println!("setup: {} is missing ({}): package {}", need.what, need.why, need.package);
    }
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    install_by_name(&packages)?;
    Ok(true)
}

/// Installs packages, or fails with the command that does.
pub(super) fn install_by_name(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !Path::new("/etc/debian_version").exists() {
        return Err(format!(
            "this is neither Debian nor Ubuntu: install what these packages hold there, then run this again: {list}"
        )
        .into());
    }
    if process::answer(process::command("id").arg("-u")).as_deref() != Some("0") {
        return Err(format!(
            "not root; run this, then cargo xtask setup again:\n  \
             sudo apt-get update && sudo apt-get install --no-install-recommends --yes {list}"
        )
        .into());
    }
    println!("setup: apt-get install {list}");
    process::run_quietly(apt().arg("update"))?;
    process::run_quietly(apt().args(["install", "--no-install-recommends", "--yes"]).args(packages))?;
    Ok(())
}

fn apt() -> std::process::Command {
    let mut apt = process::command("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt
}
