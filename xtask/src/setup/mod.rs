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

/// What the tests that will run need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// What runs Windows programs.
    pub(crate) wine: bool,
    /// What `--long` alone runs: clients of other languages, proxies.
    pub(crate) long: bool,
}

pub(crate) fn command(args: &[String]) -> Result<()> {
    let wine = std::env::consts::OS == "linux";
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => install(Wanted { wine, long: false }),
        ["--long"] => install(Wanted { wine, long: true }),
        _ => Err(format!("setup takes --long, and no {}", args.join(" ")).into()),
    }
}

/// Installs what is missing.
pub(crate) fn install(wanted: Wanted) -> Result<()> {
    let _alone = wait_for_others()?;
    let mut did = packages::install(&needs::missing(wanted))?;
    did |= toolchain::install()?;
    for environment in python::environments(wanted) {
        did |= environment.install()?;
    }
    if wanted.wine {
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
pub(crate) fn demand(wanted: Wanted) -> Result<()> {
    let mut missing: Vec<String> =
        needs::missing(wanted).iter().map(|need| format!("{} ({})", need.what, need.why)).collect();
    missing.extend(toolchain::missing().iter().map(|part| format!("{part} (a part of the Rust toolchain)")));
    for environment in python::environments(wanted) {
        if !environment.is_installed()? {
            missing.push(format!("{} (a client nobody here wrote)", environment.client()));
        }
    }
    if wanted.wine && StdLibrary::installed()?.is_none() {
        missing.push("the standard library for Windows".to_owned());
    }
    if wanted.wine && Wine::is_found()? && Wine::installed()?.is_none() {
        missing.push("the tests' Wine prefix".to_owned());
    }
    if missing.is_empty() {
        return Ok(());
    }
    let long = if wanted.long { " --long" } else { "" };
    Err(format!("missing: {}\ninstall with: cargo xtask setup{long}", missing.join(", ")).into())
}

/// Tells tests where the clients in other languages are.
pub(crate) fn hand_to(tests: &mut Command) -> Result<()> {
    if let Some(python) = python::REDIS_PY.program("python")? {
        tests.env("MODB_PYTHON", python);
    }
    if let Some(suite) = python::REDIS_PY.source()? {
        tests.env("MODB_REDIS_PY_SUITE", suite);
    }
    if let Some(iredis) = python::IREDIS.program("iredis")? {
        tests.env("MODB_IREDIS", iredis);
    }
    if let Some(python) = python::APPLICATIONS.program("python")? {
        tests.env("MODB_APPLICATIONS_PYTHON", python);
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
