//! `cargo xtask bench cpu`: the processor time that a request takes, beside an earlier commit.
//!
//! SET and GET by redis-benchmark with 50 connections, pipelines 1 and 16, on one worker. Both servers run in pairs, each in
//! turn the first of its pair, so that what the machine does at the time meets both; what counts is the ratio within a pair.
//! Of all ratios the median is shown, and the interval that holds the true one in 95 of 100 runs, by the order of the ratios
//! alone: nothing is assumed of how they are distributed.

use super::load::{Generator, Length, Load, Operation};
use super::report::median;
use super::servers::{Durability, Kind, Running, Setting};
use super::{base, programs};
use crate::failure::Result;
use crate::process;

pub(crate) const USAGE: &str = "cargo xtask bench cpu [--base REV] [--pairs N]";

/// What the upper end of the interval may be.
const BOUND: f64 = 1.03;

const PAIRS: usize = 20;
const KEYS: u32 = 100_000;
const KIND: Kind = Kind::Modb { workers: 1 };

/// Pipeline, and requests per run: about a second.
const LOADS: [(u32, u64); 2] = [(1, 100_000), (16, 800_000)];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut base, mut pairs) = (base::DEFAULT.to_owned(), PAIRS);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
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
    println!(
        "| SET and GET, 50 conn | {base}, µs/request | working tree | ratio | 95 % interval | at most {BOUND} |"
    );
    println!("|---|---:|---:|---:|---:|---|");
    for (pipeline, requests) in LOADS {
        for operation in [Operation::Get, Operation::Set] {
            let load = Load {
                operation,
                value_bytes: 100,
                connections: 50,
                pipeline,
                keys: KEYS,
                length: Length::Requests(requests),
                rate_per_s: 0,
            };
            let mut samples = [const { Vec::new() }; 2];
            for pair in 0..pairs.max(1) {
                for at in [pair % 2, (pair + 1) % 2] {
                    samples[at].push(sample(&Setting::plain(&servers[at]), &load)?);
                }
            }
            let ratios: Vec<f64> = samples[1].iter().zip(&samples[0]).map(|(now, then)| now / then).collect();
            let (low, high) = interval(&ratios);
            println!(
                "| {}, P{pipeline} | {:.3} | {:.3} | {:.3} | {low:.3} to {high:.3} | {} |",
                operation.name(),
                median(&samples[0]),
                median(&samples[1]),
                median(&ratios),
                if high <= BOUND { "kept" } else { "MISSED" },
            );
        }
    }
    Ok(())
}

/// The processor time of the server per request, in microseconds.
fn sample(setting: &Setting<'_>, load: &Load) -> Result<f64> {
    let server = Running::start(KIND, Durability::EverySecond, setting)?;
    Generator::RedisBenchmark.preload(load, KIND, server.port)?;
    let before = server.cpu_ns()?;
    let outcome = Generator::RedisBenchmark.run(load, KIND, server.port)?;
    Ok((server.cpu_ns()? - before) as f64 / outcome.requests / 1000.0)
}

/// Between which of the values the true median lies in at least 95 of 100 cases: each value lies above it as often as below, so
/// how many do is binomial. All of them, if there are too few to say.
fn interval(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    let (mut outside, mut probability, mut tail) = (0, 0.5_f64.powi(count as i32), 0.0);
    while tail + probability <= 0.025 {
        tail += probability;
        probability *= (count - outside) as f64 / (outside + 1) as f64;
        outside += 1;
    }
    let first = outside.saturating_sub(1);
    (sorted[first], sorted[count - 1 - first])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_sign_test() {
        let values = |count: i32| (1..=count).map(f64::from).collect::<Vec<_>>();
        // From the tables of the binomial distribution.
        assert_eq!(interval(&values(20)), (6.0, 15.0));
        assert_eq!(interval(&values(10)), (2.0, 9.0));
        assert_eq!(interval(&values(6)), (1.0, 6.0));
        assert_eq!(interval(&values(3)), (1.0, 3.0), "too few");
    }
}
