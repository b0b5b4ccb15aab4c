//! A recorded run of `bench compare`: a file of `docs/performance/`, which says what was run, where and when, and what came out.
//!
//! Invariant: what is written is read back as it was: the chart, the README's table and the page are made of these files.

use std::fmt::Write as _;

use crate::failure::Result;

/// What was measured, and the circumstances.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) title: String,
    /// `machine`, `recorded` and so on, with what they are.
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) rows: Vec<Row>,
}

/// One load on one server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// As [`super::load::Load::name`] has it.
    pub(crate) load: String,
    pub(crate) server: String,
    pub(crate) promise: String,
    pub(crate) requests_per_s: f64,
    /// How far the rounds lay apart.
    pub(crate) spread_percent: f64,
    /// To redis under the same promise; not a number where there is none.
    pub(crate) ratio: f64,
    pub(crate) cpu_us: f64,
    pub(crate) cpu_ratio: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) rss_mib: f64,
}

impl Row {
    pub(crate) fn is_ours(&self) -> bool {
        self.server.starts_with("modb")
    }

    /// The load without its pipeline, and the pipeline with what follows.
    pub(crate) fn group_and_pipeline(&self) -> (&str, &str) {
        self.load.split_once(", P").unwrap_or((&self.load, ""))
    }
}

const HEAD: &str = "| load | server | promise | requests/s | ± % | ratio | CPU µs/request | ratio | p50 ms | p99 ms | max ms | RSS MiB |\n\
                    |---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";

/// A Markdown table, a row per load and server.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut out = HEAD.to_owned();
    for row in rows {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} |",
            row.load,
            row.server,
            row.promise,
            row.requests_per_s,
            row.spread_percent,
            row.ratio,
            row.cpu_us,
            row.cpu_ratio,
            row.p50_ms,
            row.p99_ms,
            row.max_ms,
            row.rss_mib,
        );
    }
    out
}

impl Record {
    /// The file.
    pub(crate) fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n", self.title);
        for (name, value) in &self.facts {
            let _ = writeln!(out, "- {name}: {value}");
        }
        out + "\n" + &table(&self.rows)
    }

    /// Reads such a file; other lines in it are passed over.
    pub(crate) fn read(markdown: &str) -> Result<Self> {
        let mut record = Self::default();
        for line in markdown.lines() {
            if let Some(title) = line.strip_prefix("# ") {
                title.clone_into(&mut record.title);
            } else if let Some((name, value)) = line.strip_prefix("- ").and_then(|fact| fact.split_once(": "))
            {
                record.facts.push((name.to_owned(), value.to_owned()));
            } else if let Some(cells) = line.strip_prefix("| ").filter(|line| !line.starts_with("load |")) {
                record.rows.push(row(cells.trim_end_matches(" |"))?);
            }
        }
        Ok(record)
    }
}

fn row(cells: &str) -> Result<Row> {
    let cells: Vec<&str> = cells.split(" | ").collect();
    let [load, server, promise, numbers @ ..] = cells.as_slice() else {
        return Err(format!("this is no row of a recorded run: {}", cells.join(" | ")).into());
    };
    let numbers: Vec<f64> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    let [requests_per_s, spread_percent, ratio, cpu_us, cpu_ratio, p50_ms, p99_ms, max_ms, rss_mib] =
        numbers[..]
    else {
        return Err(format!("a recorded run has nine numbers a row, not {}: {load}", numbers.len()).into());
    };
    let (load, server, promise) = (load.to_string(), server.to_string(), promise.to_string());
    Ok(Row {
        load,
        server,
        promise,
        requests_per_s,
        spread_percent,
        ratio,
        cpu_us,
        cpu_ratio,
        p50_ms,
        p99_ms,
        max_ms,
        rss_mib,
    })
}

/// A number with its thousands apart.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_read_back() {
        let row = Row {
            load: "SET 100 B, 50 conn, P16".into(),
            server: "modb (2 workers)".into(),
            promise: "everysec".into(),
            requests_per_s: 696_283.0,
            spread_percent: 36.0,
            ratio: 2.05,
            cpu_us: 2.35,
            cpu_ratio: 0.8,
            p50_ms: 1.13,
            p99_ms: 2.7,
            max_ms: 9.0,
            rss_mib: 38.0,
        };
        assert_eq!(row.group_and_pipeline(), ("SET 100 B, 50 conn", "16"));
        let facts = vec![("machine".to_owned(), "two cores: busy".to_owned())];
        let record = Record { title: "A run".into(), facts, rows: vec![row] };
        assert_eq!(Record::read(&record.markdown()).expect("it is well formed"), record);
        assert!(Record::read("| SET | modb | everysec | 1 |").is_err());
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(
            (thousands(999.4), thousands(1000.0), thousands(1_689_122.0)),
            ("999".into(), "1,000".into(), "1,689,122".into())
        );
    }
}
