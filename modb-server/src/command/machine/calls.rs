//! How often each command was called, how long it took, and which errors were answered: kept per worker, summed when
//! asked.
//!
//! A worker writes its own counts with plain loads and stores, since nobody else writes them; whoever asks reads them all.
//! So they are never set back: `CONFIG RESETSTAT` remembers the sums, which are taken off from then on. (But for the longest time, which
//! has a compare-exchange where it grows, and that is seldom.)
//!
//! What a command took is what was worked for it, by whoever it was, as in Redis: not its waits for keys, room, a thread or what
//! others bring, and not what was run in vain.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use modb_net::WorkerStats;
use modb_net::resp::Args;

use super::table::{Resolved, Table};
use crate::command::machine::times::{BUCKETS, Times, bucket};

/// How many kinds of errors are told apart; Redis has the same limit.
const MAX_ERROR_KINDS: usize = 128;

/// A number that only grows, and that only one thread writes.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of one command.
#[derive(Debug, Default)]
struct Command {
    calls: Count,
    nanos: Count,
    failed: Count,
    rejected: Count,
    /// Made at the first call: most commands are never called.
    times: OnceLock<Box<[Count; BUCKETS]>>,
}

/// The counts of one worker.
#[derive(Debug)]
pub struct Calls {
    table: &'static Table,
    /// By place in the table.
    commands: Box<[Command]>,
    /// How often each kind of error was answered. Errors are rare, and nobody else takes this lock often.
    errors: Mutex<BTreeMap<String, u64>>,
    samples: Mutex<Option<Samples>>,
    /// For how long a command has kept the thread at most.
    longest_ns: AtomicU64,
}

impl Calls {
    /// For the commands of `table`.
    pub fn new(table: &'static Table) -> Self {
        Self {
            table,
            commands: (0..table.places()).map(|_| Command::default()).collect(),
            errors: Mutex::default(),
            samples: Mutex::default(),
            longest_ns: AtomicU64::new(0),
        }
    }
}

impl Calls {
    /// A command was executed, and took so many nanoseconds.
    #[inline]
    pub fn add(&self, resolved: Resolved, nanos: u64, failed: bool) {
        let command = &self.commands[self.table.place(resolved.number)];
        command.calls.add(1);
        command.failed.add(u64::from(failed));
        command.nanos.add(nanos);
        let times = command.times.get_or_init(|| Box::new(std::array::from_fn(|_| Count::default())));
        times[bucket(nanos)].add(1);
    }

    /// A command has kept the thread for so many nanoseconds, which may be a part of what it took.
    #[inline(always)]
    pub fn kept_for(&self, nanos: u64) {
        if nanos > self.longest_ns.load(Ordering::Relaxed) {
            self.longest_ns.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    /// The longest of them since it was last forgotten.
    pub fn longest_ns(&self) -> u64 {
        self.longest_ns.load(Ordering::Relaxed)
    }

    /// Forgets it.
    pub fn forget_longest(&self) {
        self.longest_ns.store(0, Ordering::Relaxed);
    }

    /// A request was refused before it came to its command.
    #[cold]
    pub fn add_rejected(&self, args: Args<'_>) {
        if let Some(number) = self.table.number_of(args) {
            self.commands[self.table.place(number)].rejected.add(1);
        }
    }

    /// An error was answered.
    #[cold]
    pub fn add_error(&self, text: &[u8]) {
        let kind = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        let kind = String::from_utf8_lossy(kind);
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = errors.get_mut(&*kind) {
            *count += 1;
        } else if errors.len() < MAX_ERROR_KINDS {
            errors.insert(kind.into_owned(), 1);
        }
    }

    /// Notes how much there was until now, for the rates; the worker does it once in a while.
    pub fn sample(&self, worker: usize, now: Instant, stats: &WorkerStats) {
        let latest = Traffic::new(now, self.commands(), stats);
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = samples.as_ref().map_or(latest, |samples| samples.latest.at_most_before(now));
        *samples = Some(Samples { worker, previous, latest });
    }

    /// How much there is per second now, of the worker whose counts these are.
    pub fn rate(&self, now: Instant, workers: &[WorkerStats]) -> Rate {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(samples) = samples.as_ref() else { return Rate::default() };
        let Some(stats) = workers.get(samples.worker) else { return Rate::default() };
        let old = now.duration_since(samples.latest.at) >= SAMPLE_INTERVAL;
        let since = if old { samples.latest } else { samples.previous };
        Traffic::new(now, self.commands(), stats).since(&since)
    }

    fn commands(&self) -> u64 {
        self.commands.iter().map(|command| command.calls.get()).sum()
    }
}

/// How often a worker notes how much there was.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// What a worker had counted at two moments, so that there is always one at least [`SAMPLE_INTERVAL`] ago, or nearly.
#[derive(Debug)]
struct Samples {
    worker: usize,
    previous: Traffic,
    latest: Traffic,
}

/// What a worker had counted at a moment.
#[derive(Clone, Copy, Debug)]
struct Traffic {
    at: Instant,
    commands: u64,
    bytes_in: u64,
    bytes_out: u64,
}

/// Commands and bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Commands.
    pub commands: f64,
    /// Bytes received.
    pub bytes_in: f64,
    /// Bytes sent.
    pub bytes_out: f64,
}

impl Traffic {
    fn new(at: Instant, commands: u64, stats: &WorkerStats) -> Self {
        Self { at, commands, bytes_in: stats.bytes_in, bytes_out: stats.bytes_out }
    }

    /// As if it had been counted one interval before `now` at the earliest: a worker that had nothing to do takes no
    /// samples, and what then comes belongs to the present.
    fn at_most_before(self, now: Instant) -> Self {
        let earliest = now.checked_sub(SAMPLE_INTERVAL).unwrap_or(now);
        Self { at: self.at.max(earliest), ..self }
    }

    fn since(&self, before: &Self) -> Rate {
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        if seconds <= 0.0 {
            return Rate::default();
        }
        let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        Rate {
            commands: per_second(self.commands, before.commands),
            bytes_in: per_second(self.bytes_in, before.bytes_in),
            bytes_out: per_second(self.bytes_out, before.bytes_out),
        }
    }
}

/// The sums over all workers.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// By place in the table; only those that were called or refused.
    pub commands: BTreeMap<usize, CommandSums>,
    /// By kind.
    pub errors: BTreeMap<String, u64>,
}

/// The sums of one command.
#[derive(Clone, Debug, Default)]
pub struct CommandSums {
    /// Executed.
    pub calls: u64,
    /// How long all calls took, in nanoseconds.
    pub nanos: u64,
    /// Executed, with an error as reply.
    pub failed: u64,
    /// Refused before they were executed.
    pub rejected: u64,
    /// How long they took.
    pub times: Times,
}

impl Sums {
    /// Sums `workers`, without what `before` holds already.
    pub fn of<'c>(workers: impl Iterator<Item = &'c Calls>, before: Option<&Self>) -> Self {
        let mut sums = Self::default();
        for calls in workers {
            for (place, command) in calls.commands.iter().enumerate() {
                if command.calls.get() + command.rejected.get() > 0 {
                    sums.commands.entry(place).or_default().add(command);
                }
            }
            for (kind, count) in calls.errors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                *sums.errors.entry(kind.clone()).or_default() += count;
            }
        }
        if let Some(before) = before {
            sums.take_off(before);
        }
        sums
    }

    fn take_off(&mut self, before: &Self) {
        for (place, then) in &before.commands {
            if let Some(now) = self.commands.get_mut(place) {
                now.take_off(then);
            }
        }
        self.commands.retain(|_, command| command.calls + command.rejected > 0);
        for (kind, then) in &before.errors {
            if let Some(now) = self.errors.get_mut(kind) {
                *now = now.saturating_sub(*then);
            }
        }
        self.errors.retain(|_, count| *count > 0);
    }
}

impl CommandSums {
    fn add(&mut self, command: &Command) {
        self.calls += command.calls.get();
        self.nanos += command.nanos.get();
        self.failed += command.failed.get();
        self.rejected += command.rejected.get();
        if let Some(times) = command.times.get() {
            self.times.add(times.iter().map(Count::get));
        }
    }

    fn take_off(&mut self, before: &Self) {
        self.calls = self.calls.saturating_sub(before.calls);
        self.nanos = self.nanos.saturating_sub(before.nanos);
        self.failed = self.failed.saturating_sub(before.failed);
        self.rejected = self.rejected.saturating_sub(before.rejected);
        self.times.take_off(&before.times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(bytes: u64) -> WorkerStats {
        WorkerStats { bytes_in: bytes, bytes_out: 2 * bytes, ..WorkerStats::default() }
    }

    #[test]
    fn rates_are_of_the_last_second_or_two_and_fall_to_nothing() {
        let calls = Calls::new(&crate::command::TABLE);
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        calls.sample(0, at(0.0), &stats(0));
        calls.sample(0, at(1.0), &stats(1000));
        assert_eq!(calls.rate(at(1.5), &[stats(1500)]).bytes_in, 1000.0, "since the sample before the last");
        assert_eq!(calls.rate(at(2.0), &[stats(3000)]).bytes_out, 4000.0, "since the last one");
        assert_eq!(calls.rate(at(2.0), &[]), Rate::default());
        // Nothing for a minute, then much at once.
        assert!(calls.rate(at(61.0), &[stats(1000)]).bytes_in < 1.0);
        calls.sample(0, at(61.0), &stats(1000));
        assert_eq!(calls.rate(at(61.5), &[stats(4000)]).bytes_in, 2000.0);
    }

    #[test]
    fn kinds_of_errors_are_bounded() {
        let calls = Calls::new(&crate::command::TABLE);
        for n in 0..1000 {
            calls.add_error(format!("KIND{n} and more").as_bytes());
            calls.add_error(b"ERR");
        }
        let sums = Sums::of([&calls].into_iter(), None);
        assert_eq!((sums.errors.len(), sums.errors["ERR"], sums.errors["KIND0"]), (MAX_ERROR_KINDS, 1000, 1));
        let before = sums;
        calls.add_error(b"ERR once more");
        let sums = Sums::of([&calls].into_iter(), Some(&before));
        assert_eq!(sums.errors, BTreeMap::from([("ERR".to_owned(), 1)]));
    }
}
