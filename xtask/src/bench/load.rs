//! The load: what is sent, and what came out of it.
//!
//! The generator is `modb-client bench`, the same for every server, memcached included; or `redis-benchmark`,
//! for whoever does not want to take our word for it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::servers::{Kind, on_core};
use crate::failure::Result;
use crate::process;

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Set,
    Get,
    /// 90 % GET, 10 % SET.
    Mixed,
    /// A test of redis-benchmark's, on so many lists, sets and so on.
    Test {
        name: &'static str,
        collections: u32,
    },
}

impl Operation {
    /// Those on strings.
    pub(crate) const ALL: [Self; 3] = [Self::Set, Self::Get, Self::Mixed];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Set => "SET".into(),
            Self::Get => "GET".into(),
            Self::Mixed => "90/10".into(),
            Self::Test { name, collections: 1 } => name.to_uppercase(),
            Self::Test { name, collections } => format!("{} over {collections} keys", name.to_uppercase()),
        }
    }

    /// What tells `modb-client bench` of it.
    fn arguments(self) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        match self {
            Self::Set => words(&["--read-ratio", "0"]),
            Self::Get => words(&["--read-ratio", "1"]),
            Self::Mixed => words(&["--read-ratio", "0.9"]),
            Self::Test { name, collections } => {
                words(&["-t", name, "--collections", &collections.to_string()])
            }
        }
    }
}

/// One measured load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Load {
    pub(crate) operation: Operation,
    pub(crate) value_bytes: u32,
    pub(crate) connections: u32,
    pub(crate) pipeline: u32,
    /// Keys are drawn evenly from this many.
    pub(crate) keys: u32,
    pub(crate) length: Length,
    /// Requests are due at fixed times, so many per second, whatever the server does; 0: each connection sends when
    /// its last replies are in.
    pub(crate) rate_per_s: u64,
}

impl Load {
    /// As tables show it.
    pub(crate) fn name(&self) -> String {
        let Self { operation, value_bytes, connections, pipeline, .. } = self;
        let mut name = format!("{} {value_bytes} B, {connections} conn, P{pipeline}", operation.name());
        if let Length::Seconds(seconds) = self.length {
            let _ = write!(name, ", {seconds} s");
        }
        if self.rate_per_s > 0 {
            let _ = write!(name, ", {}/s due", self.rate_per_s);
        }
        name
    }
}

/// How long a load goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Length {
    Requests(u64),
    Seconds(u32),
}

/// What one run of a load gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) requests: f64,
    pub(crate) requests_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// What sends the load.
pub(crate) enum Generator<'a> {
    /// The path of `modb-client`.
    ModbClient(&'a Path),
    RedisBenchmark,
}

impl Generator<'_> {
    /// Whether it can make this load at all.
    pub(crate) fn can(&self, kind: Kind, load: &Load) -> bool {
        match self {
            Self::ModbClient(_) => true,
            Self::RedisBenchmark => {
                let closed = matches!(load.length, Length::Requests(_)) && load.rate_per_s == 0;
                let known = matches!(load.operation, Operation::Set | Operation::Get);
                !matches!(kind, Kind::Memcached | Kind::Bare) && known && closed
            }
        }
    }

    /// Stores every key once, or what a test reads or takes.
    pub(crate) fn preload(&self, load: &Load, kind: Kind, port: u16) -> Result<()> {
        if let (Operation::Test { .. }, Self::ModbClient(program)) = (load.operation, self) {
            let load = Load { length: Length::Requests(1), ..*load };
            return modb_client(program, &load, kind, port, &["--preload"]).map(drop);
        }
        let load = Load { operation: Operation::Set, connections: 50, pipeline: 16, ..*load };
        // Drawing at random leaves few keys out (e⁻⁵: one in 150).
        let load = Load { length: Length::Requests(u64::from(load.keys) * 5), rate_per_s: 0, ..load };
        self.run(&load, kind, port).map(drop)
    }

    /// Sends `load` and waits for its end.
    pub(crate) fn run(&self, load: &Load, kind: Kind, port: u16) -> Result<Outcome> {
        match self {
            Self::ModbClient(program) => modb_client(program, load, kind, port, &[]),
            Self::RedisBenchmark => redis_benchmark(load, port),
        }
    }
}

fn modb_client(program: &Path, load: &Load, kind: Kind, port: u16, more: &[&str]) -> Result<Outcome> {
    let protocol = if kind == Kind::Memcached { "memcached" } else { "resp" };
    let length = match load.length {
        Length::Requests(n) => ["--requests".to_owned(), n.to_string()],
        Length::Seconds(s) => ["--duration".to_owned(), s.to_string()],
    };
    let rate = (load.rate_per_s > 0).then(|| ["--rate".to_owned(), load.rate_per_s.to_string()]);
    let text = output(
        process::command(program)
            .args(["bench", "--quiet", "--json", "-", "--protocol", protocol])
            .args(["-h", "127.0.0.1", "-p", &port.to_string()])
            .args(["-c", &load.connections.to_string(), "-P", &load.pipeline.to_string()])
            .args(["-d", &load.value_bytes.to_string(), "--keys", &load.keys.to_string()])
            .args(length)
            .args(rate.into_iter().flatten())
            .args(["--timeout", "60"])
            .args(load.operation.arguments())
            .args(more),
    )?;
    let field = |name: &str| {
        number_in(&text, name).ok_or_else(|| format!("modb-client bench told no {name}: {text}"))
    };
    Ok(Outcome {
        requests: field("requests")?,
        requests_per_s: field("requests_per_s")?,
        p50_ms: field("p50_us")? / 1000.0,
        p99_ms: field("p99_us")? / 1000.0,
        max_ms: field("max_us")? / 1000.0,
    })
}

/// The number behind `"name":` in a flat JSON object.
fn number_in(json: &str, name: &str) -> Option<f64> {
    let (_, rest) = json.split_once(&format!("\"{name}\":"))?;
    rest.split([',', '}', '\n']).next()?.trim().parse().ok()
}

/// Sends PING by redis-benchmark, from one core if one is named.
pub(crate) fn ping(
    core: Option<usize>,
    port: u16,
    connections: u32,
    pipeline: u32,
    requests: u64,
) -> Result<Outcome> {
    let text = output(
        on_core(core, Path::new("redis-benchmark"))
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "--csv", "-t", "ping_mbulk"])
            .args(["-c", &connections.to_string(), "-P", &pipeline.to_string(), "-n", &requests.to_string()]),
    )?;
    parse_csv(&text, requests).ok_or_else(|| format!("redis-benchmark said {text:?}").into())
}

fn redis_benchmark(load: &Load, port: u16) -> Result<Outcome> {
    let Length::Requests(requests) = load.length else {
        return Err("redis-benchmark counts requests, not seconds".into());
    };
    let text = output(
        process::command("redis-benchmark")
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "--csv"])
            .args(["-t", &load.operation.name().to_lowercase()])
            .args(["-c", &load.connections.to_string(), "-P", &load.pipeline.to_string()])
            .args(["-d", &load.value_bytes.to_string(), "-r", &load.keys.to_string()])
            .args(["-n", &requests.to_string()]),
    )?;
    parse_csv(&text, requests).ok_or_else(|| format!("redis-benchmark said {text:?}").into())
}

fn output(command: &mut Command) -> Result<String> {
    process::run_quietly(command).map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads the last row of `"test","rps","avg_latency_ms","min","p50","p95","p99","max"`.
fn parse_csv(text: &str, requests: u64) -> Option<Outcome> {
    let row = text.lines().rev().find(|line| !line.trim().is_empty())?;
    let fields: Vec<f64> =
        row.split(',').skip(1).filter_map(|field| field.trim().trim_matches('"').parse().ok()).collect();
    match fields[..] {
        [requests_per_s, _avg, _min, p50_ms, _p95, p99_ms, max_ms] => {
            Some(Outcome { requests: requests as f64, requests_per_s, p50_ms, p99_ms, max_ms })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_last_row_of_the_csv() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
                    \"p99_latency_ms\",\"max_latency_ms\"\n\"GET\",\"100000.5\",\"0.2\",\"0.1\",\"0.15\",\"0.3\",\"0.4\",\"2.5\"\n";
        let outcome = parse_csv(text, 5).expect("the row is whole");
        assert_eq!(outcome.requests_per_s, 100_000.5);
        assert_eq!(outcome.max_ms, 2.5);
        assert!(parse_csv("", 5).is_none());
        assert!(parse_csv("\"GET\",\"nan\"", 5).is_none());
    }

    #[test]
    fn reads_numbers_by_name() {
        let json = "{\n  \"requests_per_s\": 143432,\n  \"p50_us\": 4452.351,\n  \"rate\": null}";
        assert_eq!(number_in(json, "requests_per_s"), Some(143_432.0));
        assert_eq!(number_in(json, "p50_us"), Some(4452.351));
        assert_eq!(number_in(json, "rate"), None);
        assert_eq!(number_in(json, "p99_us"), None);
    }
}
