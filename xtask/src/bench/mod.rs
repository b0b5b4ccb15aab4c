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

/// A benchmark: its name, how it is called, and what runs it.
type Bench = (&'static str, &'static str, fn(&[String]) -> Result<()>);

const BENCHES: [Bench; 12] = [
    ("compare", compare::USAGE, compare::run),
    ("costs", costs::USAGE, costs::run),
    ("cpu", cpu::USAGE, cpu::run),
    ("distance", distance::USAGE, distance::run),
    ("generators", generators::USAGE, generators::run),
    ("handoff", net::HANDOFF_USAGE, net::handoff),
    ("instructions", instructions::USAGE, instructions::run),
    ("memory", memory::USAGE, memory::run),
    ("notify", net::NOTIFY_USAGE, net::notify),
    ("pages", pages::USAGE, pages::run),
    ("programs", programs::USAGE, programs::run),
    ("reopen", reopen::USAGE, reopen::run),
];

/// `cargo xtask bench NAME ARGS`.
pub(crate) fn command(args: &[String]) -> Result<()> {
    let usages = || BENCHES.map(|(_, usage, _)| usage).join("\n");
    let is_help = |arg: &String| arg == "--help" || arg == "-h";
    let Some(name) = args.first().filter(|name| !is_help(name)) else {
        println!("{}", usages());
        return Ok(());
    };
    let Some((_, usage, run)) = BENCHES.iter().find(|(known, ..)| known == name) else {
        return Err(format!("there is no benchmark {name:?}\n{}", usages()).into());
    };
    // What follows is for the server.
    if args.iter().take_while(|arg| *arg != "--").any(is_help) {
        println!("{usage}");
        return Ok(());
    }
    run(&args[1..])
}
