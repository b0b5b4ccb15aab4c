//! Running other programs: what each gets as its environment, and how its failure is told.
//!
//! No child gets this process's standard input: nothing here may wait for a key.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::failure::{Context as _, Result};

/// A command without standard input and without what `cargo run` adds to the environment.
///
/// `cargo run` puts its own toolchain's folder on the library path and describes xtask in `CARGO_PKG_*`; another
/// compiler than the one that built xtask must see neither.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env_remove("LD_LIBRARY_PATH").env_remove("DYLD_FALLBACK_LIBRARY_PATH");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The cargo that started this program, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(crate::workspace::root()).env("CARGO_TARGET_DIR", crate::workspace::target_dir());
    cargo
}

/// The same command once more; a `Command` cannot be cloned.
pub(crate) fn again(first: &Command) -> Command {
    let mut second = command(first.get_program());
    second.args(first.get_args());
    if let Some(folder) = first.get_current_dir() {
        second.current_dir(folder);
    }
    for (name, value) in first.get_envs() {
        match value {
            Some(value) => second.env(name, value),
            None => second.env_remove(name),
        };
    }
    second
}

/// Runs to the end with the terminal's output; a status other than 0 is a failure.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().context(format_args!("cannot start {}", name(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", line(command)).into()) }
}

/// Runs to the end in silence; on failure everything it said is shown.
pub(crate) fn run_quietly(command: &mut Command) -> Result<Output> {
    let output = command.output().context(format_args!("cannot start {}", name(command)))?;
    if !output.status.success() {
        let mut err = std::io::stderr().lock();
        // The failure below is reported anyway; a closed terminal must not hide it.
        let _ = err.write_all(&output.stdout).and_then(|()| err.write_all(&output.stderr));
        return Err(format!("{} ended with {}", line(command), output.status).into());
    }
    Ok(output)
}

/// The trimmed standard output of a command that succeeds, `None` if it fails or does not exist.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where a program is: on the path, else in one of `elsewhere`.
pub(crate) fn find(program: &str, elsewhere: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(elsewhere.iter().map(PathBuf::from));
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    folders.map(|folder| folder.join(&file)).find(|candidate| candidate.is_file())
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let mut line = name(command);
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    program.file_stem().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}
