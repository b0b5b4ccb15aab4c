//! `modb-client bench`: generates load and says how it was answered.
//!
//! Floors: `random workload` (pure) -> `worker` (one thread of load) -> `report progress` -> here.

mod options;
mod progress;
mod random;
mod report;
mod worker;
mod workload;

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use modb_client::{Command, Connection, Error, Pipeline};

use super::{Failure, Outcome};
pub(crate) use options::{HELP, Options};
use progress::Progress;
use report::Report;
use worker::{Measured, Plan, Shared, Until, Worker};
use workload::Workload;

/// Keys that are set in one round trip when filling.
const FILL_BATCH: u64 = 1000;

/// Runs all tests and prints their results.
pub(crate) fn run(options: &Options) -> Result<Outcome, Failure> {
    if options.fill {
        fill(options)?;
    }
    let mut reports = Vec::new();
    let to_stdout = options.json.as_ref().is_some_and(|path| path.as_os_str() == "-");
    for workload in options.workloads() {
        let name = workload.name.clone();
        let measured = measure(options, workload)?;
        let report = Report { name, options, measured };
        if !to_stdout {
            writeln!(io::stdout(), "{}", report.text()).map_err(Failure::Output)?;
        }
        reports.push(report);
    }
    if let Some(path) = &options.json {
        let objects: Vec<String> = reports.iter().map(Report::json).collect();
        let json = format!("[{}]\n", objects.join(",\n"));
        let written =
            if to_stdout { io::stdout().write_all(json.as_bytes()) } else { std::fs::write(path, json) };
        written.map_err(Failure::Output)?;
    }
    let errors: u64 = reports.iter().map(|report| report.measured.errors).sum();
    Ok(if errors == 0 { Outcome::Ok } else { Outcome::ServerError })
}

/// Runs one test on all threads.
fn measure(options: &Options, workload: Workload) -> Result<Measured, Failure> {
    let shared = Shared::default();
    let mut workers = Vec::with_capacity(options.threads);
    for thread in 0..options.threads {
        let plan = Plan {
            workload: workload.clone(),
            pipeline: options.pipeline,
            rate: options.rate.map(|rate| rate / options.threads as f64),
            warm_up: options.warm_up,
            until: match options.until {
                Until::Requests(count) => Until::Requests(part(count, options.threads, thread)),
                time @ Until::Time(_) => time,
            },
            seed: thread as u64 + 1,
        };
        let streams = connect(options, part(options.connections as u64, options.threads, thread))?;
        workers.push(Worker::new(plan, streams, &shared).map_err(Error::Io)?);
    }
    let mut progress = Progress::new(&workload.name, options.warm_up, options.until, options.quiet);
    let results: Vec<Result<Measured, Error>> = std::thread::scope(|scope| {
        let threads: Vec<_> = workers.into_iter().map(|worker| scope.spawn(|| worker.run())).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            progress.show(shared.replies.load(Ordering::Relaxed));
            std::thread::park_timeout(progress::INTERVAL);
        }
        threads.into_iter().map(|thread| thread.join().expect("a thread of load does not panic")).collect()
    });
    progress.clear();
    let mut total = Measured::new();
    for result in results {
        total.add(&result?);
    }
    Ok(total)
}

/// The share of `thread` in `total`, such that all shares are `total`.
fn part(total: u64, threads: usize, thread: usize) -> u64 {
    let (threads, thread) = (threads as u64, thread as u64);
    total / threads + u64::from(thread < total % threads)
}

/// Connections that are authenticated and have their database selected.
fn connect(options: &Options, count: u64) -> Result<Vec<TcpStream>, Failure> {
    let connect = |_| Ok(Connection::open(&options.config)?.into_stream());
    (0..count).map(connect).collect()
}

/// Sets every key once.
fn fill(options: &Options) -> Result<(), Failure> {
    let mut connection = Connection::open(&options.config)?;
    let value = vec![b'x'; options.value_bytes];
    let mut pipeline = Pipeline::new();
    let mut progress = Progress::new("filling", Duration::ZERO, Until::Requests(options.keys), options.quiet);
    for first in (0..options.keys).step_by(FILL_BATCH as usize) {
        pipeline.clear();
        for key in first..(first + FILL_BATCH).min(options.keys) {
            pipeline.push(Command::new("SET").arg(format!("key:{key:012}")).arg(&value));
        }
        for reply in connection.run(&pipeline)? {
            reply.map_err(Error::Server)?;
        }
        progress.show(first);
    }
    progress.clear();
    Ok(())
}
