//! Handing connections to workers: Modb's policies beside listeners that share a port (`SO_REUSEPORT`).
//!
//! `cargo bench -p modb-net --bench handoff -- [--quick] [--json FILE] [--docs FOLDER]`, or `cargo xtask bench
//! handoff`. All contenders run in turn, round after round, so that what disturbs the machine disturbs all; the
//! medians of the rounds are shown, and ratios are taken within a round. Only 127.0.0.1 is used, and clients end
//! with a reset, so that no port stays taken.

#![allow(clippy::unwrap_used, unreachable_pub)] // A benchmark that cannot measure has nothing better to do.

mod contenders;
mod measure;
mod report;
mod reuse_port;
#[path = "../shared/mod.rs"]
mod shared;
mod sys;

use std::path::PathBuf;

use contenders::Contender;
use measure::{Counts, Round};
use report::{Line, Report};
use shared::median;

const WORKERS: [usize; 2] = [2, 8];
const ROUNDS: usize = 9;
const COUNTS: Counts = Counts { busy: 1000, idle: 100 };
/// Both ends of every connection are in this process.
const DESCRIPTORS: u64 = 4096;

struct Options {
    json: Option<PathBuf>,
    docs: Option<PathBuf>,
    rounds: usize,
    counts: Counts,
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let mut options = Options { json: None, docs: None, rounds: ROUNDS, counts: COUNTS };
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
        match arg.as_str() {
            "--quick" => options.rounds = 3,
            "--json" => options.json = Some(value().into()),
            "--docs" => options.docs = Some(value().into()),
            // What `cargo test --benches` asks: that it works, not how fast it is.
            "--test" => (options.rounds, options.counts) = (1, Counts { busy: 40, idle: 5 }),
            other => panic!("unknown option {other}"),
        }
    }
    modb_net::raise_descriptor_limit(DESCRIPTORS).unwrap();
    let report = run(&options);
    print!("{}", report.table());
    if let Some(file) = &options.json {
        std::fs::write(file, report.json()).unwrap();
    }
    if let Some(folder) = &options.docs {
        report.write_docs(folder).unwrap();
    }
}

fn run(options: &Options) -> Report {
    let load = sys::load();
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        rounds.push(WORKERS.map(|workers| {
            Contender::ALL.map(|contender| measure::round(contender, workers, options.counts))
        }));
    }
    let mut lines = Vec::new();
    for (at, workers) in WORKERS.into_iter().enumerate() {
        for (which, contender) in Contender::ALL.into_iter().enumerate() {
            // With what it is compared with in the same round.
            let found: Vec<(Round, Round)> =
                rounds.iter().filter_map(|round| round[at][which].zip(round[at][0])).collect();
            lines.extend((!found.is_empty()).then(|| line(contender, workers, &found)));
        }
    }
    Report { lines, counts: options.counts, load }
}

fn line(contender: Contender, workers: usize, found: &[(Round, Round)]) -> Line {
    let of = |value: &dyn Fn(&Round) -> f64| {
        median(&found.iter().map(|(round, _)| value(round)).collect::<Vec<_>>())
    };
    let ratios: Vec<f64> = found.iter().map(|(round, first)| round.per_second / first.per_second).collect();
    let switches: Vec<f64> = found.iter().filter_map(|(round, _)| round.switches).collect();
    Line {
        contender,
        workers,
        per_second: of(&|round| round.per_second),
        ratio: median(&ratios),
        min_over_max: of(&|round| round.spread.min_over_max),
        variation: of(&|round| round.spread.variation),
        min_over_max_after_loss: of(&|round| round.spread_after_loss.min_over_max),
        switches: (!switches.is_empty()).then(|| median(&switches)),
    }
}
