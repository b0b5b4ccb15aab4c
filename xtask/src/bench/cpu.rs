//! `cargo xtask bench cpu`: the processor time that a request takes, beside an earlier commit; with `--incr` also the rate of INCR on one
//! key, for which two workers wait for each other.
//!
//! SET and GET by redis-benchmark with 50 connections, pipelines 1 and 16, on one worker. Both servers run in pairs, each in
//! turn the first of its pair, so that what the machine does at the time meets both; what counts is the ratio within a pair.
//! Of all ratios the median is shown, and the interval that holds the true one in 95 of 100 runs, by the order of the ratios
//! alone: nothing is assumed of how they are distributed.

use super::load::{Generator, Length, Load, Operation};
use super::report::{interval, median};
use super::servers::{Durability, Kind, Running, Setting};
use super::{base, programs};
use crate::failure::Result;
use crate::process;

pub(crate) const USAGE: &str = "cargo xtask bench cpu [--incr] [--base REV] [--pairs N]";

/// What the upper end of the interval may be.
const BOUND: f64 = 1.03;

const PAIRS: usize = 20;
const KEYS: u32 = 100_000;

/// Pipeline, and requests per run: about a second.
const LOADS: [(u32, u64); 2] = [(1, 100_000), (16, 800_000)];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut base, mut pairs, mut incr) = (base::DEFAULT.to_owned(), PAIRS, false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--incr" {
            incr = true;
            continue;
        }
        let value = rest.next().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"))?;
        match argument.as_str() {
            "--base" => value.clone_into(&mut base),
            "--pairs" => pairs = value.parse().map_err(|_| format!("--pairs: not a number\n{USAGE}"))?,
            _ => return Err(format!("unknown option: {argument}\n{USAGE}").into()),
        }
    }
    if process::find("redis-benchmark", &[]).is_none() {
        println!("skipped: needs redis-benchmark (Debian: apt-get install redis-tools)");
        return Ok(());
    }
    let servers = [programs::server_of(&base)?, programs::server()?];
    println!("| 50 conn | what | {base} | working tree | ratio | 95 % interval | at most {BOUND} |");
    println!("|---|---|---:|---:|---:|---:|---|");
    let (workers, keys, operations): (_, _, &[_]) = match incr {
        true => (2, 1, &[Operation::Test { name: "incr", collections: 1 }]),
        false => (1, KEYS, &[Operation::Get, Operation::Set]),
    };
    for (pipeline, requests) in LOADS {
        for &operation in operations {
            let load = Load {
                operation,
                value_bytes: 100,
                connections: 50,
                pipeline,
                keys,
                length: Length::Requests(requests),
                rate_per_s: 0,
            };
            let mut samples = [const { Vec::new() }; 2];
            for pair in 0..pairs.max(1) {
                for at in [pair % 2, (pair + 1) % 2] {
                    samples[at].push(sample(&Setting::plain(&servers[at]), workers, &load)?);
                }
            }
            let name = format!("{}, P{pipeline}", operation.name());
            println!("{}", row(&format!("{name} | µs/request"), &samples, |sample| sample.cpu_us));
            if incr {
                // The time of one: what is more is worse, as above.
                println!(
                    "{}",
                    row(&format!("{name} | µs between replies"), &samples, |sample| sample.apart_us)
                );
            }
        }
    }
    Ok(())
}

/// What one run of a load took.
struct Sample {
    /// The processor time of the server per request.
    cpu_us: f64,
    apart_us: f64,
}

fn row(name: &str, samples: &[Vec<Sample>; 2], of: fn(&Sample) -> f64) -> String {
    let [then, now] = samples.each_ref().map(|samples| samples.iter().map(of).collect::<Vec<f64>>());
    let ratios: Vec<f64> = now.iter().zip(&then).map(|(now, then)| now / then).collect();
    let (low, high) = interval(&ratios);
    let verdict = if high <= BOUND { "kept" } else { "MISSED" };
    let [then, now, ratio] = [&then, &now, &ratios].map(|values| median(values));
    format!("| {name} | {then:.3} | {now:.3} | {ratio:.3} | {low:.3} to {high:.3} | {verdict} |")
}

fn sample(setting: &Setting<'_>, workers: usize, load: &Load) -> Result<Sample> {
    let kind = Kind::Modb { workers };
    let server = Running::start(kind, Durability::EverySecond, setting)?;
    Generator::RedisBenchmark.preload(load, kind, server.port)?;
    let before = server.cpu_ns()?;
    let outcome = Generator::RedisBenchmark.run(load, kind, server.port)?;
    let cpu_us = (server.cpu_ns()? - before) as f64 / outcome.requests / 1000.0;
    Ok(Sample { cpu_us, apart_us: 1e6 / outcome.requests_per_s })
}
