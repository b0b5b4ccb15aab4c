//! The result, for people and as JSON. Pure.

use modb_client::terminal::text::wrap;

use super::histogram;
use super::keys::Distribution;
use super::options::{Options, Work};
use super::progress::Timeline;
use super::tally::Tally;
use super::text::{Look, grouped, latency, sparkline};

/// The latencies that are told.
const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

/// Characters of each.
const QUANTILE_WIDTH: usize = 10;
/// Where figures begin, and the room that they have at least.
const FACTS_AT: usize = 14;
const MIN_COLUMNS: usize = 20;

/// A run that has ended.
pub(super) struct Report<'a> {
    pub(super) options: &'a Options,
    pub(super) tally: &'a Tally,
    pub(super) timeline: &'a Timeline,
}

impl Report<'_> {
    /// For people, as wide as `look` says.
    pub(super) fn text(&self, look: Look) -> String {
        let Self { tally, .. } = self;
        let mut text = wrap(&self.describe(&self.load()), look.columns).join("\n");
        text.push_str("\n\n");
        let room = Look { columns: look.columns.saturating_sub(FACTS_AT).max(MIN_COLUMNS), ..look };
        let mut line = |name: &str, value: String| {
            for (number, value) in wrap(&value, room.columns).iter().enumerate() {
                let name = if number == 0 { name } else { "" };
                text.push_str(&format!("  {name:<12}{value}\n"));
            }
        };
        let seconds = tally.elapsed.as_secs_f64();
        line("requests", format!("{} in {seconds:.2} s", grouped(tally.requests)));
        line("throughput", format!("{} requests/s", grouped(tally.requests_per_s().round() as u64)));
        let rates = self.timeline.rates();
        if rates.len() > 1 {
            let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
            let most = rates.iter().copied().fold(0.0, f64::max);
            line("", sparkline(&rates, room));
            line("", format!("from {} to {} requests/s", grouped(least as u64), grouped(most as u64)));
        }
        let cores = tally.cpu.as_secs_f64() / seconds.max(1e-9) * 100.0;
        let cpu = latency(tally.cpu_us_per_request(), look.charset);
        line("client", format!("{cpu} of CPU per request, {cores:.0} % of a core"));
        for (name, what) in self.troubles() {
            line(name, what);
        }
        if tally.requests > 0 {
            text.push_str(&self.latencies(look));
        }
        text
    }

    /// What went wrong.
    pub(super) fn troubles(&self) -> Vec<(&'static str, String)> {
        let Self { tally, .. } = self;
        let because = |reason: &Option<String>, none: &str| reason.as_deref().unwrap_or(none).to_owned();
        let mut troubles = Vec::new();
        let mut add = |count: u64, name, what: String| {
            if count > 0 {
                troubles.push((name, format!("{}{what}", grouped(count))));
            }
        };
        add(tally.errors, "errors", format!(": {}", because(&tally.error, "no text")));
        add(tally.lost_connections, "lost", format!(" connections: {}", because(&tally.loss, "no reason")));
        add(tally.unanswered, "unanswered", " requests".to_owned());
        add(tally.unsent, "behind", " requests were due and never sent".to_owned());
        troubles
    }

    fn latencies(&self, look: Look) -> String {
        let since = if self.options.requests_per_s.is_some() { "each was due" } else { "it was sent" };
        let mut text = format!("\n  latency of a request, from when {since}\n");
        let fitting = (look.columns.saturating_sub(2) / QUANTILE_WIDTH).max(1);
        // As many in each row as in the others.
        let per_row = QUANTILES.len().div_ceil(QUANTILES.len().div_ceil(fitting));
        for row in QUANTILES.chunks(per_row) {
            let names: String = row.iter().map(|(name, _)| format!("{name:>QUANTILE_WIDTH$}")).collect();
            let told = |quantile| latency(self.tally.latency_us(quantile), look.charset);
            let values: String =
                row.iter().map(|(_, quantile)| format!("{:>QUANTILE_WIDTH$}", told(*quantile))).collect();
            text.push_str(&format!("\n  {names}\n  {values}\n"));
        }
        text.push('\n');
        text.push_str(&histogram::draw(&self.tally.latencies_ns, look));
        text
    }

    /// What was sent, how.
    pub(super) fn describe(&self, what: &str) -> String {
        let Options { connections, pipeline, threads, value_bytes, keys, collections, .. } = *self.options;
        let dealt_out = match collections {
            1 => String::new(),
            _ => format!(" in {} collections", grouped(collections)),
        };
        let rate = match self.options.requests_per_s {
            Some(rate) => format!("{} requests/s due", grouped(rate)),
            None => "as fast as it answers".to_owned(),
        };
        let s = |n: usize| if n == 1 { "" } else { "s" };
        format!(
            "{what} to {} ({}), {rate}\n{} connection{}, pipeline {pipeline}, {threads} thread{}, {} key{}{dealt_out} \
             ({}), values of {} B",
            self.options.address(),
            self.options.wire.name(),
            grouped(connections as u64),
            s(connections),
            s(threads),
            grouped(keys),
            s(keys as usize),
            skew(self.options.distribution),
            grouped(value_bytes as u64),
        )
    }

    /// What was sent, in short.
    pub(super) fn load(&self) -> String {
        let ratio = self.options.read_ratio;
        match &self.options.work {
            Work::Mix if ratio >= 1.0 => "GET".to_owned(),
            Work::Mix if ratio <= 0.0 => "SET".to_owned(),
            Work::Mix => format!("GET {:.0} %, SET {:.0} %", ratio * 100.0, (1.0 - ratio) * 100.0),
            Work::Command(words) => words.join(" "),
            Work::Test(test) => test.name.to_ascii_uppercase(),
        }
    }

    /// As one JSON object with a line end. Times are in microseconds; the histogram is a list of pairs, the
    /// upper end of a row and how many latencies fell into it.
    pub(super) fn json(&self) -> String {
        let Self { options, tally, .. } = self;
        let mut object = Object::default();
        object.string("address", &options.address());
        object.string("protocol", options.wire.name());
        object.string("load", &self.load());
        object.number("connections", options.connections as f64);
        object.number("pipeline", options.pipeline as f64);
        object.number("threads", options.threads as f64);
        object.number("keys", options.keys as f64);
        object.string("skew", &skew(options.distribution));
        object.number("value_bytes", options.value_bytes as f64);
        if matches!(options.work, Work::Test(_)) {
            object.number("collections", options.collections as f64);
        }
        if options.work == Work::Mix {
            object.number("read_ratio", options.read_ratio);
        }
        object.field("rate", &options.requests_per_s.map_or("null".to_owned(), |rate| rate.to_string()));
        object.number("requests", tally.requests as f64);
        object.number("elapsed_s", tally.elapsed.as_secs_f64());
        object.number("requests_per_s", tally.requests_per_s());
        object.number("errors", tally.errors as f64);
        object.field("error", &tally.error.as_deref().map_or("null".to_owned(), quoted));
        object.number("unanswered", tally.unanswered as f64);
        object.number("unsent", tally.unsent as f64);
        object.number("lost_connections", tally.lost_connections as f64);
        object.number("mean_us", tally.latencies_ns.mean() / 1e3);
        for (name, quantile) in QUANTILES {
            object.number(&format!("{}_us", name.replace('.', "")), tally.latency_us(quantile));
        }
        object.number("client_cpu_us_per_request", tally.cpu_us_per_request());
        let rows = histogram::rows(&tally.latencies_ns).into_iter();
        let rows: Vec<_> = rows.map(|row| format!("[{}, {}]", row.upto_ns as f64 / 1e3, row.count)).collect();
        object.field("histogram_us", &format!("[{}]", rows.join(", ")));
        object.finish()
    }
}

fn skew(distribution: Distribution) -> String {
    match distribution {
        Distribution::Uniform => "uniform".to_owned(),
        Distribution::Zipf { exponent } => format!("zipf:{exponent}"),
    }
}

/// A JSON object under construction.
#[derive(Default)]
struct Object(String);

impl Object {
    fn field(&mut self, name: &str, json: &str) {
        self.0.push_str(if self.0.is_empty() { "{\n" } else { ",\n" });
        self.0.push_str(&format!("  {}: {json}", quoted(name)));
    }

    fn string(&mut self, name: &str, value: &str) {
        self.field(name, &quoted(value));
    }

    /// A finite number, with three decimals at most.
    fn number(&mut self, name: &str, value: f64) {
        self.field(name, &((value * 1e3).round() / 1e3).to_string());
    }

    fn finish(mut self) -> String {
        self.0.push_str("\n}\n");
        self.0
    }
}

fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            letter if letter < ' ' => json.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => json.push(letter),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use modb_client::terminal::Charset;
    use std::time::Duration;

    fn sample() -> (Options, Tally, Timeline) {
        let mut tally = Tally::new();
        (1..=1000).for_each(|us| tally.latencies_ns.saturating_record_n(us * 1000, 1));
        (tally.requests, tally.errors, tally.error) = (1000, 2, Some("ERR a \"bad\"\n day".to_owned()));
        (tally.elapsed, tally.cpu) = (Duration::from_millis(500), Duration::from_micros(250));
        (Options { requests_per_s: Some(2000), ..Options::default() }, tally, Timeline::new())
    }

    #[test]
    fn json_has_every_figure_under_its_name() {
        let (options, tally, timeline) = sample();
        let json = Report { options: &options, tally: &tally, timeline: &timeline }.json();
        let (figures, histogram) = json.split_once("  \"histogram_us\": ").unwrap();
        assert_eq!(
            figures,
            r#"{
  "address": "127.0.0.1:6379",
  "protocol": "resp",
  "load": "GET 50 %, SET 50 %",
  "connections": 50,
  "pipeline": 1,
  "threads": 1,
  "keys": 100000,
  "skew": "uniform",
  "value_bytes": 100,
  "read_ratio": 0.5,
  "rate": 2000,
  "requests": 1000,
  "elapsed_s": 0.5,
  "requests_per_s": 2000,
  "errors": 2,
  "error": "ERR a \"bad\"\u000a day",
  "unanswered": 0,
  "unsent": 0,
  "lost_connections": 0,
  "mean_us": 500.505,
  "p50_us": 500.223,
  "p90_us": 900.095,
  "p99_us": 990.207,
  "p999_us": 999.423,
  "p9999_us": 1000.447,
  "max_us": 1000.447,
  "client_cpu_us_per_request": 0.25,
"#
        );
        assert!(histogram.starts_with("[[1, 1], [2, 1], [5, 3], [10, 5], ") && histogram.ends_with("]\n}\n"));
    }

    #[test]
    fn the_text_tells_throughput_errors_and_percentiles() {
        let (options, tally, timeline) = sample();
        let report = Report { options: &options, tally: &tally, timeline: &timeline };
        let text = report.text(Look { columns: 80, charset: Charset::Unicode });
        for part in
            ["1,000 in 0.50 s", "2,000 requests/s", "2: ERR a", "each was due", "500 µs", "1.00 ms", "█"]
        {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(!text.contains("behind") && !text.contains("unanswered"));
        for columns in [50, 80, 200] {
            for charset in [Charset::Unicode, Charset::Ascii] {
                let text = report.text(Look { columns, charset });
                assert!(text.lines().all(|line| line.chars().count() <= columns), "{text}");
                assert!(charset == Charset::Unicode || text.is_ascii(), "{text}");
            }
        }
    }
}
