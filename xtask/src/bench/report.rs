//! What `bench compare` shows: a table for the terminal and the docs, JSON for machines, HTML with plots.
//!
//! Pure: text out of results. Ratios are against Redis under the same promise, from medians of the same run.

use std::fmt::Write;

use super::load::Load;
use super::results::{Results, Samples, Subject};
use super::servers::Kind;

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

/// A Markdown table, a row per load and server.
pub(crate) fn table(results: &Results) -> String {
    let mut out = String::from(
        "\n| load | server | promise | requests/s | ± % | ratio | CPU µs/request | ratio | p50 ms | p99 ms | max ms | RSS MiB |\n\
         |---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for ((load, subject), samples) in results {
        let rate = median(&samples.requests_per_s);
        let cpu = median(&samples.cpu_us_per_request);
        let (rate_ratio, cpu_ratio) = reference(results, load, subject)
            .map_or((f64::NAN, f64::NAN), |redis| {
                (rate / median(&redis.requests_per_s), cpu / median(&redis.cpu_us_per_request))
            });
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} |",
            load.name(),
            subject.0.name(),
            promise(subject),
            rate,
            spread_percent(&samples.requests_per_s),
            rate_ratio,
            cpu,
            cpu_ratio,
            median(&samples.p50_ms),
            median(&samples.p99_ms),
            median(&samples.max_ms),
            median(&samples.rss_mib),
        );
    }
    out
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

/// One page with a bar chart per load, drawn as SVG; nothing is fetched from anywhere.
pub(crate) fn html(results: &Results) -> String {
    let mut out = String::from(
        "<!doctype html><meta charset=\"utf-8\"><title>Modb beside others</title>\
         <style>body{font:14px sans-serif;max-width:900px;margin:2em auto;color:#222}\
         h2{font-size:15px;margin:1.6em 0 .3em}svg text{font:12px sans-serif}</style>\
         <h1>Modb beside others</h1><p>Requests per second, median of the rounds; the line spans the rounds. \
         To the right: server CPU per request.</p>",
    );
    let mut last = None;
    for (load, _) in results.keys() {
        if last != Some(load) {
            let _ = write!(out, "<h2>{}</h2>{}", load.name(), chart(results, load));
            last = Some(load);
        }
    }
    out
}

/// Bars of one load.
fn chart(results: &Results, load: &Load) -> String {
    const BAR_HEIGHT: usize = 22;
    const LEFT: f64 = 190.0;
    const WIDTH: f64 = 420.0;
    let rows: Vec<_> = results.iter().filter(|((l, _), _)| l == load).collect();
    let highest =
        rows.iter().flat_map(|(_, samples)| samples.requests_per_s.iter().copied()).fold(1.0, f64::max);
    let mut out = format!("<svg width=\"880\" height=\"{}\">", rows.len() * BAR_HEIGHT + 4);
    for (index, ((_, subject), samples)) in rows.iter().enumerate() {
        let y = index * BAR_HEIGHT;
        let rate = median(&samples.requests_per_s);
        let scale = |value: f64| LEFT + value / highest * WIDTH;
        let (low, high) =
            samples.requests_per_s.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
        let colour = if matches!(subject.0, Kind::Modb { .. }) { "#2a7f9e" } else { "#b9b9b9" };
        let _ = write!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{} {}</text>\
             <rect x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"15\" fill=\"{colour}\"/>\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"#222\"/>\
             <text x=\"{}\" y=\"{}\">{:.0}/s, {:.2} µs</text>",
            LEFT - 8.0,
            y + 14,
            subject.0.name(),
            promise(subject),
            y + 3,
            scale(rate) - LEFT,
            scale(low),
            scale(high),
            y + 10,
            y + 10,
            LEFT + WIDTH + 12.0,
            y + 14,
            rate,
            median(&samples.cpu_us_per_request),
        );
    }
    out.push_str("</svg>");
    out
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
}
