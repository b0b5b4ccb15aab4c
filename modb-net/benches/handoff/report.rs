//! What was measured, as a table, as JSON, and as pictures for the documentation.

use std::fmt::Write;
use std::io;
use std::path::Path;

use modb_net::Handoff;

use crate::contenders::Contender;
use crate::measure::Counts;
use crate::shared::{self, Bar, bars, or_dash, or_null};

/// What a connection that comes to sleeping threads may cost with a mailbox per worker: the acceptor wakes, and
/// one worker.
const MOST_SWITCHES: f64 = 2.2;

/// The medians of one contender with so many workers.
pub struct Line {
    pub contender: Contender,
    pub workers: usize,
    pub per_second: f64,
    /// Of `per_second`, to the first contender with as many workers.
    pub ratio: f64,
    pub min_over_max: f64,
    pub variation: f64,
    pub min_over_max_after_loss: f64,
    pub switches: Option<f64>,
}

pub struct Report {
    pub lines: Vec<Line>,
    pub counts: Counts,
    /// Of the machine, before the first round.
    pub load: Option<f64>,
}

impl Report {
    /// The table and the promise, in Markdown.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| handoff | workers | connections/s | ratio | spread, min/max | variation | min/max after a loss | \
             switches per connection |\n|---|---|---|---|---|---|---|---|\n",
        );
        for line in &self.lines {
            writeln!(
                text,
                "| {} | {} | {:.0} | {:.2} | {:.2} | {:.3} | {:.2} | {} |",
                line.contender.name(),
                line.workers,
                line.per_second,
                line.ratio,
                line.min_over_max,
                line.variation,
                line.min_over_max_after_loss,
                or_dash(line.switches, 2),
            )
            .unwrap();
        }
        text.push('\n');
        for line in self.lines.iter().filter(|line| has_mailboxes(line.contender)) {
            let Some(switches) = line.switches else { continue };
            let kept = if switches <= MOST_SWITCHES { "kept" } else { "MISSED" };
            let (name, workers) = (line.contender.name(), line.workers);
            writeln!(
                text,
                "- {name}, {workers} workers, context switches per connection: {switches:.2}, at most \
                 {MOST_SWITCHES}: {kept}"
            )
            .unwrap();
        }
        text
    }

    pub fn json(&self) -> String {
        let lines = self.lines.iter().map(|line| {
            format!(
                "{{\"name\":\"{}\",\"workers\":{},\"connections_per_second\":{:.1},\"ratio\":{:.3},\
                 \"min_over_max\":{:.3},\"variation\":{:.4},\"min_over_max_after_loss\":{:.3},\
                 \"switches_per_connection\":{}}}",
                line.contender.name(),
                line.workers,
                line.per_second,
                line.ratio,
                line.min_over_max,
                line.variation,
                line.min_over_max_after_loss,
                or_null(line.switches),
            )
        });
        format!(
            "{{\"connections\":{},\"idle_connections\":{},\"load\":{},\"handoffs\":[{}]}}\n",
            self.counts.busy,
            self.counts.idle,
            or_null(self.load),
            lines.collect::<Vec<_>>().join(",")
        )
    }

    /// Writes the pictures and the generated part of `layer.md` into `folder`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_docs(&self, folder: &Path) -> io::Result<()> {
        let picture = |file: &str, title: &str, value: &dyn Fn(&Line) -> Option<f64>| {
            let bar = |line: &Line| {
                let name = format!("{}, {} workers", line.contender.name(), line.workers);
                Some(Bar { name, value: value(line)?, is_ours: has_mailboxes(line.contender) })
            };
            std::fs::write(
                folder.join(file),
                bars(title, &self.lines.iter().filter_map(bar).collect::<Vec<_>>()),
            )
        };
        let rate = |line: &Line| Some(line.ratio * 100.0);
        picture("handoff-rate.svg", "Connections per second, % of round-robin with as many workers", &rate)?;
        picture("handoff-switches.svg", "Context switches per connection, when idle", &|line| line.switches)?;

        let load = self.load.map_or(String::new(), |load| format!(", at a load average of {load:.1}"));
        let section = format!(
            "## Handing connections to workers\n\n`cargo xtask bench handoff` wrote this part, on {} with {} \
             processors{load}; clients and server share them. All are medians of interleaved rounds. Trust the ratios more than the rates: each is taken within \
             a round, to the first line with as many workers, so on a busy machine they are not the ratios of the rates \
             shown. Four clients open {} connections and keep them: how fast, and how \
             evenly they lie on the workers (the fewest over the most; standard deviation over mean). Then all \
             connections of one worker go, and as many come: what is left of that loss. Context switches are those \
             of all threads of the server, for a connection that finds all of them asleep. `shared` is one queue and \
             one socket pair for all workers, as in MySQL Proxy; `SO_REUSEPORT` is one listener per worker, among \
             which the system chooses by a hash, so it hands over nothing, and spreads by chance.\n\n{}\n\
             ![connections per second](handoff-rate.svg)\n\n![context switches](handoff-switches.svg)",
            std::env::consts::OS,
            std::thread::available_parallelism()?,
            self.counts.busy,
            self.table()
        );
        shared::write_section(folder, "handoff", &section)
    }
}

/// Whether it hands over by a mailbox per worker, which is the design proposed here.
fn has_mailboxes(contender: Contender) -> bool {
    matches!(contender, Contender::Ours(Handoff::RoundRobin | Handoff::LeastConnections))
}
