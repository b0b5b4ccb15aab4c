//! Measures large collections, without a network, and what a change of a page costs the store: `cargo bench -p modb-server
//! --bench collections -- [zset|hash|set|list|beyond|beyond-zset|patch...] [--elements N] [--cache-mb N] [--rounds N] [--seconds N]`.
//!
//! What is promised of a collection of ten million beside one of ten thousand, and of elements beyond memory beside keys of their
//! own, is judged: each promise that was not kept is told at the end, and the exit status is 1. Linux, for the memory.

mod beyond;
mod large;
mod measured;
mod patches;
#[path = "../random/mod.rs"]
mod random;
mod zipf;

use std::process::ExitCode;

use measured::Judgement;

struct Settings {
    elements: u64,
    cache_mb: u32,
    rounds: u64,
    seconds: u64,
}

fn main() -> ExitCode {
    let mut settings = Settings { elements: 10_000_000, cache_mb: 256, rounds: 3, seconds: 10 };
    let mut parts = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bench" => {}
            "--elements" => settings.elements = number(&mut args),
            "--cache-mb" => settings.cache_mb = number(&mut args) as u32,
            "--rounds" => settings.rounds = number(&mut args),
            "--seconds" => settings.seconds = number(&mut args),
            large::CHECK => return large::check_here(args),
            large::WHOLE => return large::whole_here(args),
            part => parts.push(part.to_owned()),
        }
    }
    if parts.is_empty() {
        parts = ["patch", "zset", "hash", "set", "list", "beyond", "beyond-zset"].map(str::to_owned).into();
    }
    let mut judgement = Judgement::default();
    for part in parts {
        match part.as_str() {
            "patch" => patches::measure(),
            "beyond" => beyond::hashes(&settings, &mut judgement),
            "beyond-zset" => beyond::sorted_sets(&settings, &mut judgement),
            kind => large::measure(kind, &settings, &mut judgement),
        }
    }
    judgement.exit_code()
}

fn number(args: &mut impl Iterator<Item = String>) -> u64 {
    args.next().and_then(|n| n.parse().ok()).expect("a number follows")
}
