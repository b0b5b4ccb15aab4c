//! The last commands that took long, as `SLOWLOG` shows them: without passwords.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use modb_net::resp::Args;

use super::clients::ClientInfo;
use super::secrets::{REDACTED, secrets};

/// Arguments kept of one command, and bytes kept of one argument, as in Redis.
const KEPT_ARGS: usize = 32;
const KEPT_BYTES: usize = 128;

/// One slow command.
#[derive(Clone, Debug)]
pub(crate) struct Slow {
    pub(crate) id: i64,
    pub(crate) at_ms: u64,
    pub(crate) micros: i64,
    pub(crate) args: Vec<String>,
    pub(crate) address: String,
    pub(crate) name: String,
}

/// The last slow commands, newest first.
#[derive(Debug, Default)]
pub struct SlowLog(Mutex<Log>);

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) entries: VecDeque<Slow>,
    next_id: i64,
}

impl Slow {
    /// A command, which has no number until it is noted.
    pub(super) fn new(args: Args<'_>, micros: i64, client: &ClientInfo, at_ms: u64) -> Self {
        let kept = if args.len() > KEPT_ARGS { KEPT_ARGS - 1 } else { args.len() };
        let hidden = secrets(args);
        let word = |(at, word)| if hidden.contains(&at) { REDACTED.to_owned() } else { shortened(word) };
        let mut words: Vec<String> = args.iter().enumerate().take(kept).map(word).collect();
        if kept < args.len() {
            words.push(format!("... ({} more arguments)", args.len() - kept));
        }
        Self { id: 0, at_ms, micros, args: words, address: client.address(), name: client.name() }
    }
}

impl SlowLog {
    /// Notes a command, and forgets those beyond the `keep` last ones.
    pub(super) fn add(&self, slow: Slow, keep: usize) {
        let mut log = self.lock();
        let id = log.next_id;
        log.next_id += 1;
        log.entries.push_front(Slow { id, ..slow });
        log.entries.truncate(keep);
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shortened(arg: &[u8]) -> String {
    let text = crate::command::language::parse::lossy(&arg[..arg.len().min(KEPT_BYTES)]);
    if arg.len() > KEPT_BYTES { format!("{text}... ({} more bytes)", arg.len() - KEPT_BYTES) } else { text }
}
