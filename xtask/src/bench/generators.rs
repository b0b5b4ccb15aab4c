//! `cargo xtask bench generators`: `modb-client bench` beside redis-benchmark, in turns against the same server, to show that
//! both report the same and what each costs.
//!
//! Each load is sent by one and at once by the other, the order changing from round to round; what counts is the ratio within
//! such a pair, of which the median over the rounds is shown. The server has one thread, so that on two cores the
//! generator does not take processor time from it: where it must, the cheaper one measures a faster server.
//!
//! They can only agree where the server is what limits: it is busy, and the generator is not. Elsewhere requests wait for the
//! generator's own work, so that the cheaper one reports more, and both are right. Such a row is shown, marked, and not
//! judged.

use super::load::{Generator, Length, Load, Operation};
use super::programs;
use super::report::median;
use super::servers::{Durability, Kind, Running, Setting};
use crate::failure::{Context as _, Result};

pub(crate) const USAGE: &str = "cargo xtask bench generators [--rounds N]";

const KEYS: u32 = 100_000;

/// More than this far from 1, and the two disagree.
const MAX_DEVIATION: f64 = 0.10;

/// A server of one thread that uses less than this part of a core is not what limits.
const MIN_SERVER_BUSY: f64 = 0.85;

/// A generator of one thread that uses more than this part of a core measures itself.
const MAX_OWN_BUSY: f64 = 0.9;

/// What one generator found in one run.
#[derive(Clone, Copy)]
struct Sample {
    requests_per_s: f64,
    p50_ms: f64,
    /// Of the generator itself, per request.
    own_cpu_us: f64,
    /// What part of a core the server used.
    server_busy: f64,
}

impl Sample {
    /// What part of a core the generator used.
    fn own_busy(&self) -> f64 {
        self.own_cpu_us * self.requests_per_s / 1e6
    }
}

/// What both found in one round: redis-benchmark, then ours.
type Pair = [Sample; 2];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let rounds = match arguments {
        [] => 7,
        [option, number] if option == "--rounds" => {
            number.parse().map_err(|_| format!("--rounds {number}: not a number\n{USAGE}"))?
        }
        [first, ..] => return Err(format!("unknown option, or no number after it: {first}\n{USAGE}").into()),
    };
    let (modb_server, modb_client) = (programs::server()?, programs::client()?);
    let setting = Setting::plain(&modb_server);
    let generators = [Generator::RedisBenchmark, Generator::ModbClient(&modb_client)];
    println!(
        "{:<26} {:<16} {:>31} {:>23} {:>31} {:>21}",
        "", "", "requests/s", "p50 ms", "its own CPU us/request", "own/server busy"
    );
    println!(
        "{:<26} {:<16} {:>11} {:>11} {:>7} {:>11} {:>11} {:>11} {:>11} {:>7} {:>10} {:>10}",
        "load",
        "server",
        "redis-b.",
        "modb-c.",
        "ratio",
        "redis-b.",
        "modb-c.",
        "redis-b.",
        "modb-c.",
        "ratio",
        "redis-b.",
        "modb-c."
    );
    // How far from 1 the ratios of the judged rows are.
    let mut deviations: Vec<f64> = Vec::new();
    for kind in [Kind::Redis, Kind::Modb { workers: 1 }] {
        for load in loads() {
            let server = Running::start(kind, Durability::EverySecond, &setting)?;
            generators[1].preload(&load, kind, server.port)?;
            let mut pairs: Vec<Pair> = Vec::new();
            for round in 0..rounds {
                let first = round % 2;
                let one = sample(&generators[first], &load, kind, &server)?;
                let other = sample(&generators[1 - first], &load, kind, &server)?;
                pairs.push(if first == 0 { [one, other] } else { [other, one] });
            }
            deviations.extend(print(&load, kind, &pairs).map(|ratio| (ratio - 1.0).abs()));
        }
    }
    println!(
        "\n*: not judged, the server does not limit: it used less than {MIN_SERVER_BUSY} of a core, or the generator more \
         than {MAX_OWN_BUSY}"
    );
    println!("{}", verdict(&deviations));
    Ok(())
}

/// Rows that are not judged show nothing.
fn verdict(deviations: &[f64]) -> String {
    let Some(worst) = deviations.iter().copied().reduce(f64::max) else {
        return "no row could be judged: nothing is shown".into();
    };
    let word = if worst <= MAX_DEVIATION { "within" } else { "NOT within" };
    format!("requests/s differ by at most {:.1} %: {word} {:.0} %", worst * 100.0, MAX_DEVIATION * 100.0)
}

fn loads() -> impl Iterator<Item = Load> {
    let shapes = [(1, 1, 60_000), (50, 1, 200_000), (50, 16, 1_200_000)];
    [Operation::Set, Operation::Get].into_iter().flat_map(move |operation| {
        shapes.into_iter().map(move |(connections, pipeline, requests)| Load {
            operation,
            value_bytes: 100,
            connections,
            pipeline,
            keys: KEYS,
            length: Length::Requests(requests),
            rate_per_s: 0,
        })
    })
}

fn sample(generator: &Generator<'_>, load: &Load, kind: Kind, server: &Running) -> Result<Sample> {
    let (before_s, server_before_ns) = (children_cpu_s()?, server.cpu_ns()?);
    let outcome = generator.run(load, kind, server.port)?;
    let (own_s, server_ns) = (children_cpu_s()? - before_s, server.cpu_ns()? - server_before_ns);
    let server_busy = server_ns as f64 / 1e9 / (outcome.requests / outcome.requests_per_s);
    Ok(Sample {
        requests_per_s: outcome.requests_per_s,
        p50_ms: outcome.p50_ms,
        own_cpu_us: own_s * 1e6 / outcome.requests,
        server_busy,
    })
}

/// Prints a row; the ratio of ours to redis-benchmark's requests per second, if the server limited both.
fn print(load: &Load, kind: Kind, pairs: &[Pair]) -> Option<f64> {
    let over_rounds = |value: &dyn Fn(&Pair) -> f64| median(&pairs.iter().map(value).collect::<Vec<_>>());
    let of = |which: usize, value: fn(&Sample) -> f64| over_rounds(&|pair| value(&pair[which]));
    let ratio = |value: fn(&Sample) -> f64| over_rounds(&|pair| value(&pair[1]) / value(&pair[0]));
    let rate: fn(&Sample) -> f64 = |sample| sample.requests_per_s;
    let p50: fn(&Sample) -> f64 = |sample| sample.p50_ms;
    let cpu: fn(&Sample) -> f64 = |sample| sample.own_cpu_us;
    let busy = [0, 1].map(|which| (of(which, Sample::own_busy), of(which, |sample| sample.server_busy)));
    let judged = busy.iter().all(|(own, server)| *own <= MAX_OWN_BUSY && *server >= MIN_SERVER_BUSY);
    let [theirs, ours] = busy.map(|(own, server)| format!("{own:.2}/{server:.2}"));
    println!(
        "{:<26} {:<16} {:>11.0} {:>11.0} {:>7.2} {:>11.3} {:>11.3} {:>11.2} {:>11.2} {:>7.2} {:>10} {:>10}{}",
        load.name(),
        kind.name(),
        of(0, rate),
        of(1, rate),
        ratio(rate),
        of(0, p50),
        of(1, p50),
        of(0, cpu),
        of(1, cpu),
        ratio(cpu),
        theirs,
        ours,
        if judged { "" } else { " *" },
    );
    judged.then(|| ratio(rate))
}

/// Processor time of all children that were waited for, in seconds. In ticks of 10 ms: a run takes about two hundred.
fn children_cpu_s() -> Result<f64> {
    /// `sysconf(_SC_CLK_TCK)`: 100 on every Linux.
    const TICKS_PER_SECOND: f64 = 100.0;
    let path = "/proc/self/stat";
    let stat = std::fs::read_to_string(path).context(path)?;
    // The name in brackets may hold spaces; cutime and cstime are the 14th and 15th field after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().skip(13).take(2);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    match ticks[..] {
        [user, system] => Ok((user + system) / TICKS_PER_SECOND),
        _ => Err(format!("{path} has another form").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::verdict;

    #[test]
    fn the_worst_row_decides_and_none_decides_nothing() {
        assert_eq!(verdict(&[0.02, 0.08]), "requests/s differ by at most 8.0 %: within 10 %");
        assert_eq!(verdict(&[0.11, 0.02]), "requests/s differ by at most 11.0 %: NOT within 10 %");
        assert!(!verdict(&[]).contains("within"));
    }
}
