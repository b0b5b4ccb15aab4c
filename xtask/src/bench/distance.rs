//! `cargo xtask bench distance`: how far Modb is from a readiness loop that does nothing but `recv` and `send`.
//!
//! PING with 50 connections from redis-benchmark, against the bare loop (`modb-net/benches/bare`), Modb and redis in turns. What
//! counts is the server's processor time per request, as a ratio to the bare loop's in the same round: the kernel's part
//! is in all of them alike, so what is above 1 is the server's own.
//!
//! Server and generator share one core, unless told `--apart`. Apart, the generator is the slower of the two, and the less a
//! server has to do, the sooner it has nothing to do, and pays for falling asleep: the quicker one then takes more time per
//! request. On one core they take turns. How often it slept is shown all the same.

use super::report::median;
use super::rounds::{Ratios, in_turns};
use super::servers::{Durability, Kind, Running, Setting};
use super::{load, programs};
use crate::failure::Result;
use crate::process;

pub(crate) const USAGE: &str = "cargo xtask bench distance [--rounds N] [--workers N,N] [--apart]";

const CONNECTIONS: u32 = 50;

/// Pipeline, and requests per run: a second or two each.
const LOADS: [(u32, u64); 2] = [(1, 200_000), (16, 3_200_000)];

/// One run.
#[derive(Clone, Copy)]
struct Sample {
    cpu_us: f64,
    requests_per_s: f64,
    sleeps_per_1000: f64,
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut rounds, mut workers, mut core) = (9, vec![1], Some(1));
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--apart" {
            core = None;
            continue;
        }
        let value = rest.next().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"))?;
        let numbers: Option<Vec<usize>> = value.split(',').map(|number| number.parse().ok()).collect();
        match (argument.as_str(), numbers.as_deref()) {
            ("--rounds", Some(&[number])) => rounds = number.max(1),
            ("--workers", Some(numbers)) => workers = numbers.to_vec(),
            _ => return Err(format!("unknown option, or no number after it: {argument}\n{USAGE}").into()),
        }
    }
    let (modb_server, bare_loop) = (programs::server()?, programs::of_the_layer("bare")?);
    let setting = Setting { bare_loop: Some(&bare_loop), core, ..Setting::plain(&modb_server) };
    let mut kinds = vec![Kind::Bare];
    kinds.extend(workers.iter().map(|&workers| Kind::Modb { workers }));
    if process::find("redis-server", &[]).is_some() {
        kinds.push(Kind::Redis);
    } else {
        println!("without redis: it is not installed (Debian: apt-get install redis-server)");
    }
    println!(
        "| PING, {CONNECTIONS} conn | server | CPU µs/request | ratio | quartiles | requests/s | sleeps/1000 requests |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|");
    for (pipeline, requests) in LOADS {
        let samples = in_turns(&kinds, rounds, |kind| sample(kind, &setting, pipeline, requests))?;
        let cpu_us = |samples: &[Sample]| samples.iter().map(|sample| sample.cpu_us).collect::<Vec<_>>();
        for (kind, own) in kinds.iter().zip(&samples) {
            let of = |value: fn(&Sample) -> f64| median(&own.iter().map(value).collect::<Vec<_>>());
            let ratios = Ratios::of(&cpu_us(own), &cpu_us(&samples[0]));
            println!(
                "| P{pipeline} | {} | {:.3} | {ratios} | {:.0} | {:.0} |",
                kind.name(),
                of(|sample| sample.cpu_us),
                of(|sample| sample.requests_per_s),
                of(|sample| sample.sleeps_per_1000)
            );
        }
    }
    Ok(())
}

fn sample(kind: Kind, setting: &Setting<'_>, pipeline: u32, requests: u64) -> Result<Sample> {
    let server = Running::start(kind, Durability::EverySecond, setting)?;
    // The first requests meet cold caches and empty pools.
    load::ping(setting.core, server.port, CONNECTIONS, pipeline, requests / 10)?;
    let (cpu_before_ns, sleeps_before) = (server.cpu_ns()?, server.sleeps()?);
    let outcome = load::ping(setting.core, server.port, CONNECTIONS, pipeline, requests)?;
    let per_request = |count: u64| count as f64 / requests as f64;
    Ok(Sample {
        cpu_us: per_request(server.cpu_ns()? - cpu_before_ns) / 1000.0,
        requests_per_s: outcome.requests_per_s,
        sleeps_per_1000: per_request(server.sleeps()? - sleeps_before) * 1000.0,
    })
}
