//! What all clients of one database share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use modb_net::WorkerStats;

use super::{ClientInfo, Registry, SlowLog, Tasks};
use crate::config::Settings;
use crate::data::{Data, Tally};

/// The network below, as far as commands concern it.
pub trait Network {
    /// Closes another client's connection.
    fn kill(&self, client: &ClientInfo);
    /// Lets paused clients go on.
    fn resume(&self);
    /// Begins the shutdown of the server.
    fn shutdown(&self);
    /// Changes how many connections are let in.
    fn set_max_connections(&self, max: usize);
    /// Changes after how long without a request a connection is closed; `None`: never.
    fn set_idle_timeout(&self, timeout: Option<Duration>);
    /// What each worker has counted.
    fn workers(&self) -> Vec<WorkerStats>;
}

/// No network: the database is used inside a program.
#[derive(Debug)]
pub struct NoNetwork;

impl Network for NoNetwork {
    fn kill(&self, _: &ClientInfo) {}
    fn resume(&self) {}
    fn shutdown(&self) {}
    fn set_max_connections(&self, _: usize) {}
    fn set_idle_timeout(&self, _: Option<Duration>) {}
    fn workers(&self) -> Vec<WorkerStats> {
        Vec::new()
    }
}

/// What all clients share.
pub struct Instance {
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
}

impl Instance {
    /// Shares `data`, opened at `started_ms`.
    pub fn new(data: Arc<Data>, settings: Settings, started_ms: u64) -> Self {
        let embedded = Arc::new(Tally::default());
        Self {
            data,
            settings,
            clients: Registry::default(),
            slowlog: SlowLog::default(),
            tasks: Tasks::default(),
            started_ms,
            run_id: random_hex(),
            port: OnceLock::new(),
            config_file: OnceLock::new(),
            tallies: Mutex::new(vec![Arc::clone(&embedded)]),
            embedded,
        }
    }

    /// Counts for one more worker, which the sums include.
    pub fn new_tally(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&tally));
        tally
    }

    /// The sum of one count over all workers.
    pub fn sum(&self, count: impl Fn(&Tally) -> u64) -> u64 {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|tally| count(tally)).sum()
    }

    /// Sets all counts to 0.
    pub fn reset_counts(&self) {
        for tally in self.tallies.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for total in [&tally.hits, &tally.misses, &tally.expired, &tally.commands, &tally.errors] {
                total.reset();
            }
        }
    }
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
