//! What was measured, as a table, as JSON, and as pictures for the documentation.

use std::fmt::Write;
use std::io;
use std::path::Path;

use crate::PRODUCERS;
use crate::contenders::{BARE_PAIR, MIO, OURS, OURS_PAIR, OURS_RAW, POLLING};
use crate::shared::{self, Bar, bars, median, or_dash, or_null};

pub struct Trip {
    pub name: &'static str,
    pub same_core_us: f64,
    pub across_us: f64,
    pub switches_per_wake: f64,
    pub calls_per_wake: Option<f64>,
    pub descriptors: Option<usize>,
}

pub struct Burst {
    pub name: &'static str,
    /// Whether it does what the notifier does: coalesces, beside sockets.
    pub is_peer: bool,
    /// For each of [`PRODUCERS`] that of each round.
    pub ns_per_notify: Vec<Vec<f64>>,
    pub writes: Vec<Option<f64>>,
}

impl Burst {
    fn median_ns(&self, at: usize) -> f64 {
        median(&self.ns_per_notify[at])
    }

    fn medians_ns(&self) -> impl Iterator<Item = f64> {
        self.ns_per_notify.iter().map(|rounds| median(rounds))
    }

    /// Its time over another's, round by round.
    fn over(&self, other: &Self, at: usize) -> f64 {
        let rounds = self.ns_per_notify[at].iter().zip(&other.ns_per_notify[at]);
        median(&rounds.map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
    }
}

pub struct Report {
    pub trips: Vec<Trip>,
    pub bursts: Vec<Burst>,
    pub notifies: u64,
}

impl Report {
    fn trip(&self, name: &str) -> Option<&Trip> {
        self.trips.iter().find(|trip| trip.name == name)
    }

    fn burst(&self, name: &str) -> Option<&Burst> {
        self.bursts.iter().find(|burst| burst.name == name)
    }

    /// Two tables and the promises, in Markdown.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| round trip | µs, same core | ratio | µs, across | switches per wake | system calls per wake | descriptors |\n\
             |---|---|---|---|---|---|---|\n",
        );
        let reference = self.trip(OURS).map_or(1.0, |trip| trip.same_core_us);
        for trip in &self.trips {
            writeln!(
                text,
                "| {} | {:.1} | {:.2} | {:.0} | {:.2} | {} | {} |",
                trip.name,
                trip.same_core_us,
                trip.same_core_us / reference,
                trip.across_us,
                trip.switches_per_wake,
                or_dash(trip.calls_per_wake, 1),
                trip.descriptors.map_or("-".to_owned(), |count| count.to_string()),
            )
            .unwrap();
        }
        let many = self.notifies;
        write!(text, "\n| burst of {many} | ns per notify, {PRODUCERS:?} producers | ratio |").unwrap();
        text.push_str(" writes |\n|---|---|---|---|\n");
        for burst in &self.bursts {
            let over_ours = self.burst(OURS).map(|ours| (0..PRODUCERS.len()).map(|at| burst.over(ours, at)));
            writeln!(
                text,
                "| {} | {} | {} | {} |",
                burst.name,
                joined(burst.medians_ns().map(|ns| format!("{ns:.0}"))),
                joined(over_ours.into_iter().flatten().map(|ratio| format!("{ratio:.2}"))),
                joined(burst.writes.iter().map(|&writes| or_dash(writes, 0))),
            )
            .unwrap();
        }
        text.push('\n');
        for (promise, measured, limit) in self.promises() {
            let kept = if measured <= limit { "kept" } else { "MISSED" };
            writeln!(text, "- {promise}: {measured:.2}, at most {limit}: {kept}").unwrap();
        }
        text
    }

    /// What the notifier promises: what, measured, limit. Peers coalesce and can wait for sockets too.
    fn promises(&self) -> Vec<(String, f64, f64)> {
        let mut promises = Vec::new();
        let mut trips = |what: &str, ours: &str, other: &str, limit: f64| {
            if let (Some(ours), Some(other)) = (self.trip(ours), self.trip(other)) {
                promises.push((what.to_owned(), ours.same_core_us / other.same_core_us, limit));
            }
        };
        trips("round trip over a bare socket pair, both on raw epoll", OURS_RAW, BARE_PAIR, 1.1);
        trips("round trip over polling's own notify, each in its poller", OURS, POLLING, 1.4);
        trips("the same with a socket pair", OURS_PAIR, POLLING, 1.4);
        if cfg!(target_os = "linux") {
            // Both are a count in the kernel, of which the poller reports each write once.
            trips("round trip over mio's waker, each in its poller", OURS, MIO, 1.0);
        }
        for ours in [OURS, OURS_PAIR] {
            let Some(our) = self.burst(ours) else { continue };
            for (at, producers) in PRODUCERS.iter().enumerate() {
                let others = self.bursts.iter().filter(|burst| burst.is_peer && !is_ours(burst.name));
                let over_best = others.map(|other| our.over(other, at)).fold(0.0, f64::max);
                promises.push((
                    format!("{ours}, burst, {producers} producers, over the best peer"),
                    over_best,
                    1.5,
                ));
                if let Some(mio) = self.burst(MIO) {
                    let over = our.median_ns(at) / mio.median_ns(at);
                    promises.push((format!("{ours}, burst, {producers} producers, over mio"), over, 0.2));
                }
                if let Some(writes) = our.writes[at] {
                    promises.push((format!("{ours}, burst, {producers} producers, writes"), writes, 2000.0));
                }
            }
        }
        promises
    }

    pub fn json(&self) -> String {
        let trips = self.trips.iter().map(|trip| {
            format!(
                "{{\"name\":\"{}\",\"same_core_us\":{:.3},\"across_us\":{:.3},\"switches_per_wake\":{:.3},\
                 \"calls_per_wake\":{},\"descriptors\":{}}}",
                trip.name,
                trip.same_core_us,
                trip.across_us,
                trip.switches_per_wake,
                or_null(trip.calls_per_wake),
                trip.descriptors.map_or("null".to_owned(), |count| count.to_string()),
            )
        });
        let bursts = self.bursts.iter().map(|burst| {
            let times = burst.medians_ns().map(|ns| or_null(Some(ns)));
            let writes = burst.writes.iter().map(|&writes| or_null(writes));
            format!(
                "{{\"name\":\"{}\",\"ns_per_notify\":[{}],\"writes\":[{}]}}",
                burst.name,
                times.collect::<Vec<_>>().join(","),
                writes.collect::<Vec<_>>().join(",")
            )
        });
        format!(
            "{{\"notifies\":{},\"producers\":{PRODUCERS:?},\"round_trips\":[{}],\"bursts\":[{}]}}\n",
            self.notifies,
            trips.collect::<Vec<_>>().join(","),
            bursts.collect::<Vec<_>>().join(",")
        )
    }

    /// Writes the pictures and the generated part of `layer.md` into `folder`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_docs(&self, folder: &Path) -> io::Result<()> {
        let bar = |name: &str, value: f64| Bar { name: name.to_owned(), value, is_ours: is_ours(name) };
        let trips = self.trips.iter().map(|trip| bar(trip.name, trip.same_core_us));
        let bursts = self.bursts.iter().map(|burst| bar(burst.name, burst.median_ns(0)));
        let trips = bars("Round trip between two threads on one core, µs", &trips.collect::<Vec<_>>());
        let bursts = bars("A burst of notifies from one thread, ns per notify", &bursts.collect::<Vec<_>>());
        std::fs::write(folder.join("notify-round-trip.svg"), trips)?;
        std::fs::write(folder.join("notify-burst.svg"), bursts)?;

        let section = format!(
            "## Waking a loop\n\n`cargo xtask bench notify` wrote this part, on {} with {} processors. Trust \
             the ratios, which are to the first line, more than the times; of bursts they are the medians of the rounds' \
             ratios. System calls are counted under `strace`, where whoever is woken may find its turn come before it has waited.\n\n{}\n![round trip](notify-round-trip.svg)\n\n![burst](notify-burst.svg)",
            std::env::consts::OS,
            std::thread::available_parallelism()?,
            self.table()
        );
        shared::write_section(folder, "notify", &section)
    }
}

fn is_ours(name: &str) -> bool {
    [OURS, OURS_PAIR, OURS_RAW].contains(&name)
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" / ")
}
