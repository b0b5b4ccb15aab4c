//! The parts of the Rust toolchain that a minimal installation lacks.

use crate::failure::Result;
use crate::process;
use crate::workspace;

/// Each with the cargo command that it brings.
const COMPONENTS: &[(&str, &str)] = &[("rustfmt", "fmt"), ("clippy", "clippy")];

/// The components that are not there.
pub(super) fn missing() -> Vec<&'static str> {
    let has = |command| process::answer(process::cargo().args([command, "--version"])).is_some();
    COMPONENTS.iter().filter(|(_, command)| !has(*command)).map(|(component, _)| *component).collect()
}

/// Adds them with rustup; `true` if there was something to do.
pub(super) fn install() -> Result<bool> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(false);
    }
    let list = missing.join(" ");
    if process::find("rustup", &[]).is_none() {
        return Err(
            format!("the toolchain has no {list}: install them the way the toolchain was installed").into()
        );
    }
    println!("setup: rustup component add {list}");
    let mut rustup = process::command("rustup");
    rustup.current_dir(workspace::root()).args(["component", "add"]).args(&missing);
    process::run_quietly(&mut rustup)?;
    Ok(true)
}
