//! `modb-client bench`: loads a server and measures how it answers.
//!
//! Floors, imports only downward: `keys template replies schedule text histogram` (pure) -> `suite` -> `options error
//! tally sys` -> `connect progress report` -> `table` -> `worker` (one thread) -> `phase` (all threads) -> this file.
//!
//! What it measures with one thread is meant to be the server, so the loop of a worker is short: requests are
//! templates patched in place, replies are counted and not built, one write and as a rule one read per batch.

mod connect;
mod error;
mod histogram;
mod keys;
mod options;
mod phase;
mod progress;
mod replies;
mod report;
mod schedule;
mod suite;
mod sys;
mod table;
mod tally;
mod template;
#[cfg(test)]
mod tests;
mod text;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;

use modb_client::terminal::{Charset, Stream, output, window};

use error::BenchError;
use keys::{Keys, Rng};
pub(crate) use options::page;
use options::{Json, Limit, Options, Parsed};
use phase::Phase;
use progress::Timeline;
use report::Report;
use tally::Tally;
use template::{Load, Template, Values};
use text::Look;
use worker::Worker;

use crate::target;

/// Bytes that one connection sends at once while the key space is filled.
const PRELOAD_BATCH_BYTES: u64 = 64 << 10;

/// Exit status if nothing was measured.
const FAILURE: u8 = 2;

/// Runs `modb-client bench` with the arguments behind that word.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let done = match Options::parse(args, target::password_in_environment()) {
        Ok(Parsed::Run(runs)) => measure_all(&runs),
        Ok(Parsed::Help) => print(&page().help()).map(|()| true),
        Err(error) => Err(error),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read the result has gone, which is how `| head` ends.
        Err(BenchError::Output(error)) if output::is_reader_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let sentence = format!("modb-client bench: {error}{}", error.advice());
            output::complain(&output::in_plain_words(&sentence));
            ExitCode::from(FAILURE)
        }
    }
}

/// Measures and tells; whether every request was answered without an error.
fn measure_all(runs: &[Options]) -> Result<bool, BenchError> {
    let Some(options) = runs.first() else { return Ok(true) };
    writable(options)?;
    let (mut jsons, mut is_clean) = (Vec::new(), true);
    for (number, options) in runs.iter().enumerate() {
        let (tally, timeline) = measure(options)?;
        let report = Report { options, tally: &tally, timeline: &timeline };
        is_clean &= tally.is_clean();
        jsons.push(report.json());
        // A person sees each result when it is there.
        if options.json != Some(Json::Stdout) {
            print(&text(&report, runs, number))?;
        }
    }
    let json = match &jsons[..] {
        [json] => json.clone(),
        several => format!("[\n{}]\n", several.join(",")),
    };
    match &options.json {
        Some(Json::Stdout) => print(&json)?,
        Some(Json::File(path)) => std::fs::write(path, json)
            .map_err(|source| BenchError::WriteResult { path: path.clone(), source })?,
        None => {}
    }
    Ok(is_clean)
}

/// The report of a run as a person reads it: the whole of one, a row for each of several.
fn text(report: &Report<'_>, runs: &[Options], number: usize) -> String {
    let columns = window::columns(Stream::Stdout).unwrap_or(window::DEFAULT_COLUMNS);
    let look = Look { columns, charset: Charset::of_environment() };
    match (runs.len(), number) {
        (1, _) => report.text(look),
        (_, 0) => table::head(report, look) + &table::row(report, look),
        _ => table::row(report, look),
    }
}

/// That the result can be written is known before minutes are spent on it.
fn writable(options: &Options) -> Result<(), BenchError> {
    let Some(Json::File(path)) = &options.json else { return Ok(()) };
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).map_err(|source| BenchError::WriteResult { path: path.clone(), source })
}

fn print(text: &str) -> Result<(), BenchError> {
    output::print(text.as_bytes()).map_err(BenchError::Output)
}

/// Fills, warms up and measures.
fn measure(options: &Options) -> Result<(Tally, Timeline), BenchError> {
    let mut workers = workers(options)?;
    if let Some((store, requests)) = options.fill().filter(|_| options.preload) {
        preload(&mut workers, options, &store, requests)?;
    }
    let load = |worker| load(options, options.seed.wrapping_add(worker));
    let mut phase = Phase {
        name: "warming up",
        limit: Limit::Duration(options.warm_up),
        pipeline: options.pipeline,
        requests_per_s: options.requests_per_s,
        load: &load,
    };
    if !options.warm_up.is_zero() {
        phase.run(&mut workers, options)?;
    }
    (phase.name, phase.limit) = ("measuring", options.limit);
    phase.run(&mut workers, options)
}

/// Connects, and deals the connections out to the threads.
fn workers(options: &Options) -> Result<Vec<Worker>, BenchError> {
    let mut ready = connect::connect_all(options)?;
    let mut workers = Vec::with_capacity(options.threads);
    for left in (1..=options.threads).rev() {
        let share = ready.split_off(ready.len() - ready.len() / left);
        workers.push(Worker::new(share)?);
    }
    Ok(workers)
}

/// Stores every key or element once.
fn preload(
    workers: &mut [Worker],
    options: &Options,
    store: &Template,
    requests: u64,
) -> Result<(), BenchError> {
    let step = workers.len() as u64;
    let load = |worker| {
        let mut rng = Rng::new(options.seed.wrapping_add(worker));
        let values = Values::new(options.value_bytes, &mut rng);
        Load::mix(store.clone(), store.clone(), 0.0, Keys::Sequential { next: worker, step }, values, rng)
    };
    let phase = Phase {
        name: "filling",
        limit: Limit::Requests(requests),
        pipeline: (PRELOAD_BATCH_BYTES / store.len_bytes() as u64).max(1),
        requests_per_s: None,
        load: &load,
    };
    let (tally, _) = phase.run(workers, options)?;
    if tally.is_clean() {
        return Ok(());
    }
    let reason = tally.error.or(tally.loss);
    Err(BenchError::Preload(reason.unwrap_or_else(|| "requests were not answered".to_owned())))
}

/// What one worker sends.
fn load(options: &Options, seed: u64) -> Load {
    let mut rng = Rng::new(seed);
    let values = Values::new(options.value_bytes, &mut rng);
    let (read, write) = options.templates();
    Load::mix(read, write, options.read_ratio, Keys::new(options.keys, options.distribution), values, rng)
}
