//! Building for Windows and running it, on this machine.
//!
//! `std` finds or builds the standard library for Windows, `wine` runs programs. `Kit` is both, ready to use: a
//! cargo that builds for Windows and runs what it built. On a Windows machine none of this is needed.

mod std_library;
mod wine;

use std::path::Path;
use std::process::Command;

pub(crate) use std_library::StdLibrary;
pub(crate) use wine::{Session, Wine};

use crate::failure::Result;
use crate::process;
use crate::workspace;

pub(crate) const TARGET: &str = "x86_64-pc-windows-gnu";
pub(crate) const LINKER: &str = "x86_64-w64-mingw32-gcc";

/// Everything that it takes to build for Windows and to run the result.
pub(crate) struct Kit {
    library: StdLibrary,
    wine: Wine,
}

impl Kit {
    /// What is installed; the failure names the first thing missing and the command that installs it.
    pub(crate) fn installed() -> Result<Self> {
        if process::find(LINKER, &[]).is_none() {
            return Err(format!("{LINKER} is missing: cargo xtask setup").into());
        }
        let library = StdLibrary::installed()?
            .ok_or("the standard library for Windows is missing: cargo xtask setup")?;
        let wine = Wine::installed()?.ok_or("Wine, or its prepared prefix, is missing: cargo xtask setup")?;
        Ok(Self { library, wine })
    }

    /// Keeps Wine's server up as long as the session lives, so that a program starts in milliseconds.
    pub(crate) fn session(&self) -> Result<Session> {
        self.wine.session()
    }

    /// Whether the compiler that builds for Windows has clippy beside it.
    pub(crate) fn has_clippy(&self) -> bool {
        self.library.has_clippy()
    }

    /// Lets a program of this system start Windows programs.
    pub(crate) fn run_from(&self, command: &mut Command) {
        self.wine.configure(command);
        command.env("MODB_WINE", self.wine.program());
    }

    /// Runs a program that was built for Windows.
    pub(crate) fn program(&self, path: &Path) -> Command {
        let mut wine = process::command(self.wine.program());
        self.wine.configure(&mut wine);
        wine.arg(path);
        wine
    }

    /// A cargo that builds for Windows, in its own target folder: another compiler version may be at work there.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = process::cargo();
        let prefix = format!("CARGO_TARGET_{}", TARGET.to_uppercase().replace('-', "_"));
        cargo
            .env("CARGO_BUILD_TARGET", TARGET)
            .env("CARGO_TARGET_DIR", target_dir())
            .env(format!("{prefix}_LINKER"), LINKER)
            .env(format!("{prefix}_RUNNER"), self.wine.program());
        self.library.configure(&mut cargo, &prefix);
        self.wine.configure(&mut cargo);
        cargo
    }
}

/// Where what is built for Windows stands.
pub(crate) fn target_dir() -> std::path::PathBuf {
    workspace::target_dir().join("windows")
}
