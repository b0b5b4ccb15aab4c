//! `cargo xtask bench`: the benchmarks, each kept beside what it measures; here they are built, run and shown.

mod base;
mod compare;
mod cpu;
mod distance;
mod generators;
mod instructions;
mod load;
mod net;
mod page;
mod pages;
mod record;
mod reopen;
mod report;
mod results;
mod servers;
mod types;

use std::path::PathBuf;

use crate::failure::Result;
use crate::process;
use crate::workspace;

/// `cargo xtask bench NAME ARGS`.
pub(crate) fn command(args: &[String]) -> Result<()> {
    match args.first().map(String::as_str) {
        Some("compare") => compare::run(&args[1..]),
        Some("cpu") => cpu::run(&args[1..]),
        Some("distance") => distance::run(&args[1..]),
        Some("generators") => generators::run(&args[1..]),
        Some("instructions") => instructions::run(&args[1..]),
        Some("pages") => pages::run(&args[1..]),
        Some("reopen") => reopen::run(&args[1..]),
        Some(name @ ("notify" | "handoff")) => net::run(name, &args[1..]),
        _ => Err(format!(
            "which benchmark: compare, cpu, distance, generators, instructions, pages, reopen, notify or handoff?\n{}\n{}\n{}\n{}\n{}\n{}\n{}",
            compare::USAGE,
            cpu::USAGE,
            distance::USAGE,
            generators::USAGE,
            instructions::USAGE,
            pages::USAGE,
            reopen::USAGE
        )
        .into()),
    }
}

/// Builds a program of the workspace as it is released, and says where it is.
fn build(package: &str) -> Result<PathBuf> {
    process::run(process::cargo().args(["build", "--release", "--quiet", "-p", package, "--bin", package]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let file = format!("{package}{}", std::env::consts::EXE_SUFFIX);
    Ok(workspace::root().join(target).join("release").join(file))
}
