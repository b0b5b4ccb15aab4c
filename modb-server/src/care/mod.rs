//! Care of a data folder from the command line: `check`, `backup`, `restore`, `compact`.
//!
//! A folder that no server uses is opened here. One that a server uses is left to it: backup and compaction are then
//! asked of that server, check and restore refuse. Invariants: what is printed as done was done; a copy that failed, or does
//! not pass its check, is removed again; `check` and `backup` of a folder at rest change nothing in it, and need no disk that
//! can be written.

mod bar;
mod error;
mod remote;
mod units;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use error::CareError;

use crate::config::Settings;
use crate::config::args::Task;
use crate::data::{self, Report};
use crate::output::{complain, say, with_causes};
use crate::store::{self, BackupKind, OpenOptions, Store, StoreError};

/// All is well, or done.
pub const DONE: u8 = 0;
/// The data is damaged.
pub const DAMAGED: u8 = 1;
/// It could not be done, or not be found out.
pub const FAILED: u8 = 2;

/// What was found out, line by line, and the exit status that says it.
struct Found {
    lines: String,
    status: u8,
}

impl Found {
    fn done(line: &str) -> Self {
        Self { lines: format!("{line}\n"), status: DONE }
    }

    fn add(&mut self, line: &str) {
        self.lines += line;
        self.lines.push('\n');
    }
}

/// Does what `task` and the word behind it say, a backup with or without links; the exit status. Prints findings to stdout,
/// progress and errors to stderr.
pub fn run(task: &Task, operand: Option<PathBuf>, full: bool, settings: &Settings) -> u8 {
    let failed = |why: &str, status| {
        complain(&format!("modb-server {}: {why}", task.name));
        status
    };
    match dispatch(task, operand, full, settings) {
        Ok(found) => match say(&found.lines) {
            Ok(()) => found.status,
            Err(error) => failed(&format!("cannot write to standard output: {error}"), FAILED),
        },
        Err(error) => failed(&with_causes(&error), if error.is_damage() { DAMAGED } else { FAILED }),
    }
}

fn dispatch(
    task: &Task,
    operand: Option<PathBuf>,
    full: bool,
    settings: &Settings,
) -> Result<Found, CareError> {
    let folder = settings.folder();
    match (task.name, operand) {
        ("check", named) => check(&named.unwrap_or(folder)),
        ("backup", Some(target)) => {
            let kind = if full { BackupKind::Full } else { BackupKind::Linked };
            backup(&folder, &target, kind, settings)
        }
        ("restore", Some(source)) => restore(&source, &folder),
        ("service", _) => Err(CareError::NotFirst),
        // The table of tasks lets nothing else pass.
        (_, _) => compact(&folder, settings),
    }
}

fn check(folder: &Path) -> Result<Found, CareError> {
    let report = examine(folder)?;
    let mut found = Found { lines: String::new(), status: DONE };
    for fault in &report.described {
        found.add(&format!("damage: {fault}"));
    }
    let Report { keys, expiring, databases, dropped_records, faults, .. } = report;
    found.add(&format!(
        "{}: {keys} keys in {databases} databases, {expiring} of them with an expiry",
        folder.display()
    ));
    if dropped_records > 0 {
        found.add(&format!("{dropped_records} records of flushed databases are still to be removed"));
    }
    if faults == 0 {
        found.add("no damage");
        return Ok(found);
    }
    found.add(&format!("{faults} faults"));
    Ok(Found { status: DAMAGED, ..found })
}

/// The engine's check, then that of the records.
fn examine(folder: &Path) -> Result<Report, CareError> {
    let engine = store::engine_of(folder)?;
    let options = OpenOptions { engine, passive: true, ..OpenOptions::new(folder) };
    let (done, total) = (AtomicU64::new(0), AtomicU64::new(0));
    let measure = || (done.load(Ordering::Relaxed), total.load(Ordering::Relaxed));
    bar::during("checking", "records", measure, || {
        let store = store::open(&options).map_err(|error| missing_is_damage(error, folder))?;
        store.check()?;
        let report = data::check(&*store, &mut |checked, of| {
            done.store(checked, Ordering::Relaxed);
            total.store(of, Ordering::Relaxed);
        })?;
        store.close()?;
        Ok(report)
    })
}

/// In a folder that is one of ours, a file that is not there is lost.
fn missing_is_damage(error: StoreError, folder: &Path) -> StoreError {
    match error {
        StoreError::Io { what, source } if source.kind() == ErrorKind::NotFound => StoreError::Corrupt {
            place: folder.display().to_string(),
            what: format!("a file is missing: {what}"),
        },
        other => other,
    }
}

/// Opens a folder for work on it; `None` if a server has it.
fn open_unless_served(options: &OpenOptions) -> Result<Option<Arc<dyn Store>>, CareError> {
    match store::open(options) {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::Locked { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn backup(folder: &Path, target: &Path, kind: BackupKind, settings: &Settings) -> Result<Found, CareError> {
    let engine = store::engine_of(folder)?;
    let target = std::path::absolute(target).map_err(|e| StoreError::io("cannot name the target", e))?;
    refuse_inside(&target, folder)?;
    let options = OpenOptions { engine, passive: true, ..OpenOptions::new(folder) };
    let total = store::folder_bytes(folder);
    bar::during(
        "backing up",
        bar::BYTES,
        || (store::folder_bytes(&target), total),
        || match open_unless_served(&options)? {
            Some(store) => {
                store.backup(&target, kind)?;
                Ok(store.close()?)
            }
            None => remote::backup(folder, &target, kind, settings),
        },
    )?;
    Ok(Found::done(&format!("{} is backed up in {}", folder.display(), target.display())))
}

fn restore(source: &Path, folder: &Path) -> Result<Found, CareError> {
    store::engine_of(source)?;
    refuse_inside(folder, source)?;
    let total = store::folder_bytes(source);
    let measure = || (store::folder_bytes(folder), total);
    let copy = bar::during("restoring", bar::BYTES, measure, || Ok(store::copy_folder(source, folder)?))?;
    // What does not pass is removed again.
    let report = examine(folder)?;
    if report.faults > 0 {
        let mut found = Found { lines: String::new(), status: DAMAGED };
        for fault in &report.described {
            found.add(&format!("damage: {fault}"));
        }
        let (faults, source) = (report.faults, source.display());
        found.add(&format!("{faults} faults: {source} is damaged; nothing is restored"));
        return Ok(found);
    }
    copy.keep();
    Ok(Found::done(&format!("{} keys are restored in {}, no damage", report.keys, folder.display())))
}

fn compact(folder: &Path, settings: &Settings) -> Result<Found, CareError> {
    let engine = store::engine_of(folder)?;
    let options = OpenOptions { engine, ..OpenOptions::new(folder) };
    let before = store::folder_bytes(folder);
    // What is merged is written anew before the old is removed, so the folder grows by about itself.
    let measure = || (store::folder_bytes(folder).saturating_sub(before), before);
    bar::during("compacting", bar::BYTES, measure, || match open_unless_served(&options)? {
        Some(store) => {
            store.compact()?;
            Ok(store.close()?)
        }
        None => remote::compact(folder, settings),
    })?;
    let (after, log) = (store::folder_bytes(folder), store::folder_bytes(&folder.join(store::LOG_FOLDER)));
    Ok(Found::done(&format!("{}: {}", folder.display(), units::compacted(before, after, log))))
}

/// A copy inside its own original would copy itself.
fn refuse_inside(inner: &Path, outer: &Path) -> Result<(), CareError> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let (inner, outer) = (absolute(inner), absolute(outer));
    if inner.starts_with(&outer) { Err(CareError::Inside { inner, outer }) } else { Ok(()) }
}
