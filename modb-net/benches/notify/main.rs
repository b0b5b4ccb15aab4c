//! Wake-ups between two threads: Modb's notifier beside what else there is.
//!
//! `cargo bench -p modb-net --bench notify -- [--quick] [--json FILE] [--docs FOLDER]`, or `cargo xtask bench notify`.
//! All contenders run in turn, round after round, so that what disturbs the machine disturbs all; the medians
//! of the rounds are shown, and what matters are the ratios. A burst takes longest where its threads happen to share a
//! processor, which comes and goes within a run: so peers are compared round by round, in more rounds than the others. System calls of round trips are counted in a run of their own
//! under `strace`, since counting slows them down; writes of bursts by the system, at full speed.

#![allow(clippy::unwrap_used, unreachable_pub)] // A benchmark that cannot measure has nothing better to do.

mod contenders;
mod count;
mod measure;
mod report;
#[path = "../shared/mod.rs"]
mod shared;
mod sys;

use std::path::PathBuf;

use report::{Burst, Report, Trip};
use shared::median;

/// Round trips per round. Many short rounds: a disturbance then spoils one of them, not the median.
const TRIPS: u32 = 1000;
/// Notifies per round of a burst, by all producers together.
const NOTIFIES: u64 = 1_000_000;
/// What writes each time is given this many times fewer: it takes as many times longer for each.
const UNCOALESCED_FEWER: u64 = 5;
const ROUNDS: usize = 9;
/// Of bursts of those that are compared round by round. With nine the ratio of the medians of two equals lay between
/// 0.7 and 1.5.
const PEER_ROUNDS: usize = 41;
const PRODUCERS: [u64; 3] = [1, 2, 4];

struct Options {
    quick: bool,
    json: Option<PathBuf>,
    docs: Option<PathBuf>,
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let mut options = Options { quick: false, json: None, docs: None };
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
        match arg.as_str() {
            "--quick" => options.quick = true,
            "--json" => options.json = Some(value().into()),
            "--docs" => options.docs = Some(value().into()),
            // One contender alone, to be counted.
            "--only-trips" => return measure::only_trips(&value(), value().parse().unwrap()),
            // What `cargo test --benches` asks: that it works, not how fast it is.
            "--test" => {
                options.quick = true;
                return report(&options, &run(&options, [1, 2], 20, 2000));
            }
            other => panic!("unknown option {other}"),
        }
    }
    let report_of = match options.quick {
        true => run(&options, [3, 9], TRIPS, NOTIFIES / 5),
        false => run(&options, [ROUNDS, PEER_ROUNDS], TRIPS, NOTIFIES),
    };
    report(&options, &report_of);
}

fn run(options: &Options, [rounds, peer_rounds]: [usize; 2], trips: u32, notifies: u64) -> Report {
    let contenders = contenders::all();
    let mut trip_rounds = vec![(Vec::new(), Vec::new(), Vec::new()); contenders.len()];
    let mut burst_rounds = vec![vec![(Vec::new(), Vec::new()); PRODUCERS.len()]; contenders.len()];
    for round in 0..peer_rounds {
        eprintln!("round {} of {peer_rounds}", round + 1);
        let for_all = round < rounds;
        for (contender, (same, across, switches)) in
            contenders.iter().zip(&mut trip_rounds).filter(|_| for_all)
        {
            let (took, switched) = measure::trips(contender, [0, 0], trips);
            same.push(took);
            switches.push(switched);
            across.push(measure::trips(contender, [0, 1], trips / 4).0);
        }
        for (contender, bursts) in
            contenders.iter().zip(&mut burst_rounds).filter(|(it, _)| for_all || it.is_peer())
        {
            for (&producers, burst) in PRODUCERS.iter().zip(bursts) {
                let fewer = if contender.coalesces { 1 } else { UNCOALESCED_FEWER };
                let (ns, writes) = measure::burst(contender, producers, notifies / fewer);
                burst.0.push(ns);
                burst.1.extend(writes.map(|writes| (writes * fewer) as f64));
            }
        }
    }
    let count = !options.quick;
    let mut report = Report { trips: Vec::new(), bursts: Vec::new(), notifies };
    for ((contender, (same, across, switches)), bursts) in
        contenders.iter().zip(trip_rounds).zip(burst_rounds)
    {
        eprintln!("counting: {}", contender.name);
        report.trips.push(Trip {
            name: contender.name,
            same_core_us: median(&same),
            across_us: median(&across),
            switches_per_wake: median(&switches),
            calls_per_wake: if count { count::calls_per_wake(contender.name) } else { None },
            descriptors: measure::descriptors(contender),
        });
        report.bursts.push(Burst {
            name: contender.name,
            is_peer: contender.is_peer(),
            writes: bursts.iter().map(|(_, writes)| (!writes.is_empty()).then(|| median(writes))).collect(),
            ns_per_notify: bursts.into_iter().map(|(ns, _)| ns).collect(),
        });
    }
    report
}

fn report(options: &Options, report: &Report) {
    print!("{}", report.table());
    if let Some(file) = &options.json {
        std::fs::write(file, report.json()).unwrap();
    }
    if let Some(folder) = &options.docs {
        report.write_docs(folder).unwrap();
    }
}
