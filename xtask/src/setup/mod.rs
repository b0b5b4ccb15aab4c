//! `cargo xtask setup`: installs what the tests need and says what. It asks nothing.
//!
//! As root on Debian or Ubuntu it installs packages; otherwise it prints the command that does and fails. What is no
//! package of the system goes to the user's cache folder, by version. Run again, it does nothing and says so.

mod needs;
mod packages;
mod python;
mod toolchain;

use std::fs::File;
use std::process::Command;

use crate::failure::{Context as _, Result};
use crate::windows::{StdLibrary, Wine};
use crate::workspace;

pub(crate) fn command(args: &[String]) -> Result<()> {
    match args.first() {
        None => install(std::env::consts::OS == "linux"),
        Some(unknown) => Err(format!("setup takes no {unknown}").into()),
    }
}

/// Installs what is missing; with what runs Windows programs, if there will be any under `wine`.
pub(crate) fn install(wine: bool) -> Result<()> {
    let _alone = wait_for_others()?;
    let mut did = packages::install(&needs::missing(wine))?;
    did |= toolchain::install()?;
    did |= python::install()?;
    if wine {
        did |= install_windows()?;
    }
    if !did {
        println!("setup: nothing to do");
    }
    Ok(())
}

/// Two setups at once would build the same things in the same place: the second waits, then finds them there. The
/// system gives the lock back when the process ends, however it ends.
fn wait_for_others() -> Result<File> {
    let folder = workspace::cache()?;
    workspace::make_folder(&folder)?;
    let path = folder.join("setup.lock");
    let file = File::create(&path).context(format_args!("cannot write {}", path.display()))?;
    file.lock().context(format_args!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Fails with every missing thing and the command that installs it.
pub(crate) fn demand(wine: bool) -> Result<()> {
    let mut missing: Vec<String> =
        needs::missing(wine).iter().map(|need| format!("{} ({})", need.what, need.why)).collect();
    missing.extend(toolchain::missing().iter().map(|part| format!("{part} (a part of the Rust toolchain)")));
    if !python::is_installed()? {
        missing.push("redis-py (a client nobody here wrote)".to_owned());
    }
    if wine && StdLibrary::installed()?.is_none() {
        missing.push("the standard library for Windows".to_owned());
    }
    if wine && Wine::is_found()? && Wine::installed()?.is_none() {
        missing.push("the tests' Wine prefix".to_owned());
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("missing: {}\ninstall with: cargo xtask setup", missing.join(", ")).into())
}

/// Tells tests where the clients in other languages are.
pub(crate) fn hand_to(tests: &mut Command) -> Result<()> {
    if let Some(python) = python::interpreter()? {
        tests.env("MODB_PYTHON", python);
    }
    if let Some(suite) = python::suite()? {
        tests.env("MODB_REDIS_PY_SUITE", suite);
    }
    Ok(())
}

/// The Windows library, from the first source that has it, and the Wine prefix. `true` if there was something to do.
fn install_windows() -> Result<bool> {
    let has_library = StdLibrary::installed()?.is_some();
    if !has_library && !StdLibrary::add_with_rustup() {
        println!("setup: no standard library for Windows from rustup; Debian's sources have it");
        packages::install_by_name(needs::DEBIAN_RUST)?;
        StdLibrary::build_from_debian()?;
    }
    Ok(Wine::prepare()? || !has_library)
}
