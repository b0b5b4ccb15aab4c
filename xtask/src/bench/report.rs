//! What `bench compare` found: the medians, by row, with the circumstances; and every sample, as JSON for machines.
//!
//! Ratios are against Redis under the same promise, from medians of the same run.

use super::load::Load;
use super::programs;
use super::record::Row;
use super::results::{Results, Samples, Subject};
use super::servers::Kind;
use crate::process;

/// The middle of the rounds.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Between which of the values the true median lies in at least 95 of 100 cases: each value lies above it as often as below, so
/// how many do is binomial. All of them, if there are too few to say.
pub(crate) fn interval(values: &[f64]) -> (f64, f64) {
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

/// (maximum - minimum) / median, in percent: how noisy the rounds were.
fn spread_percent(values: &[f64]) -> f64 {
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    (high - low) / median(values) * 100.0
}

fn reference<'a>(results: &'a Results, load: &Load, subject: &Subject) -> Option<&'a Samples> {
    let same = results.get(&(*load, (Kind::Redis, subject.1)));
    same.or_else(|| {
        let any = results.iter().find(|((other, (kind, _)), _)| other == load && *kind == Kind::Redis);
        any.map(|(_, samples)| samples)
    })
}

/// What a reply promises there.
fn promise(subject: &Subject) -> &'static str {
    if subject.0 == Kind::Memcached { "nothing" } else { subject.1.modb_name() }
}

/// For each load and server the ratio of its rate to redis's, round by round: the median and where it lies in 95 of 100 runs.
pub(crate) fn intervals(results: &Results) -> String {
    let mut text = String::new();
    for ((load, subject), samples) in results.iter().filter(|((_, (kind, _)), _)| *kind != Kind::Redis) {
        let Some(redis) = reference(results, load, subject) else { continue };
        let ratios: Vec<f64> = samples
            .requests_per_s
            .iter()
            .zip(&redis.requests_per_s)
            .map(|(own, redis)| own / redis)
            .collect();
        let (low, high) = interval(&ratios);
        let (name, server) = (load.name(), subject.0.name());
        let promise = promise(subject);
        text += &format!(
            "{name}, {server}, {promise}: {:.2} of redis's rate, {low:.2} to {high:.2}\n",
            median(&ratios)
        );
    }
    text
}

/// A row per load and server: the medians of the rounds.
pub(crate) fn rows(results: &Results) -> Vec<Row> {
    let row = |((load, subject), samples): (&(Load, Subject), &Samples)| {
        let rate = median(&samples.requests_per_s);
        let cpu = median(&samples.cpu_us_per_request);
        let (ratio, cpu_ratio) = reference(results, load, subject).map_or((f64::NAN, f64::NAN), |redis| {
            (rate / median(&redis.requests_per_s), cpu / median(&redis.cpu_us_per_request))
        });
        Row {
            load: load.name(),
            server: subject.0.name(),
            promise: promise(subject).to_owned(),
            requests_per_s: rate,
            spread_percent: spread_percent(&samples.requests_per_s),
            ratio,
            cpu_us: cpu,
            cpu_ratio,
            p50_ms: median(&samples.p50_ms),
            p99_ms: median(&samples.p99_ms),
            max_ms: median(&samples.max_ms),
            rss_mib: median(&samples.rss_mib),
        }
    };
    results.iter().map(row).collect()
}

/// What was run, where, when, with what.
pub(crate) fn facts(command: &str) -> Vec<(String, String)> {
    let says = |program: &str, args: &[&str]| process::answer(process::command(program).args(args));
    let versions = [("redis-server", "--version"), ("memcached", "--version"), ("rustc", "--version")];
    let versions: Vec<String> =
        versions.iter().filter_map(|(program, flag)| says(program, &[flag])).collect();
    let facts = [
        ("command", Some(format!("`{command}`"))),
        ("recorded", says("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("commit", programs::commit()),
        ("machine", Some(machine())),
        ("versions", Some(versions.join("; "))),
    ];
    let known =
        facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.trim().to_owned())));
    known.collect()
}

/// Processors and system; nothing that says whose machine it is.
fn machine() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let system = process::answer(process::command("uname").arg("-sr")).unwrap_or_default();
    format!("{cores} cores, {}, {}", model.map_or(std::env::consts::ARCH, |(_, name)| name), system.trim())
}

/// Every sample of every load.
pub(crate) fn json(results: &Results) -> String {
    let rows: Vec<String> = results
        .iter()
        .map(|((load, subject), samples)| {
            format!(
                "{{\"operation\":\"{}\",\"value_bytes\":{},\"connections\":{},\"pipeline\":{},\"server\":\"{}\",\
                 \"durability\":\"{}\",\"requests_per_s\":{},\"cpu_us_per_request\":{},\"p50_ms\":{},\"p99_ms\":{},\
                 \"max_ms\":{}}}",
                load.operation.name(),
                load.value_bytes,
                load.connections,
                load.pipeline,
                subject.0.name(),
                promise(subject),
                numbers(&samples.requests_per_s),
                numbers(&samples.cpu_us_per_request),
                numbers(&samples.p50_ms),
                numbers(&samples.p99_ms),
                numbers(&samples.max_ms),
            )
        })
        .collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}

fn numbers(values: &[f64]) -> String {
    let texts: Vec<String> = values.iter().map(|value| format!("{value:.4}")).collect();
    format!("[{}]", texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

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
