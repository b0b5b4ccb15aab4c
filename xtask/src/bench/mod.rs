//! `cargo xtask bench`: the benchmarks, each kept beside what it measures; here they are run and shown.

mod base;
mod compare;
mod costs;
mod cpu;
mod distance;
mod generators;
mod instructions;
mod load;
mod memory;
mod net;
mod page;
mod pages;
mod programs;
mod record;
mod reopen;
mod report;
mod results;
mod rounds;
mod servers;
mod types;

use crate::failure::Result;

/// `cargo xtask bench NAME ARGS`.
pub(crate) fn command(args: &[String]) -> Result<()> {
    match args.first().map(String::as_str) {
        Some("compare") => compare::run(&args[1..]),
        Some("costs") => costs::run(&args[1..]),
        Some("cpu") => cpu::run(&args[1..]),
        Some("distance") => distance::run(&args[1..]),
        Some("generators") => generators::run(&args[1..]),
        Some("instructions") => instructions::run(&args[1..]),
        Some("memory") => memory::run(&args[1..]),
        Some("pages") => pages::run(&args[1..]),
        Some("programs") => programs::run(&args[1..]),
        Some("reopen") => reopen::run(&args[1..]),
        Some(name @ ("notify" | "handoff")) => net::run(name, &args[1..]),
        _ => Err(format!(
            "which benchmark: compare, costs, cpu, distance, generators, instructions, memory, pages, programs, reopen, notify or handoff?\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}",
            compare::USAGE,
            costs::USAGE,
            cpu::USAGE,
            distance::USAGE,
            generators::USAGE,
            instructions::USAGE,
            memory::USAGE,
            pages::USAGE,
            programs::USAGE,
            reopen::USAGE
        )
        .into()),
    }
}
