//! `cargo xtask bench compare`: Modb beside redis-server (append-only file on) and memcached, on this machine.
//!
//! One server runs at a time. Rounds alternate between the servers, so that a machine whose speed drifts
//! drifts for all of them; each figure is the median of its rounds, and what counts is the ratio within one
//! run. Processor time per request stands beside throughput: it does not depend on what the load generator,
//! which shares the cores, leaves over.

use std::path::PathBuf;
use std::str::FromStr;

use super::load::{Generator, Length, Load, Operation, Outcome};
use super::record::{self, Record};
use super::results::{Results, Samples, Subject};
use super::servers::{Durability, Kind, Running, Setting, SlowDisk};
use super::{page, programs, report, types};
use crate::failure::{Context as _, Result};

pub(crate) const USAGE: &str =
    "cargo xtask bench compare [--quick] [--rounds N] [--workers N,N] [--durability MODE,MODE]
    [--only SET|GET|90/10] [--connections N,N] [--pipelines N,N] [--value-bytes N,N] [--sustained SECONDS] [--paced] [--memcached]
    [--types] [--keys N,N] [--sync-delay-ms N] [--redis-benchmark] [--record NAME] [--json FILE] [--html FILE]
    [-- OPTIONS FOR modb-server]

--types: redis-benchmark's tests instead, each on one key and over many (--keys: on so many); --quick: a tenth of each.
--record: writes docs/performance/NAME.md, of which cargo xtask bench pages makes the README's table and chart.
--sustained: one load instead, SET at pipeline 16 for so long over a million keys; its longest wait is the longest stall.
--paced: one load instead, GET at 70 % of the rate that redis reaches, requests due at fixed times.";

/// Keys that a load draws from: as many as redis-benchmark users choose, unless their values are large.
const KEYS: u32 = 100_000;

/// The most that all values of a load take, in bytes: every server's memory has room for them.
const MAX_DATA_BYTES: u32 = 64 << 20;

/// The most that one load writes or reads, in bytes: a second or two of a disk like these.
const MAX_LOAD_BYTES: u64 = 400 << 20;

/// Keys of the sustained load: more than Modb keeps unflushed, so that flushes and compactions run under it.
const SUSTAINED_KEYS: u32 = 1_000_000;

struct Options {
    quick: bool,
    rounds: usize,
    workers: Vec<usize>,
    durabilities: Vec<Durability>,
    only: Option<Operation>,
    connections: Option<Vec<u32>>,
    pipelines: Option<Vec<u32>>,
    value_bytes: Option<Vec<u32>>,
    /// Of `types`.
    keys: Vec<u32>,
    sustained_s: Option<u32>,
    paced: bool,
    types: bool,
    memcached: bool,
    redis_benchmark: bool,
    sync_delay_ms: u32,
    record: Option<String>,
    json: Option<PathBuf>,
    html: Option<PathBuf>,
    server_options: Vec<String>,
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = parse(arguments)?;
    let modb_server = programs::server()?;
    let modb_client = programs::client()?;
    let generator = match options.redis_benchmark {
        true => Generator::RedisBenchmark,
        false => Generator::ModbClient(&modb_client),
    };
    let slow_disk = match options.sync_delay_ms {
        0 => None,
        delay => Some(SlowDisk::build(delay)?),
    };
    let setting = Setting {
        modb_options: &options.server_options,
        slow_disk: slow_disk.as_ref(),
        ..Setting::plain(&modb_server)
    };
    let subjects = subjects(&options);
    let loads = match (options.sustained_s, options.paced) {
        (Some(seconds), _) => {
            let length = Length::Seconds(seconds);
            let value_bytes = options.value_bytes.as_ref().and_then(|sizes| sizes.first()).copied();
            let load = plain(Operation::Set, 50, 16, value_bytes.unwrap_or(100));
            vec![Load { length, keys: SUSTAINED_KEYS, ..load }]
        }
        (None, true) => vec![paced(&generator, &setting)?],
        (None, false) if options.types => types::loads(&options.keys, options.quick).collect(),
        (None, false) => loads(&options),
    };
    println!("{} loads on {} subjects, {} rounds", loads.len(), subjects.len(), options.rounds);

    let mut results = Results::new();
    for round in 1..=options.rounds {
        for &(kind, durability) in &subjects {
            println!("round {round}/{}: {} {}", options.rounds, kind.name(), durability.modb_name());
            let server = Running::start(kind, durability, &setting)?;
            // The value size of the keys that are all there.
            let mut loaded = None;
            for load in loads.iter().filter(|load| generator.can(kind, load)) {
                if let Operation::Test { .. } = load.operation {
                    generator.preload(load, kind, server.port)?;
                } else if load.operation == Operation::Set {
                    loaded = None;
                } else if loaded.replace(load.value_bytes) != Some(load.value_bytes) {
                    generator.preload(load, kind, server.port)?;
                }
                let samples = results.entry((*load, (kind, durability))).or_default();
                measure(&generator, &server, load, (kind, durability), samples)?;
            }
        }
    }
    let command = format!("cargo xtask bench compare {}", arguments.join(" "));
    let mut record =
        Record { title: command.clone(), facts: report::facts(&command), rows: report::rows(&results) };
    print!("\n{}\n{}", record::table(&record.rows), report::intervals(&results));
    if let Some(name) = &options.record {
        let path = super::pages::folder().join(name).with_extension("md");
        // What it is called is a matter of whoever reads it: the title stays.
        if let Some(title) = std::fs::read_to_string(&path).ok().and_then(|old| Record::read(&old).ok()) {
            record.title = title.title;
        }
        std::fs::write(&path, record.markdown()).context(format_args!("{}", path.display()))?;
    }
    if let Some(path) = &options.json {
        std::fs::write(path, report::json(&results)).context(format_args!("{}", path.display()))?;
    }
    if let Some(path) = &options.html {
        std::fs::write(path, page::html(&record)).context(format_args!("{}", path.display()))?;
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        quick: false,
        rounds: 3,
        workers: vec![1, 2],
        durabilities: vec![Durability::EverySecond],
        only: None,
        connections: None,
        pipelines: None,
        value_bytes: None,
        keys: vec![1, types::MANY_KEYS],
        sustained_s: None,
        paced: false,
        types: false,
        memcached: false,
        redis_benchmark: false,
        sync_delay_ms: 0,
        record: None,
        json: None,
        html: None,
        server_options: Vec::new(),
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"));
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--rounds" => options.rounds = number::<usize>(value()?)?.max(1),
            "--workers" => options.workers = numbers(value()?)?,
            "--durability" => {
                options.durabilities = value()?.split(',').map(durability).collect::<Result<_>>()?;
            }
            "--only" => {
                let name = value()?;
                let known = Operation::ALL.into_iter().find(|op| op.name().eq_ignore_ascii_case(name));
                options.only =
                    Some(known.ok_or_else(|| format!("--only {name}: SET, GET or 90/10\n{USAGE}"))?);
            }
            "--connections" => options.connections = Some(numbers(value()?)?),
            "--pipelines" => options.pipelines = Some(numbers(value()?)?),
            "--value-bytes" => options.value_bytes = Some(numbers(value()?)?),
            "--sustained" => options.sustained_s = Some(number(value()?)?),
            "--paced" => options.paced = true,
            "--types" => options.types = true,
            "--keys" => options.keys = numbers(value()?)?,
            "--memcached" => options.memcached = true,
            "--redis-benchmark" => options.redis_benchmark = true,
            "--sync-delay-ms" => options.sync_delay_ms = number(value()?)?,
            "--record" => options.record = Some(value()?.clone()),
            "--json" => options.json = Some(PathBuf::from(value()?)),
            "--html" => options.html = Some(PathBuf::from(value()?)),
            "--" => {
                options.server_options = rest.cloned().collect();
                break;
            }
            other => return Err(format!("unknown option {other}\n{USAGE}").into()),
        }
    }
    Ok(options)
}

fn number<N: FromStr>(text: &str) -> Result<N> {
    text.trim().parse().map_err(|_| format!("{text:?} is not a number\n{USAGE}").into())
}

fn numbers<N: FromStr>(text: &str) -> Result<Vec<N>> {
    text.split(',').map(number).collect()
}

fn durability(text: &str) -> Result<Durability> {
    let known = Durability::ALL.into_iter().find(|durability| durability.modb_name() == text);
    known.ok_or_else(|| format!("--durability {text}: always, everysec or os\n{USAGE}").into())
}

/// Modb with each number of workers beside Redis, under each promise; memcached promises nothing.
fn subjects(options: &Options) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for &durability in &options.durabilities {
        subjects.extend(options.workers.iter().map(|&workers| (Kind::Modb { workers }, durability)));
        subjects.push((Kind::Redis, durability));
    }
    if options.memcached {
        subjects.push((Kind::Memcached, Durability::Os));
    }
    subjects
}

/// The loads of a run: the baseline (50 connections, 100 B, pipelines 1, 16, 100), or the whole matrix.
fn loads(options: &Options) -> Vec<Load> {
    let default: &[u32] = if options.quick { &[50] } else { &[1, 50, 500] };
    let connections = options.connections.as_deref().unwrap_or(default);
    let default: &[u32] = if options.quick { &[100] } else { &[100, 4096] };
    let value_sizes = options.value_bytes.as_deref().unwrap_or(default);
    let pipelines = options.pipelines.as_deref().unwrap_or(&[1, 16, 100]);
    let mut loads = Vec::new();
    for operation in Operation::ALL {
        let left_out = options.quick && operation == Operation::Mixed;
        if options.only.map_or(left_out, |only| only != operation) {
            continue;
        }
        for &value_bytes in value_sizes {
            for &connections in connections {
                for &pipeline in pipelines {
                    loads.push(plain(operation, connections, pipeline, value_bytes));
                }
            }
        }
    }
    loads
}

/// A load of about two seconds, as fast as it goes.
fn plain(operation: Operation, connections: u32, pipeline: u32, value_bytes: u32) -> Load {
    let length = Length::Requests(requests_for(connections, pipeline, value_bytes));
    let keys = KEYS.min(MAX_DATA_BYTES / value_bytes.max(1));
    Load { operation, connections, pipeline, value_bytes, keys, length, rate_per_s: 0 }
}

/// GET at 70 % of the rate that redis reaches now, long enough for its last percent.
fn paced(generator: &Generator<'_>, setting: &Setting<'_>) -> Result<Load> {
    let fastest = Load { length: Length::Seconds(3), ..plain(Operation::Get, 50, 1, 100) };
    let server = Running::start(Kind::Redis, Durability::EverySecond, setting)?;
    generator.preload(&fastest, Kind::Redis, server.port)?;
    let reached = generator.run(&fastest, Kind::Redis, server.port)?.requests_per_s;
    println!("redis reaches {reached:.0} GET/s, 70 % of it are due");
    Ok(Load { length: Length::Seconds(10), rate_per_s: (reached * 0.7) as u64, ..fastest })
}

/// About two seconds of a server like these: enough for a steady figure, short enough for many rounds.
fn requests_for(connections: u32, pipeline: u32, value_bytes: u32) -> u64 {
    let per_second = match (connections, pipeline) {
        (1, 1) => 20_000,
        (1, 16) => 200_000,
        (_, 1) => 100_000,
        (_, 16) => 700_000,
        _ => 1_000_000,
    };
    (2 * per_second).min(MAX_LOAD_BYTES / u64::from(value_bytes.max(1)))
}

fn measure(
    generator: &Generator<'_>,
    server: &Running,
    load: &Load,
    (kind, durability): Subject,
    samples: &mut Samples,
) -> Result<()> {
    let mut load = *load;
    if durability == Durability::Always
        && load.operation == Operation::Set
        && load.pipeline == 1
        && let Length::Requests(requests) = &mut load.length
    {
        *requests /= 4; // each waits for the disk
    }
    let cpu_before_ns = server.cpu_ns()?;
    let Outcome { requests, requests_per_s, p50_ms, p99_ms, max_ms } =
        generator.run(&load, kind, server.port)?;
    let cpu_ns = server.cpu_ns()? - cpu_before_ns;
    samples.requests_per_s.push(requests_per_s);
    samples.cpu_us_per_request.push(cpu_ns as f64 / 1000.0 / requests);
    samples.p50_ms.push(p50_ms);
    samples.p99_ms.push(p99_ms);
    samples.max_ms.push(max_ms);
    samples.rss_mib.push(server.rss_bytes()? as f64 / f64::from(1 << 20));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn the_quick_run_is_the_baseline_and_the_full_one_the_matrix() {
        let quick = parse(&words("--quick --only SET")).expect("valid");
        assert_eq!(loads(&quick).len(), 3);
        let full = parse(&[]).expect("valid");
        assert_eq!(loads(&full).len(), 3 * 2 * 3 * 3);
        let narrowed = parse(&words("--connections 1 --value-bytes 4096")).expect("valid");
        assert_eq!(loads(&narrowed).len(), 3 * 3);
        let one =
            parse(&words("--only GET --connections 1 --pipelines 1 --value-bytes 4096")).expect("valid");
        assert_eq!(loads(&one), [plain(Operation::Get, 1, 1, 4096)]);
    }

    #[test]
    fn a_wrong_option_is_named() {
        for wrong in [
            "--rounds x",
            "--connections 1,b",
            "--pipelines 1,b",
            "--value-bytes 1,b",
            "--sustained x",
            "--durability never",
            "--only DEL",
            "--workers 1,a",
            "--nonsense",
            "--json",
        ] {
            let message = parse(&words(wrong)).err().expect("refused").to_string();
            assert!(message.contains("cargo xtask bench compare"), "{message}");
        }
    }
}
