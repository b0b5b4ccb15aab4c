//! What all clients of one database share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use modb_net::resp::Args;
use modb_net::{AcceptorStats, CloseReason, WorkerStats};

use super::slowlog::Slow;
use super::spec::Flags;
use super::table::{Resolved, Table};
use crate::command::{
    Calls, ClientInfo, Errands, Holds, Notices, Rate, Registry, Room, SlowLog, Sums, Tasks,
};
use crate::config::{OutputClass, Settings};
use crate::data::{Data, Tally, Total};
use crate::messages::{Classes, Ear, Scope};

/// The network below, as far as commands concern it.
pub trait Network {
    /// Closes another client's connection; `false` if its worker could not be told.
    fn kill(&self, client: &ClientInfo) -> bool;
    /// Whether the client that asks can listen.
    fn can_listen(&self) -> bool;
    /// Has the client that asks listen to a name; the name, of which there is one copy.
    fn listen(&self, scope: Scope, name: &[u8]) -> Bytes;
    /// The client that asks listens to a name no longer.
    fn leave(&self, scope: Scope, name: &[u8]);
    /// Where the client that asks is told something on its own, from now on; none if it cannot be.
    fn ear(&self, client: &ClientInfo) -> Option<Arc<Ear>>;

    /// What has another client stay where it is, so that it can be told something on its own: sleeps until it does, or has gone.
    fn place(&self, other: &ClientInfo) -> Box<dyn FnOnce() + Send>;

    /// Lets paused clients go on.
    fn resume(&self);
    /// Begins the shutdown of the server.
    fn shutdown(&self);
    /// Whether it has begun.
    fn is_ending(&self) -> bool;
    /// Goes by these settings from now on.
    fn apply(&self, settings: &Settings);
    /// What the acceptor has counted.
    fn acceptor(&self) -> AcceptorStats;
    /// Connections that have ended for this reason.
    fn closed(&self, reason: CloseReason) -> u64;
    /// What connections hold together, in bytes.
    fn memory_bytes(&self) -> usize;
    /// What each worker has counted.
    fn workers(&self) -> Vec<WorkerStats>;
}

/// No network: the database is used inside a program.
#[derive(Debug)]
pub struct NoNetwork;

impl Network for NoNetwork {
    fn kill(&self, _: &ClientInfo) -> bool {
        false
    }
    fn can_listen(&self) -> bool {
        false
    }
    fn listen(&self, _: Scope, name: &[u8]) -> Bytes {
        Bytes::copy_from_slice(name)
    }
    fn leave(&self, _: Scope, _: &[u8]) {}
    fn ear(&self, _: &ClientInfo) -> Option<Arc<Ear>> {
        None
    }
    fn place(&self, _: &ClientInfo) -> Box<dyn FnOnce() + Send> {
        Box::new(|| {})
    }
    fn resume(&self) {}
    fn shutdown(&self) {}
    fn is_ending(&self) -> bool {
        false
    }
    fn apply(&self, _: &Settings) {}
    fn acceptor(&self) -> AcceptorStats {
        AcceptorStats::default()
    }
    fn closed(&self, _: CloseReason) -> u64 {
        0
    }
    fn memory_bytes(&self) -> usize {
        0
    }
    fn workers(&self) -> Vec<WorkerStats> {
        Vec::new()
    }
}

/// The counts of one thread that executes commands.
#[derive(Clone)]
pub struct Counts {
    /// What it did with data.
    pub tally: Arc<Tally>,
    /// What it called.
    pub calls: Arc<Calls>,
}

/// What all clients share.
pub struct Instance {
    /// The commands.
    pub table: &'static Table,
    /// The data.
    pub data: Arc<Data>,
    /// The configuration.
    pub settings: Settings,
    /// The clients.
    pub clients: Registry,
    /// The slow commands.
    pub slowlog: SlowLog,
    /// The backup or compaction in the background.
    pub tasks: Tasks,
    /// What threads do for commands that take long.
    pub errands: Errands,
    /// The keys that tests hold.
    pub holds: Holds,
    /// Those who wait.
    pub waiting: Room,
    /// What is logged about clients, and seldom.
    pub notices: Notices,
    /// When it was opened, in milliseconds since 1970.
    pub started_ms: u64,
    /// 40 random hexadecimal digits, as Redis's `run_id`.
    pub run_id: String,
    /// The port it is served on, once it is.
    pub port: OnceLock<u16>,
    /// The file that `CONFIG REWRITE` writes.
    pub config_file: OnceLock<PathBuf>,
    /// The counts of the program that embeds the database.
    pub embedded: Arc<Tally>,
    tallies: Mutex<Vec<Arc<Tally>>>,
    /// The counts of threads that execute nothing now.
    spare_counts: Mutex<Vec<Counts>>,
    /// Of the workers.
    calls: Mutex<Vec<Arc<Calls>>>,
    /// Of threads that execute commands for them.
    calls_of_threads: Mutex<Vec<Arc<Calls>>>,
    /// Commands that were left to threads.
    pub long_commands: Total,
    /// What had been counted when the counts were last set to 0.
    before: Mutex<Before>,
}

/// Counts that are never set back, as they were at a `CONFIG RESETSTAT`.
#[derive(Default)]
struct Before {
    calls: Option<Sums>,
    network: WorkerStats,
    refused: u64,
}

impl Instance {
    /// Shares `data`, opened at `started_ms`.
    pub fn new(table: &'static Table, data: Arc<Data>, settings: Settings, started_ms: u64) -> Self {
        let embedded = Arc::new(Tally::default());
        let instance = Self {
            table,
            data,
            settings,
            clients: Registry::default(),
            slowlog: SlowLog::default(),
            tasks: Tasks::default(),
            errands: Errands::default(),
            holds: Holds::default(),
            waiting: Room::default(),
            notices: Notices::default(),
            started_ms,
            run_id: random_hex(),
            port: OnceLock::new(),
            config_file: OnceLock::new(),
            spare_counts: Mutex::default(),
            tallies: Mutex::new(vec![Arc::clone(&embedded)]),
            calls: Mutex::default(),
            calls_of_threads: Mutex::default(),
            long_commands: Total::default(),
            before: Mutex::default(),
            embedded,
        };
        instance.apply_settings();
        instance
    }

    /// Has the data go by what the settings say of it now.
    pub fn apply_settings(&self) {
        let events = Classes::parse(&self.settings.get("notify-keyspace-events"));
        self.data.exchange().tell_events(events.unwrap_or_default());
        self.data.exchange().bound_mailboxes(self.settings.output_limits(OutputClass::Pubsub));
        let most = self.settings.number("tracking-table-max-keys");
        self.data.track_at_most(usize::try_from(most).unwrap_or(usize::MAX));
        self.data.compact().apply(|name| self.settings.number(name));
    }

    /// Counts for one more worker, which the sums include.
    pub fn new_tally(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        lock(&self.tallies).push(Arc::clone(&tally));
        tally
    }

    /// Counts of calls for one more worker.
    pub fn new_calls(&self) -> Arc<Calls> {
        let calls = Arc::new(Calls::new(self.table));
        lock(&self.calls).push(Arc::clone(&calls));
        calls
    }

    /// Counts for a thread that is none of the workers, which go on being counted when it has ended.
    pub fn with_counts<R>(&self, work: impl FnOnce(&Counts) -> R) -> R {
        let spare = lock(&self.spare_counts).pop();
        let counts = spare.unwrap_or_else(|| {
            let calls = Arc::new(Calls::new(self.table));
            lock(&self.calls_of_threads).push(Arc::clone(&calls));
            Counts { tally: self.new_tally(), calls }
        });
        let done = work(&counts);
        lock(&self.spare_counts).push(counts);
        done
    }

    /// What clients have called, over all workers and threads, since the counts were last set to 0.
    pub fn calls(&self) -> Sums {
        self.all_calls(lock(&self.before).calls.as_ref())
    }

    fn all_calls(&self, before: Option<&Sums>) -> Sums {
        let (workers, threads) = (lock(&self.calls), lock(&self.calls_of_threads));
        Sums::of(workers.iter().chain(threads.iter()).map(|calls| &**calls), before)
    }

    /// The longest time for which a command kept a worker since the counts were last set to 0, in microseconds: what others may have
    /// waited for.
    pub fn longest_hold_us(&self) -> u64 {
        lock(&self.calls).iter().map(|calls| calls.longest_ns() / 1000).max().unwrap_or(0)
    }

    /// Notes a command if it was slow, unless it only executed others.
    #[inline]
    pub fn note_if_slow(
        &self,
        resolved: Resolved,
        args: Args<'_>,
        took_ns: u64,
        client: &ClientInfo,
        now_ms: u64,
    ) {
        if let Some(slow) = self.if_slow(resolved, args, took_ns, client, now_ms) {
            self.note_slow(slow);
        }
    }

    /// What there is to note of a command that was slow, unless it only executed others.
    #[inline(always)]
    pub(crate) fn if_slow(
        &self,
        resolved: Resolved,
        args: Args<'_>,
        took_ns: u64,
        client: &ClientInfo,
        now_ms: u64,
    ) -> Option<Slow> {
        let (micros, threshold) = ((took_ns / 1000) as i64, self.settings.slowlog_us());
        let is_slow = threshold >= 0 && micros >= threshold && !resolved.spec.flags.has(Flags::SKIP_SLOWLOG);
        is_slow.then(|| Slow::new(args, micros, client, now_ms))
    }

    #[cold]
    pub(crate) fn note_slow(&self, slow: Slow) {
        let keep = usize::try_from(self.settings.number("slowlog-max-len")).unwrap_or(0);
        self.slowlog.add(slow, keep);
    }

    /// What clients call per second now, and the bytes that takes.
    pub fn rate(&self, workers: &[WorkerStats]) -> Rate {
        let now = Instant::now();
        let mut sum = Rate::default();
        for rate in lock(&self.calls).iter().map(|calls| calls.rate(now, workers)) {
            sum.commands += rate.commands;
            sum.bytes_in += rate.bytes_in;
            sum.bytes_out += rate.bytes_out;
        }
        sum
    }

    /// What the network has moved since the counts were last set to 0.
    pub fn moved(&self, workers: &[WorkerStats]) -> WorkerStats {
        let (now, before) = (moved(workers), lock(&self.before).network);
        WorkerStats {
            reads: now.reads.saturating_sub(before.reads),
            writes: now.writes.saturating_sub(before.writes),
            bytes_in: now.bytes_in.saturating_sub(before.bytes_in),
            bytes_out: now.bytes_out.saturating_sub(before.bytes_out),
            ..WorkerStats::default()
        }
    }

    /// Of the connections that the acceptor has refused, those since the counts were last set to 0.
    pub fn refused(&self, refused: u64) -> u64 {
        refused.saturating_sub(lock(&self.before).refused)
    }

    /// The sum of one count over all workers.
    pub fn sum(&self, count: impl Fn(&Tally) -> u64) -> u64 {
        lock(&self.tallies).iter().map(|tally| count(tally)).sum()
    }

    /// Sets all counts to 0. `network`: what it has counted.
    pub fn reset_counts(&self, network: &dyn Network) {
        *lock(&self.before) = Before {
            calls: Some(self.all_calls(None)),
            network: moved(&network.workers()),
            refused: network.acceptor().refused,
        };
        self.clients.reset_totals();
        self.long_commands.reset();
        lock(&self.calls).iter().for_each(|calls| calls.forget_longest());
        for tally in lock(&self.tallies).iter() {
            let Tally { hits, misses, expired, commands, followed, errors, .. } = &**tally;
            for total in [hits, misses, expired, commands, followed, errors] {
                total.reset();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all workers together have moved.
fn moved(workers: &[WorkerStats]) -> WorkerStats {
    let mut sum = WorkerStats::default();
    for worker in workers {
        sum.reads += worker.reads;
        sum.writes += worker.writes;
        sum.bytes_in += worker.bytes_in;
        sum.bytes_out += worker.bytes_out;
    }
    sum
}

/// 160 bits from the randomness of the operating system, by way of the standard library's hash maps.
fn random_hex() -> String {
    use std::hash::{BuildHasher, Hasher};
    let mut text = String::new();
    while text.len() < 40 {
        text += &format!("{:016x}", std::hash::RandomState::new().build_hasher().finish());
    }
    text.truncate(40);
    text
}
