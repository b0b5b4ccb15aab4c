//! A recorded run as a page for a browser, which fetches nothing from anywhere; and the README's chart. Pure.
//!
//! Charts that compare share a scale: all pipelines and servers of one kind of load. Colours are the same everywhere.

use std::fmt::Write as _;

use super::record::{Record, Row, thousands};

/// Ours, and what it is compared with.
const OURS: &str = "#2a6f97";
const OTHERS: &str = "#a9b4c2";

const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1c2530;--soft:#5b6774;--back:#fff;--line:#dfe4ea;--ours:#2a6f97;--others:#a9b4c2}\
@media(prefers-color-scheme:dark){:root{--text:#e4e9ef;--soft:#9aa7b5;--back:#14191f;--line:#2c3540;--ours:#5fb0dc;--others:#67758a}}\
*{box-sizing:border-box}\
body{font:16px/1.45 system-ui,sans-serif;max-width:1240px;margin:0 auto;padding:1.5rem 1rem 3rem;color:var(--text);background:var(--back)}\
h1{font-size:1.5rem;line-height:1.2;margin:0 0 .8rem}h2{font-size:1.1rem;margin:2.2rem 0 .2rem}h3{font-size:.95rem;margin:1.1rem 0 .3rem;color:var(--soft)}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem .8rem;margin:0 0 1rem}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\
.row{display:grid;grid-template-columns:10.5rem 1fr 33rem;gap:.2rem .8rem;align-items:center;padding:.12rem 0}\
.bar{height:.95rem;background:var(--others);border-radius:2px;min-width:2px}.ours .bar{background:var(--ours)}.ours .name{font-weight:600}\
.what span{white-space:nowrap}.what{font-variant-numeric:tabular-nums;display:grid;grid-template-columns:6.4rem 4rem 5.2rem 7.2rem 7.4rem;gap:.5rem;text-align:right}\
.soft{color:var(--soft)}\
@media(max-width:760px){.row{grid-template-columns:1fr;gap:.1rem;padding:.35rem 0;border-bottom:1px solid var(--line)}.what{display:flex;flex-wrap:wrap;gap:0 .9rem}\
dl{grid-template-columns:1fr;gap:0}dd{margin:0 0 .4rem}}";

/// The page.
pub(crate) fn html(record: &Record) -> String {
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Modb: {title}</title><style>{STYLE}</style><h1>{title}</h1><dl>",
        title = escaped(&record.title)
    );
    for (name, value) in &record.facts {
        let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value.trim_matches('`')));
    }
    out += "</dl><p class=\"soft\">Bars: requests per second, on one scale under each heading. Beside them: requests per second; the ratio to redis \
            under the same promise; processor time per request, and the times within which half and 99 % of the replies came.</p>";
    for group in groups(&record.rows) {
        let longest = group.iter().map(|row| row.requests_per_s).fold(1.0, f64::max);
        let _ = write!(out, "<h2>{}</h2>", escaped(group[0].group_and_pipeline().0));
        let mut pipeline = None;
        for row in group {
            let of = row.group_and_pipeline().1;
            if !of.is_empty() && pipeline.replace(of) != Some(of) {
                let _ = write!(out, "<h3>pipeline {}</h3>", escaped(of));
            }
            out += &bar(row, row.requests_per_s / longest);
        }
    }
    out + "</html>\n"
}

fn bar(row: &Row, part: f64) -> String {
    let ratio = if row.ratio.is_nan() { String::new() } else { format!("× {:.2}", row.ratio) };
    format!(
        "<div class=\"row{}\"><span class=\"name\">{}</span><span><div class=\"bar\" style=\"width:{:.2}%\"></div></span>\
         <span class=\"what\"><span>{}/s</span><span>{ratio}</span><span class=\"soft\">{:.2} µs</span>\
         <span class=\"soft\">p50 {:.2} ms</span><span class=\"soft\">p99 {:.2} ms</span></span></div>",
        if row.is_ours() { " ours" } else { "" },
        escaped(&row.server),
        part * 100.0,
        thousands(row.requests_per_s),
        row.cpu_us,
        row.p50_ms,
        row.p99_ms,
    )
}

/// Rows that lie together and differ in pipeline and server alone.
fn groups(rows: &[Row]) -> Vec<&[Row]> {
    rows.chunk_by(|a, b| a.group_and_pipeline().0 == b.group_and_pipeline().0).collect()
}

/// Only what stands beside redis in the README: Modb as it starts on two cores.
fn beside_redis(rows: &[Row]) -> impl Iterator<Item = (&Row, &Row)> {
    let ours = rows.iter().filter(|row| row.server == "modb (2 workers)");
    ours.filter_map(|row| {
        Some((row, rows.iter().find(|other| other.server == "redis" && other.load == row.load)?))
    })
}

/// The README's table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut out = "| | Modb, requests/s | redis | ratio | Modb, p99 | redis | Modb, CPU | redis |\n|---|---:|---:|---:|---:|---:|---:|---:|\n".to_owned();
    for (ours, redis) in beside_redis(rows) {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.2} | {:.2} ms | {:.2} ms | {:.2} µs | {:.2} µs |",
            in_words(ours),
            thousands(ours.requests_per_s),
            thousands(redis.requests_per_s),
            ours.ratio,
            ours.p99_ms,
            redis.p99_ms,
            ours.cpu_us,
            redis.cpu_us,
        );
    }
    out
}

fn in_words(row: &Row) -> String {
    let operation = row.load.split(' ').next().unwrap_or_default();
    format!("{operation}, pipeline {}", row.group_and_pipeline().1)
}

/// The README's chart: on a ground of its own, so that it can be read whatever is around it.
pub(crate) fn chart(rows: &[Row], title: &str, under: &[String]) -> String {
    const ROW: usize = 46;
    const LEFT: f64 = 156.0;
    const WIDTH: f64 = 440.0;
    let pairs: Vec<_> = beside_redis(rows).collect();
    let longest = pairs.iter().flat_map(|(a, b)| [a.requests_per_s, b.requests_per_s]).fold(1.0, f64::max);
    let height = 54 + pairs.len() * ROW + 18 * under.len() + 10;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 {height}\" font-family=\"system-ui,sans-serif\" font-size=\"14\" fill=\"#1c2530\">\n\
         <rect width=\"720\" height=\"{height}\" rx=\"6\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    );
    for (at, (ours, redis)) in pairs.iter().enumerate() {
        let top = 46 + at * ROW;
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 10.0,
            top + 22,
            in_words(ours)
        );
        for (row, y, colour, name) in [(ours, top, OURS, "Modb"), (redis, top + 17, OTHERS, "redis")] {
            let width = row.requests_per_s / longest * WIDTH;
            let _ = writeln!(
                out,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"15\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{}\" font-size=\"12\">{name} {}</text>",
                LEFT + width + 6.0,
                y + 12,
                thousands(row.requests_per_s),
            );
        }
    }
    for (at, line) in under.iter().enumerate() {
        let y = 54 + pairs.len() * ROW + 18 * at + 8;
        let _ = writeln!(
            out,
            "<text x=\"16\" y=\"{y}\" font-size=\"12\" fill=\"#5b6774\">{}</text>",
            escaped(line)
        );
    }
    out + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(load: &str, server: &str, requests_per_s: f64) -> Row {
        Row {
            load: load.into(),
            server: server.into(),
            requests_per_s,
            ratio: requests_per_s / 100.0,
            ..Row::default()
        }
    }

    #[test]
    fn charts_that_compare_share_a_scale() {
        let rows = vec![
            row("GET 100 B, 50 conn, P1", "redis", 100.0),
            row("GET 100 B, 50 conn, P16", "modb (2 workers)", 400.0),
            row("SET 100 B, 50 conn, P1", "redis", 100.0),
        ];
        let page = html(&Record { rows, ..Record::default() });
        let widths: Vec<&str> =
            page.split("width:").filter_map(|rest| rest.split_once('%')).map(|(w, _)| w).collect();
        assert!(widths.ends_with(&["25.00", "100.00", "100.00"]), "{widths:?}");
    }

    #[test]
    fn the_table_has_what_stands_beside_redis() {
        let load = "GET 100 B, 50 conn, P16";
        let rows = [
            row(load, "modb (1 worker)", 150.0),
            row(load, "modb (2 workers)", 2000.0),
            row(load, "redis", 1000.0),
        ];
        let table = table(&rows);
        assert_eq!(table.lines().count(), 3);
        assert!(table.contains("| GET, pipeline 16 | 2,000 | 1,000 | 20.00 |"), "{table}");
        assert!(chart(&rows, "a < b", &[]).contains("a &lt; b"));
    }
}
